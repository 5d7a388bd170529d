import json
import re

import pytest
import torch
from factories_models import architecture, seeded_network
from safetensors.torch import load_file, save_file

from geodet.errors import ModelFileError
from geodet.models import checkpoint
from geodet.models.checkpoint import load_checkpoint, save_model
from geodet.models.description import ModelDescription, load_description

DESCRIPTION = ModelDescription(
    name="squares",
    architecture=architecture((2, 4), 5),
    classes=("square", "disc"),
    bands=("red", "nir"),
    dtype="uint16",
    mean=(100.0, 2000.5),
    std=(10.0, 300.25),
    low=(0.0, 1.0),
    high=(4000.0, 9000.0),
    gsd=0.3,
    score_threshold=0.42,
)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "squares.safetensors"
    save_model(path, seeded_network(DESCRIPTION.architecture, bands=2, classes=2), DESCRIPTION)
    return path


@pytest.fixture
def rewrite(model_file, tmp_path, monkeypatch):
    """Write a copy with other weights or another description; no network may be built for it."""

    def write(weights=None, **changes):
        about = json.loads(DESCRIPTION.model_dump_json())
        architecture = about["architecture"] | changes.pop("architecture", {})
        text = json.dumps(about | {"architecture": architecture} | changes)
        path = tmp_path / "crafted.safetensors"
        save_file(load_file(model_file) | (weights or {}), path, {"geodet": text})
        monkeypatch.setattr(checkpoint, "RetinaNet", None)
        return path

    return write


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "key",
    [
        "classifier.last.bias",
        "backbone.stem.norm.running_mean",
        "pyramid.fpn.layer_blocks.0.0.weight",
    ],
)
def test_weights_that_are_not_finite_are_refused_by_name(model_file, rewrite, key, value):
    tensor = load_file(model_file)[key]
    tensor.view(-1)[-1] = value
    with pytest.raises(ModelFileError, match=f"the weight {re.escape(key)} in .* not finite") as e:
        load_checkpoint(rewrite({key: tensor}))
    assert "diverged" in e.value.hint


def test_a_float64_beyond_float32_is_refused(model_file, rewrite):
    key = "classifier.last.bias"
    tensor = torch.full_like(load_file(model_file)[key], 1e300, dtype=torch.float64)
    with pytest.raises(ModelFileError, match="not finite"):
        load_checkpoint(rewrite({key: tensor}))


def test_a_negative_variance_is_refused(model_file, rewrite):
    key = "backbone.stem.norm.running_var"
    with pytest.raises(ModelFileError, match=f"the variance {re.escape(key)} in .* is negative"):
        load_checkpoint(rewrite({key: -load_file(model_file)[key]}))


def test_weights_of_another_type_are_refused(model_file, rewrite):
    key = "classifier.last.bias"
    tensor = load_file(model_file)[key].to(torch.int64)
    with pytest.raises(ModelFileError, match=f"the weight '{re.escape(key)}' .* of the type I64"):
        load_checkpoint(rewrite({key: tensor}))


def test_both_shapes_of_a_misshapen_weight_are_named(model_file, rewrite):
    key = "classifier.last.bias"
    with pytest.raises(ModelFileError, match=f"first at '{key}': 3 in the file, .* by the descr"):
        load_checkpoint(rewrite({key: torch.zeros(3)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"std": [0.0, 1.0]}, r"std\.0 = 0\.0: Input should be greater than"),
        ({"std": [1.0, float("nan")]}, r"std\.1 = nan"),
        ({"mean": [float("inf"), 0.0]}, r"mean\.0 = inf"),
        ({"mean": [1e300, 0.0]}, r"mean\.0 = 1e\+300"),
        ({"low": [5.0, 5.0], "high": [1.0, 1.0]}, "low is above high"),
        ({"gsd": 0.0}, r"gsd = 0\.0"),
        ({"gsd": -1.0}, r"gsd = -1\.0"),
        ({"object_px": float("inf")}, "object_px = inf"),
        ({"score_threshold": float("nan")}, "score_threshold = nan"),
        ({"score_threshold": 2}, "score_threshold = 2"),
        ({"dtype": "object"}, "dtype = 'object'"),
        ({"classes": [""]}, r"classes\.0 = ''"),
        ({"classes": ["x"] * 10_001}, "classes = .*at most 10000"),
        ({"classes": ["x" * 2_000_000]}, "2,0.* characters"),
        ({"architecture": {"channels": 2**31}}, r"architecture\.channels = 2147483648"),
        ({"architecture": {"head_convs": 10**6}}, r"architecture\.head_convs = 1000000"),
        (
            {"architecture": {"anchor_scales": [1.0] * 10**4}},
            r"architecture\.anchor_scales = .*at most 32",
        ),
        ({"architecture": {"anchor_sizes": [1e-300] * 3}}, "anchor_sizes: 1e-300 is not between"),
        ({"architecture": {"anchor_sizes": [float("nan")] * 3}}, r"anchor_sizes\.0 = nan"),
        (
            {"architecture": {"anchors": "fit", "anchor_sizes": [8.0]}},
            "1 anchor_sizes for 3 levels",
        ),
    ],
)
def test_crafted_descriptions_are_refused_by_key_and_value(rewrite, changes, message):
    path = rewrite(**changes)
    for load in (load_checkpoint, load_description):
        with pytest.raises(ModelFileError, match=message) as caught:
            load(path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500
        assert caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": [f"{n}" for n in range(10_000)]},
        {"architecture": {"channels": 4096, "head_convs": 32}},
        {"architecture": {"backbone": "resnext101_32x8d"}},
    ],
)
def test_no_network_is_built_for_a_description_of_other_weights(rewrite, changes):
    with pytest.raises(ModelFileError, match="do not fit its description, first at"):
        load_checkpoint(rewrite(**changes))


def test_a_deep_description_is_refused(model_file, tmp_path):
    path = tmp_path / "deep.safetensors"
    save_file(load_file(model_file), path, {"geodet": '{"a":' + "[" * 100_000})
    with pytest.raises(ModelFileError, match="levels deep"):
        load_description(path)
