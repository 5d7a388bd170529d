"""Only the part that was labelled counts: figures against counts with shapely."""

import json

import geopandas as gpd
import numpy as np
import pytest
import shapely
from cli_runner import invoke_fixture  # noqa: F401 - a fixture

import geodet
from geodet.errors import ConfigError, OutputError, VectorError

X, Y = 500_000.0, 4_500_000.0


@pytest.fixture
def files(tmp_path):
    """Labels in one half of a square of 100 m, detections of all of it; half of them misplaced."""
    rng = np.random.default_rng(0)
    x, y = (part.ravel() for part in np.mgrid[5:100:10, 5:100:10])
    labelled = x < 50
    moved = np.where(rng.uniform(size=100) < 0.3, 4.0, 0.0)
    found = shapely.box(X + x - 2 + moved, Y - y - 2, X + x + 2 + moved, Y - y + 2)
    truth = shapely.box(X + x - 2, Y - y - 2, X + x + 2, Y - y + 2)[labelled]
    gpd.GeoDataFrame(
        {"score": rng.uniform(0.5, 1, 100), "label": ["tree"] * 100}, geometry=found, crs=32633
    ).to_file(tmp_path / "found.gpkg")
    gpd.GeoDataFrame({"label": ["tree"] * 50}, geometry=truth, crs=32633).to_file(
        tmp_path / "truth.gpkg"
    )
    area = shapely.Polygon([(X, Y), (X + 47, Y), (X + 30, Y - 100), (X, Y - 100)])
    gpd.GeoDataFrame(geometry=[area], crs=32633).to_crs(4326).to_file(tmp_path / "aoi.gpkg")
    return found, truth, area


@pytest.mark.parametrize("with_scene", [True, False])
def test_figures_are_those_of_the_area(tmp_path, files, make_scene, with_scene):
    found, truth, area = files
    scene = make_scene(origin=(X, Y), pixel_size=0.5, width=200, height=200)
    report = geodet.evaluate(
        detections=tmp_path / "found.gpkg",
        labels=tmp_path / "truth.gpkg",
        scene=scene if with_scene else None,
        aoi=tmp_path / "aoi.gpkg",
    )
    here = found[shapely.contains(area, shapely.centroid(found))]
    there = truth[shapely.contains(area, shapely.centroid(truth))]
    hits = sum(any(shapely.equals(one, other) for other in there) for one in here)
    scores = report.evaluation.overall.scores
    assert (scores.detected, scores.labelled) == (len(here), len(there))
    assert scores.precision == pytest.approx(hits / len(here))
    assert scores.recall == pytest.approx(hits / len(there))
    assert 0 < hits < len(here) < 100


def test_the_area_is_never_replaced(tmp_path, files, invoke):
    pair = ("--detections", "found.gpkg", "--labels", "truth.gpkg", "-o", "report")
    invoke("evaluate", *pair)
    layer = "report/errors.gpkg|layername=true_positives"
    done = invoke("evaluate", *pair, "--aoi", layer, "--overwrite", code=1)
    assert "report holds more than an earlier output: errors.gpkg" in " ".join(done.stderr.split())
    with pytest.raises(OutputError, match=r"more than an earlier output: errors\.gpkg"):
        geodet.evaluate(
            detections=tmp_path / "found.gpkg",
            labels=tmp_path / "truth.gpkg",
            aoi=f"{tmp_path}/{layer}",
            output=tmp_path / "report",
            overwrite=True,
        )


def test_bounds_are_an_area_on_the_command_line(tmp_path, files, invoke):
    found, _, _ = files
    pair = ("--detections", "found.gpkg", "--labels", "truth.gpkg", "--json")
    bounds = f"--bounds={X},{Y - 100},{X + 50},{Y}"
    some = json.loads(invoke("evaluate", *pair, bounds, "-o", "report").stdout)
    every = json.loads(invoke("evaluate", *pair).stdout)
    expected = int((shapely.get_x(shapely.centroid(found)) <= X + 50).sum())
    assert some["overall"]["detected"] == expected
    assert every["overall"]["detected"] == 100
    about = "".join(path.read_text() for path in (tmp_path / "report").glob("*.json"))
    assert f"{X:.10g}" in about


def test_an_area_elsewhere_or_of_chips_is_refused(tmp_path, files, invoke):
    pair = {"detections": tmp_path / "found.gpkg", "labels": tmp_path / "truth.gpkg"}
    with pytest.raises(VectorError, match="the area does not intersect the scene"):
        geodet.evaluate(**pair, bounds=(0, 0, 1, 1))
    with pytest.raises(ConfigError, match="an area is given without vector files"):
        geodet.evaluate("urban-trees", tmp_path, bounds=(0, 0, 1, 1))
    for command in (("evaluate",), ("calibrate", "-o", "here.safetensors")):
        done = invoke(*command, "--data", tmp_path, "--aoi", "aoi.gpkg", code=2)
        assert "give the area to geodet tile" in done.stderr


def test_labels_that_miss_the_scene_are_told_with_both_extents(tmp_path, files, make_scene):
    scene = make_scene(origin=(X, Y), pixel_size=0.5, width=200, height=200)
    frame = gpd.read_file(tmp_path / "truth.gpkg").to_crs(4326)
    frame.geometry = shapely.transform(frame.geometry.to_numpy(), lambda xy: xy[:, ::-1])
    frame.to_file(tmp_path / "swapped.gpkg")
    with pytest.raises(VectorError, match="none of the 50 labels") as caught:
        geodet.evaluate(
            detections=tmp_path / "found.gpkg", labels=tmp_path / "swapped.gpkg", scene=scene
        )
    assert caught.value.hint.endswith("in WGS 84; perhaps latitude and longitude are swapped")
