"""The bundled model on a painted town: arithmetic and windows change nothing that counts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from affine import Affine
from overlaps import pairwise_iou
from pyproj import CRS
from torch import nn

from geodet.config import DetectConfig, MatchConfig
from geodet.demo.town import paint_town
from geodet.detection.predictor import build_predictor
from geodet.detection.scene_run import detect_scene
from geodet.evaluation.threshold_curves import Comparison, count_matches
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.models.checkpoint import load_checkpoint
from geodet.models.inputs import is_whole_mask
from geodet.models.torch_engine import WidestLayer, stack_tensors
from geodet.raster.geotiff import write_raster
from geodet.raster.scene import Scene

SIDE = 640
PLACE = Affine(0.6, 0, 446995.2, 0, -0.6, 5411001.6)  # multiples of the stride from the origin


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    path = tmp_path_factory.mktemp("town") / "town.tif"
    geobox = GeoBox(SIDE, SIDE, PLACE, CRS.from_epsg(32633))
    write_raster(path, paint_town(SIDE, SIDE, seed=3).pixels, geobox)
    with Scene(path) as scene:
        yield scene


@pytest.fixture(scope="module")
def model():
    return load_checkpoint("urban-trees")


def found_with(town, model, **settings):
    config = DetectConfig(**{"precision": "float32"} | settings)
    return detect_scene(town, build_predictor(model, config, "cpu"), config).detections


def test_bfloat16_finds_what_float32_finds(town, model):
    """The same objects, boxes within half a pixel and scores within 0.05.

    Two boxes of one tree may change places where their scores are that close, and what is that
    close to the threshold may come or go.
    """
    lowest = model.description.score_threshold
    exact, rough = (
        found_with(town, model, precision=precision, score_threshold=lowest - 0.05)
        for precision in ("float32", "bfloat16")
    )
    sure = exact.select(exact.scores >= lowest)
    apart = np.abs(sure.boxes[:, None] - rough.boxes[None]).max(axis=-1)
    nearest = apart.argmin(axis=1)
    same = (apart.min(axis=1) <= 0.5) & (np.abs(rough.scores[nearest] - sure.scores) <= 0.05)
    assert len(sure) > 100
    assert same.mean() >= 0.97
    matched = pairwise_iou(sure.boxes, rough.boxes).max(axis=1)
    assert (matched > 0.5).mean() >= 0.99


def agreement(found, wanted):
    """Compute the F1 of detections against others, one to one, at an overlap of a half."""
    nothing = np.zeros((0, 4))
    result = Comparison.of(
        found, wanted.boxes, wanted.labels, ignored=nothing, rule=MatchConfig(iou=0.5), gsd=None
    )
    return count_matches([result], 0.0).f1


WINDOWS = [
    {"chip_size": 288, "overlap": 128},
    {"chip_size": 400, "overlap": 130, "batch_size": 3, "workers": 4},
    {"chip_size": 500, "overlap": 128},
]


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_detections_agree_whatever_the_windows(town, model, windows):
    whole = found_with(town, model, chip_size=SIDE)
    cut = found_with(town, model, **windows)
    assert len(whole) > 150
    assert agreement(cut, whole) >= 0.99  # one or two of them lie at the threshold


def test_a_shift_of_the_scene_by_strides_shifts_its_detections(town, model, tmp_path):
    """Another origin of the grid: 96 columns and 64 rows less on the upper left."""
    predictor = build_predictor(model, DetectConfig(precision="float32"), "cpu")
    whole = town.read_overview(SIDE)
    geobox = GeoBox(SIDE - 96, SIDE - 64, PLACE @ Affine.translation(96, 64), town.geobox.crs)
    write_raster(tmp_path / "part.tif", whole.pixels[:, 64:, 96:], geobox)
    with Scene(tmp_path / "part.tif") as part:
        shifted = found_with(part, model, chip_size=288, overlap=128).shifted(96, 64)
    here = found_with(town, model, chip_size=352, overlap=128)
    inner = [one.select((one.boxes[:, :2] > [192, 160]).all(axis=1)) for one in (shifted, here)]
    assert len(inner[1]) > 80
    assert agreement(*inner) >= 0.97
    for found, wanted in (inner, inner[::-1]):  # only those at the threshold differ
        sure = wanted.select(wanted.scores >= predictor.score_threshold + 0.03)
        assert pairwise_iou(sure.boxes, found.boxes).max(axis=1).min() > 0.5
    assert predictor.stride == 16


@pytest.mark.parametrize(("given", "used"), [(None, 0.4), (0.0, 0.0), (0.7, 0.7)])
def test_the_iou_threshold_is_that_of_the_settings_zero_included(make_model, given, used):
    model = make_model("iou.safetensors", iou_threshold=0.4)
    predictor = build_predictor(load_checkpoint(model), DetectConfig(iou_threshold=given), "cpu")
    assert predictor.iou_threshold == used


def test_the_cap_of_candidates_grows_with_the_chip(town, model):
    """By hand: 640 x 640 px are 1.5625 chips of 512 x 512."""
    config = DetectConfig(precision="float32", max_candidates=20)
    predictor = build_predictor(model, config, "cpu")
    chip = town.read_overview(SIDE)
    (decoded,) = predictor([chip])
    logits = predictor.forward(*predictor.stack([chip]))[0]
    passing = int((logits.sigmoid() >= predictor.score_threshold).sum())
    assert decoded.capped == passing - round(20 * 640 * 640 / 512**2)
    assert 0 < len(decoded.detections) <= 31
    assert isinstance(decoded.detections, Detections)


@pytest.mark.parametrize(("side", "kept"), [(SIDE, 12), (128, 2)])
def test_the_cap_of_a_level_is_for_a_chip_of_256_px(town, model, side, kept):
    """By hand: 640 x 640 px are 6.25 of them, and a smaller one counts as one."""
    config = DetectConfig(precision="float32", max_per_level=2)
    predictor = build_predictor(model, config, "cpu", score_threshold=0.0)
    chip = town.read(Window(0, 0, side, side))
    logits = predictor.forward(*predictor.stack([chip])).logits
    (decoded,) = predictor([chip])
    levels = len(model.network.anchors.strides)
    assert decoded.capped == logits.numel() - levels * kept
    config = config.model_copy(update={"max_per_level": 0, "max_candidates": logits.numel()})
    (decoded,) = build_predictor(model, config, "cpu", score_threshold=0.0)([chip])
    assert decoded.capped == 0


@pytest.mark.parametrize("value_range", [None, (-1.0, 1.0)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_values_beyond_those_of_training_are_clipped(tiny_model, dtype, value_range):
    """But all bytes are seen in training: nothing is beyond, unless a range says where they end."""
    ends = {"low": (10.0, 20.0, 30.0), "high": (240.0, 230.0, 220.0)}
    about = tiny_model.description.model_copy(update={"dtype": dtype, **ends})
    low, high = (0, 255) if dtype == "uint8" else (np.reshape(v, (3, 1, 1)) for v in ends.values())
    values = np.random.default_rng(0).uniform(-200, 500, (1, 3, 64, 64))
    start, end = value_range or (low, high)

    def logits(in_units):
        units = start + (in_units - low) * (end - start) / (high - low)
        config = DetectConfig(precision="float32", value_range=value_range)
        predictor = build_predictor(replace(tiny_model, description=about), config, "cpu")
        pixels = torch.from_numpy(units.astype(np.float32))
        return predictor.forward(pixels, torch.ones(1, 64, 64, dtype=torch.bool)).logits.numpy()

    is_same = np.abs(logits(values) - logits(values.clip(low, high))).max() < 1e-3
    assert is_same == (dtype == "uint16" or value_range is not None)


def test_the_widest_layer_is_the_one_that_holds_most():
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 5, 1)))
    with WidestLayer(network) as widest:
        network(torch.zeros(2, 3, 10, 10))
    assert widest.bytes == 4 * 2 * 100 * (8 + 8)  # of the ReLU, in floats
    before = widest.bytes
    network(torch.zeros(2, 3, 40, 40))
    assert widest.bytes == before


def test_layers_that_take_no_tensor_hold_nothing():
    class Odd(nn.Module):
        def forward(self, name):
            return name

    with WidestLayer(Odd()) as widest:
        Odd()("x")
    assert widest.bytes == 0


def test_masks_are_stacked_only_where_a_chip_has_a_hole(town):
    chip = town.read(Window(0, 0, 40, 30))
    holed = replace(chip, valid=np.arange(40 * 30).reshape(30, 40) > 5)
    assert is_whole_mask(stack_tensors([chip.pixels] * 2, [chip.valid] * 2).valid)
    valid = stack_tensors([chip.pixels] * 2, [chip.valid, holed.valid]).valid
    assert torch.equal(valid, torch.from_numpy(np.stack([chip.valid, holed.valid])))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float64])
def test_threads_stack_what_one_thread_stacks(dtype):
    pixels = list(np.random.default_rng(0).integers(0, 250, (5, 3, 20, 30)).astype(dtype))
    valid = [np.ones((20, 30), np.bool_)] * 5
    with ThreadPoolExecutor(3) as copiers:
        stacked = stack_tensors(pixels, valid, copiers=copiers).pixels
    alone = stack_tensors(pixels, valid).pixels
    assert stacked.dtype == alone.dtype
    assert torch.equal(stacked, alone)
