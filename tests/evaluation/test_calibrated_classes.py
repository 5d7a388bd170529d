"""Which classes of labels a model is calibrated on."""

import geopandas
import numpy as np
import pytest
from shapely import box
from test_calibrate import data, model, pretend  # noqa: F401 - data is a fixture

import geodet.evaluation.calibrate
from geodet.config import Config
from geodet.errors import ModelFileError
from geodet.evaluation.calibrate import calibrate_on_chips, calibrate_on_scene

CORNER = 500_000.0, 4_500_000.0


def write_objects(path, names, **fields):
    """Write objects of 5 m in a row, 8 m apart."""
    left = CORNER[0] + 8.0 * np.arange(len(names))
    shapes = box(left, CORNER[1] - 10, left + 5, CORNER[1] - 5)
    fields = {"label": names} | fields
    geopandas.GeoDataFrame(fields, geometry=shapes, crs=32633).to_file(path)
    return path


@pytest.fixture
def calibrated(tmp_path, make_scene, monkeypatch):
    """Return a function that calibrates a model of cars and trees on a scene with labels."""

    def calibrate(labelled, found, **settings):
        def write_found(_scenes, outputs, *_):
            scores = np.linspace(0.9, 0.1, len(found))
            write_objects(outputs[0], found, score=scores, scene=["scene.tif"] * len(found))

        monkeypatch.setattr(geodet.evaluation.calibrate, "detect_to_files", write_found)
        scene = make_scene(origin=CORNER, width=2000)
        labels = write_objects(tmp_path / "labels.gpkg", labelled)
        config = Config.model_validate({"data": settings})
        output = tmp_path / "here.safetensors"
        return calibrate_on_scene(model(), output, scene, labels, config, device="cpu")

    return calibrate


MIXED = ["car", "tree"] * 20


def test_a_class_that_the_model_lacks_is_refused_on_a_scene(calibrated, caplog):
    with pytest.raises(ModelFileError, match=r"labels\.gpkg has the class 'boat', which .* lacks"):
        calibrated(["car", "boat"] * 20, ["car"] * 40)
    assert "boat" not in caplog.text
    report = calibrated(["car", "boat"] * 20, ["car"] * 40, ignore_classes=["boat"])
    assert report.before.labelled == 20


def test_detections_of_one_class_are_not_taken_for_another_that_the_model_knows(calibrated):
    with pytest.raises(geodet.errors.TilesetError, match="finds none of them"):
        calibrated(["car"] * 40, ["tree"] * 40)


@pytest.mark.parametrize("found", [MIXED[:20], MIXED])
def test_renamed_classes_of_a_scene_are_those_of_the_model(calibrated, found):
    names = ["vehicle" if name == "car" else name for name in MIXED[:30]]
    report = calibrated(names, found, class_map={"car": "vehicle"})
    assert report.before.labelled == 30
    assert set(report.scales) == {"car", "tree"}


def test_renamed_classes_of_chips_are_those_of_the_model(tmp_path, data, monkeypatch):  # noqa: F811
    found = pretend(monkeypatch)
    config = Config.model_validate({"data": {"class_map": {"car": "vehicle"}}})
    # The tileset has the classes vehicle and tree, in this order.
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, config)
    assert report.before.labelled == sum(len(image.boxes) for image in found)


def test_joined_classes_are_refused(tmp_path, data, monkeypatch):  # noqa: F811
    pretend(monkeypatch, scale=(0.5,), shift=(-1.0,))
    config = Config.model_validate({"data": {"class_map": {"car": "thing", "tree": "thing"}}})
    with pytest.raises(ModelFileError, match=r"joins car and tree of .* as 'thing'"):
        calibrate_on_chips(model(), tmp_path / "here.safetensors", data, config)
