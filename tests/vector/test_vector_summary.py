"""Files of detections say what they hold and what made them."""

import json
from dataclasses import replace

import geopandas
import pytest
import rasterio
import shapely
from factories_vectors import part, write
from rasterio.shutil import copy as copy_raster

import geodet
from geodet.errors import VectorError
from geodet.models.checkpoint import load_checkpoint
from geodet.vector.provenance import read_provenance
from geodet.vector.vector_summary import is_vector, summarise_vector

SMALL = {"chip_size": 64, "overlap": 16}
KNOWS = (".gpkg", ".fgb", ".parquet", ".geojson")
"""Formats with a place for metadata."""


@pytest.fixture
def scene(make_scene):
    return make_scene(epsg=32633, width=100, height=80)


@pytest.mark.parametrize("suffix", [*KNOWS, ".csv", ".geojsonl", ".shp", ".kml"])
def test_counts_are_those_of_the_rows(tmp_path, scene, tiny_model, suffix):
    output = tmp_path / f"found{suffix}"
    rows = geodet.detect(scene, tiny_model, output=output, **SMALL)
    assert is_vector(str(output))
    about = geodet.info(output)
    assert about.objects == len(rows) > 0
    assert about.classes == rows["label"].value_counts().to_dict()
    assert about.scenes == {"scene.tif": len(rows)}
    expected = rows["score"].min(), rows["score"].median(), rows["score"].max()
    assert about.scores == pytest.approx(expected, abs=1e-6)
    assert about.crs == ("EPSG:4326" if "json" in suffix or "kml" in suffix else "EPSG:32633")
    assert bool(about.made_by) == (suffix in KNOWS)


def test_a_data_set_of_geoparquet_is_one_layer(tmp_path, make_scene, tiny_model):
    scenes = [make_scene(f"{name}.tif", seed=n) for n, name in enumerate("ab")]
    output = tmp_path / "county"
    rows = geodet.detect(scenes, tiny_model, output=output, format="parquet-scenes", **SMALL)
    about = geodet.info(output)
    assert (about.format, about.objects, about.crs) == ("Parquet", len(rows), "EPSG:32633")
    assert about.scenes == rows["scene"].value_counts().to_dict()
    assert about.made_by["model"] == (tiny_model.description.name,)


@pytest.mark.parametrize("suffix", KNOWS)
def test_what_made_a_file_is_read_from_it(tmp_path, scene, tiny_model, suffix):
    output = tmp_path / f"found{suffix}"
    geodet.detect(scene, tiny_model, output=output, score_threshold=0.4, **SMALL)
    made_by = summarise_vector(output).made_by
    assert made_by["model"] == (tiny_model.description.name,)
    assert made_by["model_sha256"] == (tiny_model.digest,)
    assert made_by["software"] == (f"geodet {geodet.__version__}",)
    (settings,) = made_by["configuration"]
    assert (settings["score_threshold"], settings["chip_size"]) == (0.4, 64)
    assert made_by["thresholds"] == ({"score": 0.4, "iou": tiny_model.description.iou_threshold},)


def test_thresholds_by_class_are_noted(tmp_path, scene, make_model):
    model = load_checkpoint(make_model(classes=("tree", "palm")))
    output = tmp_path / "found.gpkg"
    geodet.detect(scene, model, output=output, score_threshold={"palm": 0.6}, **SMALL)
    noted = json.loads(read_provenance(output)["thresholds"])["score"]
    assert noted == {"tree": model.description.score_threshold, "palm": 0.6}


def test_the_examined_ground_is_that_of_the_scene(tmp_path, scene, tiny_model):
    output = tmp_path / "found.gpkg"
    geodet.detect(scene, tiny_model, output=output, **SMALL)
    with rasterio.open(scene) as raster:
        bounds = shapely.box(*raster.bounds)
    assert summarise_vector(output).examined_ha == pytest.approx(bounds.area / 1e4, rel=2e-3)
    assert summarise_vector(output).not_examined == 0


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_areas_that_could_not_be_read_are_counted(tmp_path, make_scene, tiny_model, suffix):
    broken = make_scene("b.tif", tiled=True)
    broken.write_bytes(broken.read_bytes()[:-9000])
    output = tmp_path / f"found{suffix}"
    geodet.detect(broken, tiny_model, output=output, settings={"detect.on_error": "skip"}, **SMALL)
    assert summarise_vector(output).not_examined > 0


