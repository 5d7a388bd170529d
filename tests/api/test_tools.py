"""The other public functions call the tools that the command line calls."""

import inspect
import math
from math import nan

import geopandas
import pytest
import shapely
from factories_models import write_tileset
from PIL import Image

import geodet
from geodet.onnx.backend import load_model

TINY = {
    "model.channels": 16,
    "model.levels": [2, 2],
    "model.backbone_level": 3,
    "model.anchor_sizes": [12.0],
    "train.chip_size": 64,
    "train.batch_size": 2,
    "train.workers": 0,
    "train.precision": "float32",
}


def test_a_tileset_is_trained_on_evaluated_and_loaded(tmp_path):
    write_tileset(tmp_path / "tiles")
    epochs = []
    report = geodet.train(
        tmp_path / "tiles",
        tmp_path / "mine.safetensors",
        epochs=1,
        settings=TINY,
        device="cpu",
        progress=epochs.append,
    )
    assert report.epochs == len(epochs) == 1
    measured = geodet.evaluate(report.model, tmp_path / "tiles", device="cpu")
    assert measured.images == 4
    assert geodet.load_model(report.model).description.classes == ("square",)
    with pytest.raises(geodet.ModelFileError, match="unknown model 'none'"):
        geodet.train(tmp_path / "tiles", tmp_path / "b.safetensors", init="none", settings=TINY)


def test_a_frame_is_drawn_as_its_file_is(make_scene, tiny_model, tmp_path):
    scene = make_scene(objects=[(20, 20, 32, 32)])
    found = geodet.detect(scene, tiny_model, tmp_path / "found.gpkg", device="cpu")
    for name, source in (("a.png", found), ("b.png", tmp_path / "found.gpkg")):
        drawn = geodet.preview(scene, source, tmp_path / name)
        assert sum(drawn.labels.values()) == len(found)
    one, two = (Image.open(tmp_path / name).tobytes() for name in ("a.png", "b.png"))
    assert one == two


def test_a_frame_with_two_geometries_is_drawn_with_the_active_one(make_scene, tiny_model, tmp_path):
    scene = make_scene(objects=[(20, 20, 32, 32)])
    found = geodet.detect(scene, tiny_model, device="cpu")
    drawn = geodet.preview(scene, found.assign(centre=found.centroid), tmp_path / "a.png")
    assert sum(drawn.labels.values()) == len(found)


def test_outlines_may_be_paths(make_scene, tmp_path):
    scene, polygons = make_scene(), tmp_path / "polygons.geojson"
    areas = geopandas.GeoSeries([shapely.box(500_010, 4_499_960, 500_040, 4_499_990)], crs=32633)
    areas.to_file(polygons)
    pictures = []
    for name, layer in (("a.png", polygons), ("b.png", geodet.OutlineLayer(polygons))):
        geodet.preview(scene, None, tmp_path / name, outlines=[layer])
        pictures.append(Image.open(tmp_path / name).tobytes())
    assert pictures[0] == pictures[1]


