"""Frames where a vector file is read, and one path where several are taken."""

import json
import logging

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image

import geodet
from geodet.viewer.map_server import MapServer

BOXES = [shapely.box(x, 4_499_960, x + 8, 4_499_968) for x in (500_010, 500_030)]


@pytest.fixture
def scene(make_scene):
    return make_scene()


@pytest.fixture
def frame():
    about = {"id": ["a", "b"], "label": ["car", "tree"], "score": [0.5, 0.75]}
    return geopandas.GeoDataFrame(about, geometry=BOXES, crs="EPSG:32633")


ODD_COLUMNS = {
    "names of a layer's own columns": lambda frame: frame.assign(fid=1, geom="a", FID_=2.5),
    "upper case first": lambda frame: frame.assign(Score=0.1)[["Score", *frame.columns]],
    "a number as a name": lambda frame: frame.rename(columns={"id": 0}),
    "a name twice": lambda frame: (
        frame.rename(columns={"id": "x"})
        .assign(b=1, x2=[1, 2])
        .rename(columns={"b": "x", "x2": "x"})
    ),
    "lists and objects": lambda frame: frame.assign(a=[[1], {"b": 2}], b=[{1}, None]),
    "times": lambda frame: frame.assign(
        t=pd.to_timedelta(["1h", "2h"]), d=pd.to_datetime(["2024-01-01", None])
    ),
    "classes as categories": lambda frame: frame.astype({"label": "category"}),
    "scores as objects": lambda frame: frame.astype({"score": object}),
    "complex numbers": lambda frame: frame.assign(z=[1j, 2j]),
    "an index of the name of a column": lambda frame: frame.set_index("id", drop=False),
}


@pytest.mark.parametrize("kind", ODD_COLUMNS)
def test_a_frame_with_odd_columns_is_drawn(kind, scene, frame, tmp_path):
    drawn = geodet.preview(scene, ODD_COLUMNS[kind](frame), tmp_path / "a.png", min_score=0.6)
    assert drawn.labels == {"car": 0, "tree": 1}


def test_all_columns_of_a_frame_are_shown(scene, frame, monkeypatch):
    told = []

    def serve(server):
        told.append(json.loads(server.requests.answer("about.json").content))
        raise KeyboardInterrupt

    monkeypatch.setattr(MapServer, "serve_forever", serve)
    odd = frame.assign(fid=1, Score=0.1)
    geodet.view(scene, odd, opens_browser=False, announce=lambda _: None)
    assert told[0]["layers"][0]["count"] == 2


def test_geometries_alone_are_drawn(scene, frame, tmp_path):
    drawn = geodet.preview(scene, frame.geometry, tmp_path / "a.png")
    assert sum(drawn.labels.values()) == 2


@pytest.mark.parametrize(
    "empty", [geopandas.GeoDataFrame(), geopandas.GeoDataFrame(geometry=[], crs="EPSG:32633")]
)
def test_an_empty_frame_is_drawn_as_no_objects(empty, scene, tmp_path, caplog):
    assert geodet.preview(scene, empty, tmp_path / "a.png").labels == {}
    assert "/tmp" not in caplog.text


def test_a_frame_without_geometries_is_refused(scene, frame, tmp_path):
    bare = geopandas.GeoDataFrame({"label": ["car"]})
    with pytest.raises(
        geodet.ConfigError, match="detections is a frame without an active geometry column"
    ) as caught:
        geodet.preview(scene, bare, tmp_path / "a.png")
    assert "set_geometry" in caught.value.hint
    with pytest.raises(geodet.ConfigError, match="detections is a DataFrame"):
        geodet.preview(scene, pd.DataFrame(frame.drop(columns="geometry")), tmp_path / "a.png")


