"""The metadata, read the way Deepness and GeoDeep read it."""

import json

import pytest
from factories_models import EXPORTED, describe

from geodet.errors import ModelFileError
from geodet.models.description import ModelDescription
from geodet.onnx.metadata import describe as describe_for
from geodet.onnx.metadata import tile_format
from geodet.onnx.session import DESCRIPTION_KEY, READER_KEY

ABOUT = describe(EXPORTED["one level"])


def altered(**fields):
    return ModelDescription(**(ABOUT.model_dump() | fields))


@pytest.mark.parametrize("reader", ["deepness", "geodeep"])
def test_readers_of_tiles_find_their_keys(reader):
    found = describe_for(ABOUT, reader, tile_size=512, overlap=64)
    values = {key: json.loads(found[key]) for key in found if not key.startswith("geodet")}
    assert values == {
        "model_type": "Detector",
        "det_type": "YOLO_v5_or_v7_default",
        "class_names": {"0": "car", "1": "tree"},
        "resolution": 50.0,
        "tile_size": 512,
        "tiles_size": 512,
        "tiles_overlap": 13,  # percent: 12 would share less than 64 px
        "det_conf": 0.3,
        "det_iou_thresh": values["det_iou_thresh"],
        "det_remove_overlap": True,
        "standardization_mean": [0.0, 0.0, 0.0],
        "standardization_std": [1.0, 1.0, 1.0],
    }
    assert float(found["resolution"]) == 50.0  # GeoDeep reads numbers without JSON
    assert float(found["det_conf"]) == 0.3


@pytest.mark.parametrize("reader", ["deepness", "geodeep", "plain"])
def test_the_metadata_holds_the_description(reader):
    found = describe_for(ABOUT, reader, tile_size=256, overlap=0)
    assert ModelDescription.model_validate_json(found[DESCRIPTION_KEY]) == ABOUT
    assert found[READER_KEY] == reader
    assert ("det_conf" in found) is (reader != "plain")


def test_of_thresholds_by_class_readers_get_the_lowest():
    by_class = altered(score_threshold=0.39, score_thresholds={"car": 0.45, "tree": 0.18})
    for about, lowest in ((by_class, 0.18), (altered(score_thresholds={"car": 0.45}), 0.3)):
        found = describe_for(about, "geodeep", tile_size=256, overlap=0)
        assert float(found["det_conf"]) == lowest


def test_a_model_without_a_resolution_has_none_in_its_metadata():
    found = describe_for(altered(gsd=None), "deepness", tile_size=256, overlap=0)
    assert "resolution" not in found


@pytest.mark.parametrize("iou_threshold", [0.1, 0.2, 0.5, 0.9])
def test_readers_leave_neighbours_that_the_model_leaves(iou_threshold):
    """Two squares of 12 px overlap as much as the model allows; the readers add a pixel."""
    found = describe_for(altered(iou_threshold=iou_threshold), "geodeep", tile_size=9, overlap=0)
    overlap = 12 * 2 * iou_threshold / (1 + iou_threshold)
    counted = (overlap + 1) * (12 + 1) / 12**2
    assert float(found["det_iou_thresh"]) == pytest.approx(min(counted, 0.99), abs=0.006)


def test_a_reader_can_lower_the_threshold_but_not_lose_the_models():
    assert tile_format(ABOUT, "deepness", 512).lowest_score == 0.05
    assert tile_format(altered(score_threshold=0.01), "deepness", 512).lowest_score == 0.01


@pytest.mark.parametrize(
    ("reader", "dtype", "scale", "shift"),
    [
        ("deepness", "uint8", 255, 0.5),
        ("deepness", "uint16", 255, 0.5),
        ("deepness", "float32", 255, 0.5),
        ("geodeep", "uint8", 255, 0.0),
        ("geodeep", "uint16", 65535, 0.0),
    ],
)
def test_scale_and_shift_suit_each_reader(reader, dtype, scale, shift):
    form = tile_format(altered(dtype=dtype), reader, 512)
    assert (form.scale, form.shift, form.iou_threshold, form.tile_size) == (scale, shift, 0.5, 512)


@pytest.mark.parametrize(
    ("about", "says"),
    [
        (describe(EXPORTED["one level"], 4), "needs 4 of uint8"),
        (describe(EXPORTED["one level"], 1), "needs 1 of uint8"),
        (altered(dtype="float32"), "needs 3 of float32"),
        (altered(dtype="int16"), "needs 3 of int16"),
    ],
)
def test_geodeep_reads_three_bands_of_unsigned_integers(about, says):
    with pytest.raises(ModelFileError, match=says):
        tile_format(about, "geodeep", 512)
    assert tile_format(about, "deepness", 512).scale == 255
