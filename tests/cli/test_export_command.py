"""The command `geodet export`."""

import json
import re

import pytest
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures


def test_the_file_and_its_difference_from_pytorch_are_printed(tmp_path, tiny_path, invoke):
    done = invoke("export", tiny_path, "-o", "a.onnx", "--chip-size", 64, "--overlap", 8)
    assert re.match(r"a\.onnx: \d\.\d MB for deepness; PyTorch within", done.stdout)
    options = ("--format", "onnx", "--reader", "plain", "--overwrite", "--json")
    report = json.loads(invoke("export", tiny_path, "-o", "a.onnx", *options).stdout)
    assert (report["output"], report["reader"]) == ("a.onnx", "plain")
    assert report["megabytes"] == (tmp_path / "a.onnx").stat().st_size / 1e6


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "urban-trees"),
        ("export", "urban-trees", "-o", "a.onnx", "--reader", "nobody"),
        ("export", "urban-trees", "-o", "a.onnx", "--format", "pt"),
        ("export", "urban-trees", "-o", "a.onnx", "--chip-size", "5"),
    ],
)
def test_wrong_usage_exits_2(invoke, arguments):
    assert "Usage" in invoke(*arguments, code=2).stderr


def test_a_model_that_the_reader_cannot_feed_is_an_error(tmp_path, make_model, invoke):
    bands = ("red", "green", "blue", "nir")
    path = make_model("four.safetensors", bands=bands)
    done = invoke("export", path, "-o", "a.onnx", "--reader", "geodeep", code=1)
    assert "GeoDeep reads three bands" in done.stderr
    assert "hint: --reader deepness" in done.stderr
    assert list(tmp_path.glob("*.onnx")) == []