def test_messages_name_the_frame_and_not_its_file(scene, frame, tmp_path, caplog):
    bare = frame.set_crs(None, allow_override=True)
    elsewhere = frame.translate(10_000)
    absent = pd.concat([frame, frame.assign(geometry=None)])
    for detections in (bare, elsewhere, absent):
        geodet.preview(scene, detections, tmp_path / "a.png", overwrite=True)
    geodet.preview(scene, None, tmp_path / "b.png", outlines=elsewhere)
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "the frame has no CRS: it is assumed to be in that of the scene" in texts
    assert any(text.startswith("the frame: no object meets") for text in texts)
    assert "none of the polygons of the frame lies in the scene" in texts
    assert "the frame: objects without a geometry are left out: 2" in texts
    assert not [text for text in texts if ".gpkg" in text]
    points = frame.set_geometry(frame.centroid)
    with pytest.raises(geodet.VectorError, match="the frame has no polygons") as caught:
        geodet.preview(scene, None, tmp_path / "c.png", outlines=points)
    assert caught.value.path == "the frame"


def test_outlines_may_be_frames_and_one_may_come_alone(scene, frame, tmp_path):
    path = tmp_path / "outlines.gpkg"
    frame.to_file(path)
    ways = [[path], path, str(path), frame, [frame], frame.geometry, [geodet.OutlineLayer(path)]]
    pictures = []
    for way in ways:
        geodet.preview(scene, None, tmp_path / "a.png", outlines=way, overwrite=True)
        pictures.append(Image.open(tmp_path / "a.png").tobytes())
    assert len(set(pictures)) == 1
    named = []
    for source in (path, frame):
        layer = geodet.OutlineLayer(source, label="id")
        geodet.preview(scene, None, tmp_path / "a.png", outlines=layer, overwrite=True)
        named.append(Image.open(tmp_path / "a.png").tobytes())
    assert named[0] == named[1] != pictures[0]
    with pytest.raises(geodet.ConfigError, match="outlines is a int"):
        geodet.preview(scene, None, tmp_path / "b.png", outlines=[3])


WANT_PATHS = {
    "labels": [
        lambda labels: geodet.tile("a.tif", labels, "tiles"),
        lambda labels: geodet.train("a.tif", "m.safetensors", labels=labels),
        lambda labels: geodet.train_series("a.tif", "m.safetensors", labels=labels),
        lambda labels: geodet.evaluate(detections="a.gpkg", labels=labels),
        lambda labels: geodet.calibrate("urban-trees", "b", scene="a.tif", labels=labels),
    ],
    "detections": [lambda found: geodet.evaluate(detections=found, labels="a.gpkg")],
    "scenes": [
        lambda scenes: geodet.detect(scenes, "urban-trees"),
        lambda scenes: geodet.suggest(scenes, "a.gpkg"),
    ],
    "scene": [lambda scene: geodet.tile(scene, "a.gpkg", "tiles")],
    "pictures": [geodet.read_photographs],
    "runs": [geodet.compare_runs],
    "errors": [lambda errors: geodet.view("a.tif", errors=errors)],
}


@pytest.mark.parametrize("name", WANT_PATHS)
def test_a_frame_where_paths_are_taken_is_refused(name, frame):
    for call in WANT_PATHS[name]:
        for given in (frame, frame.geometry):
            with pytest.raises(geodet.ConfigError, match=f"{name} is a Geo") as caught:
                call(given)
            assert "frame.to_file" in caught.value.hint


def test_something_else_among_paths_is_refused(frame):
    for wrong in ([frame], [3], 3, np.zeros(2)):
        with pytest.raises(geodet.ConfigError, match=r"labels is a .*, not the path of a file"):
            geodet.tile("a.tif", wrong, "tiles")


def test_one_run_may_be_given_without_a_list(tmp_path):
    with pytest.raises(geodet.TrainingError, match=r"mine\.run"):
        geodet.compare_runs(str(tmp_path / "mine.run"))


def test_scenes_to_suggest_from_may_come_from_a_generator(tmp_path):
    with pytest.raises(geodet.SceneError, match=r"no such file or folder: .*a\.tif"):
        geodet.suggest((tmp_path / name for name in ("a.tif", "b.tif")), tmp_path / "s.gpkg")
