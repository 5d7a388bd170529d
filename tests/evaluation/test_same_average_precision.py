"""AP of a model on chips is that of its detections in files, unless weak ones were dropped."""

import logging

import pytest
from factories_training import SQUARES, configured, small_fixture  # noqa: F401 - a fixture

import geodet
from geodet.tilesets.tileset import read_tileset
from geodet.training.train import run_training


@pytest.fixture(scope="module")
def model(small, tmp_path_factory):
    output = tmp_path_factory.mktemp("model") / "squares.safetensors"
    run_training(small, output, configured(epochs=8), device="cpu")
    return output


@pytest.mark.parametrize(("threshold", "is_cut"), [(0.05, False), (0.5, True)])
def test_average_precision_agrees_or_a_warning_says_why_not(
    small, model, tmp_path, caplog, threshold, is_cut
):
    chips = [image.path for image in read_tileset(small, SQUARES.data).split("val")]
    found = tmp_path / "found.coco.json"
    settings = {"detect.gsd": 0.5, "detect.precision": "float32"}
    geodet.detect(chips, model, found, score_threshold=threshold, settings=settings, device="cpu")
    settings = {"data.gsd": 0.5, "detect.precision": "float32"}
    by_model = geodet.evaluate(model, small, settings=settings, device="cpu")
    with caplog.at_level(logging.WARNING):
        by_file = geodet.evaluate(detections=found, data=small, settings={"data.gsd": 0.5})
    expected, got = (report.evaluation.overall.ap for report in (by_model, by_file))
    assert expected.ap > 0.05
    assert ("AP is lower than that of evaluate with a model" in caplog.text) == is_cut
    if is_cut:
        assert got.ap <= expected.ap
    else:
        assert got.ap == pytest.approx(expected.ap, abs=1e-3)
        assert got.ap50 == pytest.approx(expected.ap50, abs=1e-3)
