"""The metadata of an output say how good its detections are and which ground was searched."""

import json
from dataclasses import replace

import geopandas
import pyogrio
import pytest
import rasterio
import shapely
from factories_models import architecture, describe, seeded_network

import geodet
from geodet.config import DetectConfig
from geodet.detection.output_notes import describe_run
from geodet.detection.predictor import build_predictor
from geodet.models.model import Model
from geodet.vector.provenance import read_examined_ground, read_provenance

SMALL = {"chip_size": 64, "overlap": 16}


def with_figures(model, **training):
    """Return a model that was validated."""
    figures = {"f1": 0.7, "precision": 0.8, "recall": 0.6}
    figures["score_threshold"] = model.description.score_threshold
    about = model.description.model_copy(update={"figures": figures, "training": training})
    return replace(model, description=about)


@pytest.fixture
def scene(make_scene):
    return make_scene(epsg=32633, width=100, height=80)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet"])
def test_the_accuracy_of_the_validation_is_kept(tmp_path, scene, tiny_model, suffix):
    output = tmp_path / f"found{suffix}"
    geodet.detect(scene, with_figures(tiny_model, val_objects=250), output=output, **SMALL)
    stored = json.loads(read_provenance(output)["accuracy"])
    threshold = tiny_model.description.score_threshold
    expected = {"precision": 0.8, "recall": 0.6, "objects": 250, "score_threshold": threshold}
    assert stored == expected


def test_at_another_threshold_the_accuracy_is_unknown(tmp_path, scene, tiny_model):
    output = tmp_path / "found.gpkg"
    model = with_figures(tiny_model, val_objects=250)
    geodet.detect(scene, model, output=output, score_threshold=0.97, **SMALL)
    assert "accuracy" not in read_provenance(output)


@pytest.mark.parametrize(
    ("given", "is_known"), [(None, True), ({"car": 0.9}, False), (0.9, False), (0.3, False)]
)
def test_the_accuracy_at_thresholds_by_class_is_kept_for_these_alone(given, is_known):
    figures = {"precision": 0.8, "recall": 0.6, "score_threshold": 0.3}
    stored = {"score_threshold": 0.3, "score_thresholds": {"car": 0.7}}
    about = describe(architecture()).model_copy(
        update={
            "classes": ("car", "bus"),
            "figures": figures,
            "training": {"val_objects": 9},
            **stored,
        }
    )
    network = seeded_network(about.architecture, classes=2)
    model, config = Model(lambda: network, about, "0" * 64), DetectConfig(score_threshold=given)
    notes = describe_run(model, config, build_predictor(model, config, "cpu"))
    assert ("accuracy" in notes) == is_known


def test_the_labels_that_calibrated_a_model_count_in_place_of_its_validation(
    tmp_path, scene, tiny_model
):
    output = tmp_path / "found.gpkg"
    model = with_figures(tiny_model, val_objects=250, calibrated_objects=40)
    geodet.detect(scene, model, output=output, **SMALL)
    assert json.loads(read_provenance(output)["accuracy"])["objects"] == 40


def test_the_ground_of_all_scenes_was_examined(tmp_path, make_scene, tiny_model):
    scenes = [
        make_scene(f"{x}.tif", width=100, height=80, origin=(1000.0 * x, 5_000_000.0))
        for x in (400, 401)
    ]
    output = tmp_path / "found.gpkg"
    geodet.detect(scenes, tiny_model, output=output, **SMALL)
    ground = read_examined_ground(output)
    expected = []
    for path in scenes:
        with rasterio.open(path) as raster:
            expected.append(shapely.box(*raster.bounds))
    assert ground.symmetric_difference(shapely.union_all(expected)).area < 1e-6


def test_only_the_area_of_interest_was_examined(tmp_path, scene, tiny_model):
    with rasterio.open(scene) as raster:
        x1, y1, x2, y2 = raster.bounds
    half = (x1, y1, (x1 + x2) / 2, y2)
    output = tmp_path / "found.gpkg"
    geodet.detect(scene, tiny_model, output=output, bounds=half, **SMALL)
    assert read_examined_ground(output).symmetric_difference(shapely.box(*half)).area < 1e-6


def test_a_file_of_another_program_says_nothing(tmp_path):
    path = tmp_path / "other.gpkg"
    geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)], crs=32633).to_file(path)
    assert pyogrio.read_info(path)["features"] == 1
    assert read_examined_ground(path) is None
