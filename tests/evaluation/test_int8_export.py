"""The eight-bit file of a model: what it finds, when it is refused, and when it is used."""

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from factories_tilesets import write_coco
from PIL import Image
from pyproj import CRS

from geodet.config import Config, DetectConfig
from geodet.demo.town import paint_town
from geodet.detection.predictor import build_predictor
from geodet.errors import ConfigError, DeviceError, ModelFileError, OutputError, TilesetError
from geodet.evaluation import int8_export
from geodet.evaluation.int8_export import export_int8
from geodet.files.outputs import int8_path
from geodet.geometry.geobox import GeoBox
from geodet.onnx.backend import load_model
from geodet.onnx.layers_in_float import LayerErrors, QuantisedGraph
from geodet.onnx.narrow_convolutions import split_narrow_convolutions
from geodet.onnx.nodes import import_onnx
from geodet.onnx.onnx_engine import OnnxEngine
from geodet.raster.geotiff import write_raster
from geodet.raster.scene import Scene

SIDE, PART = 640, 320


@pytest.fixture(scope="module")
def town():
    return paint_town(SIDE, SIDE, seed=3)


@pytest.fixture(scope="module")
def scene(town, tmp_path_factory):
    path = tmp_path_factory.mktemp("town") / "town.tif"
    place = Affine(0.6, 0, 447_000, 0, -0.6, 5_411_000)
    write_raster(path, town.pixels, GeoBox(SIDE, SIDE, place, CRS.from_epsg(32633)))
    return path


@pytest.fixture(scope="module")
def tiles(town, tmp_path_factory):
    """Cut the town into four labelled chips, two of them to validate."""
    folder = tmp_path_factory.mktemp("tiles")
    chips = {"train": {}, "val": {}}
    for number, (row, column) in enumerate(np.ndindex(2, 2)):
        x, y = column * PART, row * PART
        part = town.pixels[:3, y : y + PART, x : x + PART].transpose(1, 2, 0)
        (folder / "images").mkdir(exist_ok=True)
        Image.fromarray(np.ascontiguousarray(part)).save(folder / "images" / f"{number}.png")
        inside = [
            (0, left, top, 12, 12)
            for left, top in (town.centres - [x + 6, y + 6]).tolist()
            if 0 <= left <= PART - 12 and 0 <= top <= PART - 12
        ]
        chips["val" if number > 1 else "train"][f"{number}.png"] = inside
    for name, boxes in chips.items():
        write_coco(folder / f"{name}.json", boxes, classes=("tree",), size=(PART, PART))
    return folder


@pytest.fixture(scope="module")
def model():
    return replace(load_model("urban-trees"), int8=None)


@pytest.fixture(scope="module")
def layers():
    """Return a function that leaves the layers in float that the bundled file has in float.

    Which these should be tests/onnx/test_quantise.py asks: to try all of a real network takes half
    a minute.
    """
    graph = import_onnx().load(load_model("urban-trees").int8).graph
    made = {name: node for node in graph.node for name in node.output}
    kept = tuple(
        node.name
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] not in made  # weights as they are
    )

    def quantise(quantiser, chips, score_threshold):
        inner = [name for name in quantiser.convolutions if name not in kept]
        assert 0 < len(inner) < len(quantiser.convolutions)
        graph = split_narrow_convolutions(quantiser.quantise(inner), quantiser.outputs)
        yield QuantisedGraph(graph, LayerErrors(0.0, 0.0, 0.1, 12.0), kept)

    return quantise