WRONG = [
    (lambda: geodet.detect("a.tif", geometry="point"), "geometry is 'point'", "pass 'box'"),
    (lambda: next(geodet.iter_detect("a.tif", geometry="point")), "geometry is 'point'", "'box'"),
    (lambda: geodet.merge("job", geometry="point"), "geometry is 'point'", "'box' or 'centroid'"),
    (lambda: geodet.suggest("a.tif", "a.gpkg", by="uncertain"), "by is 'uncertain'", "'rarity'"),
    (lambda: geodet.evaluate("m", "tiles", split="holdout"), "split is 'holdout'", "'all'"),
    (lambda: geodet.calibrate("m", "b", data="d", split="dev"), "split is 'dev'", "'train' or"),
    (lambda: geodet.export("m", "b.onnx", precision="int4"), "precision is 'int4'", "'int8'"),
    (lambda: geodet.export("m", "b.onnx", reader="qgis"), "reader is 'qgis'", "'deepness' or"),
    (lambda: geodet.preview("a.tif", None, "a.png", on_error="skp"), "on_error is 'skp'", "'skip'"),
    (lambda: geodet.preview("a.tif", None, "a.png", max_side=0), "max_side is 0", "1 or more"),
    (lambda: geodet.preview("a.tif", None, "a.png", max_side="9"), "max_side is '9'", "1 or more"),
    (lambda: geodet.count("a.gpkg", measured_on=-3), "measured_on is -3", "0 or more"),
    (lambda: geodet.count("a.gpkg", min_score=math.nan), "min_score is nan", "0 or more"),
    (lambda: geodet.compare("a", "b", min_score=math.nan), "min_score is nan", "0 or more"),
    (lambda: geodet.detect("a.tif", bounds=5), "bounds is 5", "xmin, ymin"),
    (lambda: geodet.detect("a.tif", bounds=(*"abcd",)), "bounds has 'a', which is no", "xmin"),
    (lambda: geodet.detect("a.tif", processes=1.5), "1.5 processes", "1 or more"),
    (lambda: geodet.preview("a.tif", None, "a.png", window=(0, 0, 10)), "window has 3", "column"),
    (lambda: geodet.preview("a.tif", None, "a.png", window=(0, 0, 9, 1.5)), "1.5, .* whole", "row"),
    (lambda: geodet.plan([None]), "scenes is None", "a str"),
    (lambda: geodet.plan("a.tif", None), "model is None", "a str"),
    (lambda: geodet.search(None), "job is None", "a str"),
    (lambda: geodet.merge(None), "job is None", "a str"),
    (lambda: geodet.info(None), "path is None", "a str"),
    (lambda: geodet.suggest("a.tif", None), "output is None", "a str"),
    (lambda: geodet.train_series("tiles", "a.safetensors", seeds=0), "seeds is 0", "1 or more"),
    (lambda: geodet.view("a.tif", port=99999), "port is 99999", "from 0 to 65535"),
    (lambda: geodet.compare("a.gpkg", "b.gpkg", distance=-1), "distance is -1 m", "0 or more"),
    (lambda: geodet.compare("a.gpkg", "b.gpkg", distance=nan), "distance is nan m", "0 or more"),
]


FRAME = geopandas.GeoDataFrame(geometry=[])
WANT_PATHS = {
    "detections": geodet.count,
    "path": geodet.info,
    "before": lambda before: geodet.compare(before, "b.gpkg"),
    "by": lambda by: geodet.compare("a.gpkg", "b.gpkg", by=by),
    "aoi": lambda aoi: geodet.detect("a.tif", aoi=aoi),
    "labels": lambda labels: geodet.evaluate(detections="a.gpkg", labels=labels),
    "reviewed": lambda reviewed: geodet.suggest("a.tif", "b.gpkg", reviewed=reviewed),
}


@pytest.mark.parametrize("name", WANT_PATHS)
def test_a_frame_in_place_of_a_path_is_refused(name):
    with pytest.raises(geodet.ConfigError, match=f"{name} is a GeoDataFrame") as caught:
        WANT_PATHS[name](FRAME)
    assert "frame.to_file" in caught.value.hint


TAKE_BOUNDS = {
    "calibrate": lambda **area: geodet.calibrate(
        "urban-trees", "b.safetensors", scene="a.tif", labels="a.gpkg", **area
    ),
    "detect": lambda **area: geodet.detect("a.tif", **area),
    "evaluate": lambda **area: geodet.evaluate(detections="b.gpkg", labels="a.gpkg", **area),
    "iter_detect": lambda **area: next(geodet.iter_detect("a.tif", **area)),
    "plan": lambda **area: geodet.plan("a.tif", **area),
    "preview": lambda **area: geodet.preview("a.tif", None, "a.png", **area),
    "suggest": lambda **area: geodet.suggest("a.tif", "b.gpkg", **area),
    "tile": lambda **area: geodet.tile("a.tif", "a.gpkg", "tiles", **area),
    "train": lambda **area: geodet.train("a.tif", "b.safetensors", labels="a.gpkg", **area),
}