def test_scenes_that_failed_are_named(tmp_path, scene, make_scene, tiny_model):
    broken = make_scene("b.tif", tiled=True)
    broken.write_bytes(broken.read_bytes()[:-9000])
    output = tmp_path / "found.gpkg"
    with pytest.raises(geodet.SceneError, match="1 of 2 scenes"):
        geodet.detect([scene, broken], tiny_model, output=output, **SMALL)
    (reason,) = summarise_vector(output).made_by["scenes left out"]
    assert reason.startswith("b.tif: ")


def test_runs_that_were_appended_are_all_named(tmp_path, scene, make_scene, tiny_model):
    other = make_scene("b.tif", epsg=32633, width=100, height=80, origin=(600_000, 4_000_000))
    about = tiny_model.description.model_copy(update={"name": "other"})
    second = replace(tiny_model, description=about, digest="1" * 64)
    output = tmp_path / "found.gpkg"
    geodet.detect(scene, tiny_model, output=output, **SMALL)
    geodet.detect(other, second, output=output, append=True, **SMALL)
    summary = summarise_vector(output)
    assert summary.made_by["model"] == (tiny_model.description.name, "other")
    assert set(summary.scenes) == {"scene.tif", "b.tif"}


def test_a_file_of_another_program_says_nothing_of_that_kind(tmp_path):
    places = geopandas.GeoDataFrame(
        {"name": ["a", None]}, geometry=shapely.points([[0, 0], [1, 1]])
    )
    places.set_crs(4326).to_file(tmp_path / "places.gpkg", layer="towns")
    about = summarise_vector(tmp_path / "places.gpkg")
    assert (about.objects, about.fields, about.crs) == (2, ("name",), "EPSG:4326")
    assert (about.classes, about.scenes, about.scores, about.made_by) == ({}, {}, None, {})


def test_several_layers_need_a_name(tmp_path):
    path = tmp_path / "two.gpkg"
    for name in ("a", "b"):
        geopandas.GeoDataFrame(geometry=[shapely.Point(1, 2)], crs=4326).to_file(path, layer=name)
    with pytest.raises(VectorError, match="has 2 layers: a, b"):
        summarise_vector(path)
    assert summarise_vector(f"{path}|layername=b").objects == 1


def test_broken_files_are_errors(tmp_path):
    for name in ("a.gpkg", "b.parquet", "c.fgb"):
        (tmp_path / name).write_bytes(b"nothing of that kind")
        with pytest.raises(VectorError, match="cannot read"):
            summarise_vector(tmp_path / name)


@pytest.mark.parametrize(
    "line",
    [
        '"metadata": [1, 2],',
        '"metadata": { "software": ' + "[" * 500 + "]" * 500 + "},",
        '"metadata": { "software": "geodet',
        '"metadata": { "software": 5, "model": "m" },',
    ],
)
def test_crafted_metadata_of_geojson_are_left_out(tmp_path, line):
    path = write(tmp_path / "a.geojson", part())
    lines = [one for one in path.read_text().splitlines() if not one.startswith('"metadata"')]
    path.write_text("\n".join([lines[0], lines[1], line, *lines[2:]]))
    assert read_provenance(path) in ({}, {"model": "m"})


def test_rasters_and_labels_are_no_vectors(tmp_path, make_scene):
    raster = tmp_path / "raster.gpkg"
    scene = make_scene(epsg=32633, dtype="uint8", bands=3)
    copy_raster(scene, raster, driver="GPKG")
    (tmp_path / "train.json").write_text('{"images": [], "annotations": [], "categories": []}')
    (tmp_path / "boxes.csv").write_text("image,xmin,ymin,xmax,ymax\na.png,1,1,9,9\n")
    for name in ("raster.gpkg", "train.json", "boxes.csv", "scene.tif", "urban-trees"):
        assert not is_vector(str(tmp_path / name)), name