@pytest.fixture(scope="module")
def exported(model, scene, layers, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "trees.int8.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_export, "iter_quantised", layers)
        return export_int8(model, path, scene, Config())


@pytest.fixture
def known_layers(layers, monkeypatch):
    """Leave the layers in float that the bundled file has in float."""
    monkeypatch.setattr(int8_export, "iter_quantised", layers)


def test_the_file_finds_what_the_model_finds(exported, model, scene):
    size = exported.output.stat().st_size
    assert size < 2e6  # 1.2 million parameters, 4.8 MB in float32
    assert size == pytest.approx(exported.megabytes * 1e6, abs=1)
    assert (exported.precision, exported.reader) == ("int8", "plain")
    assert exported.agreement >= 0.95
    assert exported.f1 is exported.f1_of_floats is None
    assert exported.score_difference < 0.025  # 0.008 on the imagery that it was trained for
    assert exported.box_difference_px < 0.1
    with Scene(scene) as opened:
        chip = opened.read_overview(SIDE)
    config = DetectConfig(precision="int8")
    int8 = build_predictor(replace(model, int8=exported.output), config, "cpu")
    floats = build_predictor(model, DetectConfig(precision="float32"), "cpu")
    assert int8.precision == "int8"
    counts = [len(one([chip])[0].detections) for one in (int8, floats)]
    assert counts[0] == pytest.approx(counts[1], rel=0.05)
    assert counts[1] > 100


@pytest.mark.usefixtures("known_layers")
def test_labels_are_compared_where_there_are_any(model, tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(int8_export, "_MOST_LOST", 0.03)  # of few labels
    report = export_int8(model, tmp_path / "a.onnx", tiles, Config())
    assert report.f1 == pytest.approx(report.f1_of_floats, abs=0.03)
    assert report.f1_of_floats > 0.1


@pytest.mark.usefixtures("known_layers")
def test_a_file_that_finds_something_else_is_refused(model, tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(int8_export, "_LEAST_AGREEMENT", 1.01)
    with pytest.raises(ModelFileError, match=r"F1 between the two is [01]\.\d+, at least 1\.01"):
        export_int8(model, tmp_path / "a.onnx", tiles, Config())
    assert list(tmp_path.iterdir()) == []


def test_a_graph_nearer_to_the_floats_is_tried_where_the_first_is_refused(
    model, scene, layers, tmp_path, monkeypatch
):
    def two_graphs(quantiser, chips, score_threshold):
        (found,) = layers(quantiser, chips, score_threshold)
        empty = type(found.graph)()
        empty.CopyFrom(found.graph)
        for one in empty.graph.initializer:
            if one.data_type == one.INT8:  # weights
                one.raw_data = bytes(len(one.raw_data))
        yield found._replace(graph=empty, in_float=("none",))
        yield found

    monkeypatch.setattr(int8_export, "iter_quantised", two_graphs)
    report = export_int8(model, tmp_path / "a.onnx", scene, Config())
    assert len(report.layers_in_float) > 1
    assert report.agreement >= 0.95
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_a_file_is_replaced_only_when_asked(model, scene, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        export_int8(model, tmp_path / "a.onnx", scene, Config())


def test_imagery_too_small_to_check_with_is_refused(model, tmp_path):
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "a.png")
    write_coco(tmp_path / "val.json", {"a.png": []}, classes=("tree",))
    with pytest.raises(TilesetError, match="has 1 images: too few"):
        export_int8(model, tmp_path / "a.onnx", tmp_path, Config())


@pytest.mark.usefixtures("known_layers")
def test_chips_with_other_bands_are_refused(model, tmp_path):
    (tmp_path / "images").mkdir()
    for part in ("train", "val"):
        Image.fromarray(np.full((48, 64), 90, np.uint8)).save(tmp_path / "images" / f"{part}.png")
        write_coco(tmp_path / f"{part}.json", {f"{part}.png": [(0, 4, 4, 12, 12)]}, ("tree",))
    with pytest.raises(ModelFileError, match=r"\.png has 1 bands, and the model needs 3"):
        export_int8(model, tmp_path / "a.int8.onnx", tmp_path, Config())


def test_imagery_without_objects_is_refused(model, tmp_path):
    geobox = GeoBox(128, 128, Affine(0.6, 0, 447_000, 0, -0.6, 5_411_000), CRS.from_epsg(32633))
    dark = np.random.default_rng(0).integers(0, 9, (3, 128, 128)).astype(np.uint8)
    write_raster(tmp_path / "dark.tif", dark, geobox)
    with pytest.raises(ModelFileError, match="finds nothing in the chips that are used"):
        export_int8(model, tmp_path / "a.onnx", tmp_path / "dark.tif", Config())


def test_a_file_of_other_weights_is_not_used(exported, model, said):
    other = replace(model, digest="0" * 64, int8=exported.output)
    assert build_predictor(other, DetectConfig(), "cpu").precision != "int8"
    assert any("was made from other weights" in line for line in said())
    with pytest.raises(ConfigError, match="was made from other weights"):
        build_predictor(other, DetectConfig(precision="int8"), "cpu")


def test_auto_takes_it_where_it_is_the_fastest(exported, model, monkeypatch):
    own = replace(model, int8=exported.output)
    for chosen in ("int8", "float32", "bfloat16"):
        monkeypatch.setattr("geodet.onnx.backend.fastest_precision", lambda _, to=chosen: to)
        assert build_predictor(own, DetectConfig(), "cpu").precision == chosen
    assert build_predictor(own, DetectConfig(precision="float32"), "cpu").precision == "float32"


def test_integers_are_refused_where_there_are_none(model, tmp_path):
    config = DetectConfig(precision="int8")
    with pytest.raises(ConfigError, match="it has no eight-bit file"):
        build_predictor(model, config, "cpu")
    with pytest.raises(DeviceError, match="no device"):
        build_predictor(model, config, "cuda:7")


def test_an_eight_bit_file_is_a_model_of_its_own(exported):
    engine = OnnxEngine(exported.output)
    assert engine.precision == "int8"
    loaded = load_model(exported.output)
    assert build_predictor(loaded, DetectConfig(), "cpu").precision == "int8"
    with pytest.raises(ConfigError, match=r"float32, and .* computes in int8"):
        build_predictor(loaded, DetectConfig(precision="float32"), "cpu")
    with pytest.raises(ModelFileError, match="cannot be trained or exported"):
        _ = loaded.network


def test_the_file_of_a_model_lies_beside_it(exported, make_model):
    path = make_model("mine.safetensors")
    assert load_model(path).int8 is None
    beside = int8_path(path)
    beside.write_bytes(exported.output.read_bytes())
    assert load_model(path).int8 == beside


def test_the_check_drops_weak_objects_of_each_class_in_both_forms():
    """With the lowest threshold for all, integers found what floats had dropped."""
    model = load_model("thermal")
    about = model.description.model_copy(update={"score_thresholds": {"Car": 0.6}})
    floats = build_predictor(
        replace(model, description=about), DetectConfig(precision="float32"), "cpu"
    )
    int8 = int8_export._with_engine(floats, floats.engine)
    assert len(set(floats.class_thresholds)) == 2
    assert int8.class_thresholds == floats.class_thresholds