def test_bounds_are_tried_of_every_function_that_takes_them():
    public = [getattr(geodet, name) for name in geodet.__all__]
    functions = [one for one in public if inspect.isfunction(one)]
    take = {one.__name__ for one in functions if "bounds" in inspect.signature(one).parameters}
    assert set(TAKE_BOUNDS) == take | {"iter_detect"}


@pytest.mark.parametrize("bounds", [(1, 2, 3), (1, 2, 3, 4, 5)], ids=len)
@pytest.mark.parametrize("name", TAKE_BOUNDS)
def test_bounds_that_are_not_four_numbers_are_refused(name, bounds):
    with pytest.raises(geodet.ConfigError, match=f"bounds has {len(bounds)} numbers") as caught:
        TAKE_BOUNDS[name](bounds=bounds)
    assert "(xmin, ymin, xmax, ymax)" in caught.value.hint


@pytest.mark.parametrize(("call", "message", "hint"), WRONG)
def test_a_value_that_an_argument_does_not_have_is_refused(call, message, hint):
    with pytest.raises(geodet.ConfigError, match=message) as caught:
        call()
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "given", [{}, {"model": "urban-trees"}, {"labels": "a.gpkg"}, {"data": "d", "labels": "a.gpkg"}]
)
def test_evaluate_says_what_it_compares(given):
    with pytest.raises(geodet.ConfigError, match="needs two things to compare") as caught:
        geodet.evaluate(**given)
    assert "a model and data" in caught.value.hint


LEFT_OVER = [
    ("evaluate", {"model": "m", "detections": "a.gpkg", "labels": "b.gpkg"}, "a model and detec"),
    (
        "evaluate",
        {"model": "m", "detections": "a.json", "data": "d"},
        "both a model and detections",
    ),
    ("evaluate", {"model": "m", "data": "d", "scene": "a.tif"}, "both a scene and data"),
    ("evaluate", {"detections": "a.json", "data": "d", "scene": "a.tif"}, "both a scene and data"),
    ("evaluate", {"model": "m", "data": "d", "aoi": "a.gpkg"}, "an area is given without"),
    ("calibrate", {"model": "m", "output": "b", "data": "d", "aoi": "a"}, "an area is given"),
    (
        "export",
        {"model": "m", "output": "b.onnx", "calibrate": "d"},
        "precision is float32, and calibrate=d",
    ),
]


@pytest.mark.parametrize(("name", "given", "message"), LEFT_OVER)
def test_an_argument_that_would_not_be_used_is_refused(name, given, message):
    with pytest.raises(geodet.ConfigError, match=message) as caught:
        getattr(geodet, name)(**given)
    assert caught.value.hint.startswith("pass ")


def test_a_loaded_model_in_place_of_a_path_is_refused(tiny_model):
    for call in (
        lambda: geodet.plan("a.tif", tiny_model),
        lambda: geodet.plan(tiny_model),
        lambda: geodet.search(tiny_model),
        lambda: geodet.merge(tiny_model),
        lambda: geodet.info(tiny_model),
        lambda: geodet.suggest(tiny_model, "a.gpkg"),
        lambda: geodet.suggest("a.tif", tiny_model),
    ):
        with pytest.raises(geodet.ConfigError, match=r"is a Model, not the path") as caught:
            call()
        assert "str or a pathlib" in caught.value.hint


@pytest.mark.parametrize("shard", [(1.5, 2), (1, 2, 3), "1/2", 2])
def test_a_shard_that_is_no_two_whole_numbers_is_refused(shard, make_scene, tiny_model, tmp_path):
    geodet.plan(make_scene(), tiny_model.path, tmp_path / "job", sample_seconds=0)
    with pytest.raises(geodet.ConfigError, match=r"shard (has|is) ") as caught:
        geodet.search(tmp_path / "job", shard)
    assert "(number, count)" in caught.value.hint


@pytest.mark.parametrize("name", ["none.tif", "none.gpkg", "none.fgb", "none.json"])
def test_info_of_a_missing_file_is_refused_whatever_its_ending(name):
    with pytest.raises(geodet.SceneError, match=f"no such file: {name}"):
        geodet.info(name)


def test_a_loaded_model_is_used_as_it_is(tiny_model):
    assert load_model(tiny_model) is tiny_model
