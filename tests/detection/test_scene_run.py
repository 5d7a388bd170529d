"""Detection in one scene: windows, parts that come as they are final, and the parts left out."""

import contextlib
import sqlite3
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pretended_predictor import AtOnce

import geodet.raster.block_layout
from geodet.config import DetectConfig, ModelConfig
from geodet.detection import window_plan as planning
from geodet.detection.scene_run import SceneRun, detect_scene
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.models.decode import Decoded
from geodet.models.input_values import InputValues
from geodet.raster.blocks import BlockStore
from geodet.raster.scene import Scene
from geodet.raster.source import Source
from geodet.vector.area_of_interest import AreaOfInterest
from geodet.vector.rows import VectorLayer
from geodet.vector.write_detections import open_writer

SIDE = 400
PLACE = Affine(0.5, 0, 5e5, 0, -0.5, 5e6)
CONFIG = DetectConfig(chip_size=64, overlap=16, batch_size=2)


class Seer(AtOnce):
    """Finds the part of each object that a chip shows; remembers the windows that it saw."""

    iou_threshold = 0.5
    device = torch.device("cpu")
    stride = 8
    object_px = None
    architecture = ModelConfig(backbone="resnet18")
    bytes_per_pixel = 1000.0
    values = InputValues((0.0,), (10.0,))

    def __init__(self, objects, scores=None):
        self.objects = np.array(objects, float).reshape(-1, 4)
        self.scores = np.full(len(self.objects), 0.9) if scores is None else np.array(scores)
        self.windows = []

    def __call__(self, chips):
        self.windows += [chip.window for chip in chips]
        return [self.look(chip.window) for chip in chips]

    def look(self, window):
        boxes = self.objects - np.tile([window.col_off, window.row_off], 2)
        shown = np.clip(boxes, 0, [window.width, window.height] * 2)
        seen = np.all(shown[:, 2:] > shown[:, :2], axis=1)
        return Decoded(Detections(shown[seen], self.scores[seen], np.zeros(seen.sum())), 1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):

    path = tmp_path_factory.mktemp("scene") / "wide.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (1, SIDE, SIDE)).astype(np.uint8)
    pixels[:, 200:] = 77
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=PLACE) as to:
        to.write(pixels)
    with Scene(path) as opened:
        yield opened


def test_a_wide_striped_scene_is_decoded_once(make_scene, monkeypatch):
    """The windows are lower than without a limit, and what is found is the same."""
    path = make_scene(width=1200, height=900, bands=1, blockysize=1)
    places = [(0, 0), (800, 0), (400, 400)]
    objects = np.concatenate([squares(150) + np.tile(place, 2) for place in places])
    found, pixels = [], []
    read = Source.read
    monkeypatch.setattr(Source, "read", lambda *args: pixels.append(args[-1]) or read(*args))
    for limit in (512 * 2**20, 1200 * 2 * 450):
        monkeypatch.setattr(geodet.raster.block_layout, "_KEPT_BYTES", (2**16, limit))
        pixels.clear()
        with Scene(path) as wide:
            run = SceneRun(wide, Seer(objects), DetectConfig())
            found.append(Detections.concatenate(list(run)).ranked())
        assert sum(height * width for height, width in pixels) == 1200 * 900
    assert run.grid.rows > 1
    assert len(found[0]) == len(objects)
    np.testing.assert_array_equal(found[1].boxes, found[0].boxes)


@pytest.fixture
def make_tiled(make_scene):
    """Make a wide scene of tiles of 16 x 16 px."""
    return partial(make_scene, width=1600, bands=1, tiled=True, blockxsize=16, blockysize=16)


def search_keeping(tiled, patch, usual, objects, config=CONFIG, scores=None):
    """Detect where so many bytes are usually kept of blocks as large as the file's."""
    patch.setattr(geodet.raster.block_layout, "_TILE", 16)
    patch.setattr(geodet.raster.block_layout, "_KEPT_BYTES", (usual, 2**24))
    with Scene(tiled) as scene:
        run = SceneRun(scene, Seer(objects, scores), config)
        return run.grid.strips, Detections.concatenate(list(run)).ranked()


@settings(max_examples=12)
@given(st.integers(0, 99), st.sampled_from([20, 40, 90]), st.booleans())
def test_strips_find_what_one_strip_does(make_tiled, seed, side, joins):
    """Large objects reach over several windows, and their fragments are joined over seams."""
    tiled = make_tiled(height=150)
    rng = np.random.default_rng(seed)
    corner = np.stack([rng.integers(0, 1600 - side, 60), rng.integers(0, 150 - side, 60)], axis=1)
    objects = np.hstack([corner, corner + rng.integers(side // 2, side, (60, 2))])
    config = CONFIG.model_copy(update={"join_fragments": joins})
    with pytest.MonkeyPatch.context() as patch:
        one, several = (
            search_keeping(tiled, patch, usual, objects, config, rng.permuted(np.arange(60) / 60))
            for rng, usual in ((np.random.default_rng(seed), usual) for usual in (2**24, 1))
        )
    assert (one[0], several[0]) == (1, 17)
    for kind in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(several[1], kind), getattr(one[1], kind))


def test_a_wide_tiled_scene_is_read_in_strips(make_tiled, monkeypatch):
    """Fewer blocks are held at a time, and only those on seams are decoded twice."""
    tiled, held, pixels = make_tiled(height=600), [], []
    read, make_room = Source.read, BlockStore._make_room

    def watched(self, added):
        make_room(self, added)
        held.append(len(self._held))

    monkeypatch.setattr(Source, "read", lambda *args: pixels.append(args[-1]) or read(*args))
    monkeypatch.setattr(BlockStore, "_make_room", watched)
    strips, most, decoded = [], [], []
    for usual in (16 * 1600 * 2, 16 * 200 * 2):
        held.clear()
        pixels.clear()
        strips.append(search_keeping(tiled, monkeypatch, usual, squares(150))[0])
        most.append(max(held))
        decoded.append(sum(height * width for height, width in pixels) / (1600 * 600))
    assert strips == [1, 12]
    assert most[1] < most[0] / 2
    assert decoded[0] == 1 < decoded[1] < 1.3


def squares(count, seed=0, side=9):
    """Place objects of one size that do not touch."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(20 * 20, count, replace=False)
    corner = 20.0 * np.stack([cells % 20, cells // 20], axis=1) + rng.integers(0, 10, (count, 2))
    return np.hstack([corner, corner + side])


def test_parts_come_from_top_to_bottom_as_soon_as_they_are_final(scene):
    objects = squares(150)
    progress = []
    run = SceneRun(scene, Seer(objects), CONFIG, progress=progress.append)
    parts = [part for part in run if len(part)]
    assert len(parts) >= run.grid.rows - 1
    for part in parts:
        assert (np.diff(part.scores) <= 0).all()
    for before, after in pairwise(parts):
        assert after.boxes[:, 3].min() > before.boxes[:, 1].max() - 2 * CONFIG.chip_size
    found = Detections.concatenate(parts).boxes
    assert sorted(map(tuple, found)) == sorted(map(tuple, objects))
    assert sum(step.pixels for step in progress) == 1e6 * run.counts.megapixels == SIDE**2
    assert (run.counts.chips, run.counts.capped) == (len(run.grid), len(run.grid))


@given(st.integers(0, 99), st.sampled_from([40, 56, 64, 100, 400]), st.integers(1, 5))
def test_detections_do_not_depend_on_windows_and_batches(scene, seed, size, batch):
    """The last column and row are narrower, and their chips wait for others of their shape."""
    objects = squares(60, seed)
    scores = np.random.default_rng(seed).random(60)
    config = DetectConfig(chip_size=size, overlap=16, batch_size=batch)
    found, _ = detect_scene(scene, Seer(objects, scores), config)
    order = np.argsort(-scores.astype(np.float32), kind="stable")
    np.testing.assert_array_equal(found.boxes, objects[order])


def test_only_windows_that_may_own_detections_in_the_region_are_read(scene):
    objects = squares(200)
    corner = AreaOfInterest(np.array([shapely.box(10, 20, 110, 90)]), SIDE, SIDE, "")
    seer = Seer(objects)
    run = SceneRun(scene, seer, CONFIG, aoi=corner)
    found = Detections.concatenate(list(run))
    inside = corner.contains((objects[:, :2] + objects[:, 2:]) / 2)
    assert sorted(map(tuple, found.boxes)) == sorted(map(tuple, objects[inside]))
    assert 0 < len(found) < 200
    assert run.counts.chips == len(seer.windows) < len(run.grid) / 3
    assert all(window.col_off < 110 and window.row_off < 90 for window in seer.windows)


def test_featureless_chips_skip_the_network_with_skip_uniform(scene):
    plain, careful = Seer([]), Seer([])
    list(everything := SceneRun(scene, plain, CONFIG))
    assert len(plain.windows) == len(everything.grid)
    assert everything.counts.empty_chips == 0
    list(run := SceneRun(scene, careful, CONFIG.model_copy(update={"skip_uniform": True})))
    lower = [window for window in careful.windows if window.row_off >= 200]
    assert not lower
    assert run.counts.empty_chips == sum(window.row_off >= 200 for window in run.grid) > 0
    assert run.counts.empty_chips + len(careful.windows) == run.counts.chips


LONG = [[30.0, 100.0, 330.0, 112.0]]  # longer than any window


def test_fragments_of_a_long_object_are_joined_with_join_fragments(scene):
    config = CONFIG.model_copy(update={"join_fragments": True})
    apart, _ = detect_scene(scene, Seer(LONG), CONFIG)
    joined, _ = detect_scene(scene, Seer(LONG), config)
    assert len(apart) > 3
    np.testing.assert_array_equal(joined.boxes, LONG)


def test_a_fragment_is_dropped_for_a_complete_box_whatever_its_score(scene):
    """By hand: the object is 20 px long, the overlap 16: the window beside it sees a part."""
    objects = np.array([[38.0, 10, 58, 20]])

    class Surer(Seer):
        def look(self, window):
            decoded = super().look(window)
            boxes = decoded.detections.boxes
            part = (boxes[:, 2] - boxes[:, 0] < 20).astype(np.float32)
            return Decoded(Detections(boxes, 0.5 + 0.4 * part, np.zeros(len(boxes))), 0)

    found, _ = detect_scene(scene, Surer(objects), CONFIG)
    np.testing.assert_array_equal(found.boxes, objects)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, []),
        ({"chip_size": 320}, []),
        ({"chip_size": 380, "overlap": 64}, []),
        ({"chip_size": 319}, ["detect.chip_size=319"]),
        ({"chip_size": 380, "overlap": 63}, ["detect.overlap=63"]),
        ({"chip_size": 256, "overlap": 32}, ["detect.overlap=32"]),
        ({"chip_size": 400, "overlap": 0}, []),  # one window
    ],
)
def test_windows_that_are_too_small_are_warned_of_once(scene, caplog, settings, named):
    planning._warn_once.cache_clear()
    for _ in range(2):
        list(SceneRun(scene, Seer([]), DetectConfig(**settings)))
    assert [record.getMessage().split()[0] for record in caplog.records] == named


STEP = 5
CELLS = (1000, 400)  # columns and rows


class Lattice(Seer):
    """Finds an object of 4 x 4 px in every 5 x 5 px, or what a chip shows of it."""

    def __init__(self):
        super().__init__([])

    def look(self, window):
        x = STEP * np.arange(window.col_off // STEP, -(-window.col_end // STEP))
        y = STEP * np.arange(window.row_off // STEP, -(-window.row_end // STEP))
        corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        self.objects = np.hstack([corners, corners + 4]).astype(float)
        self.scores = 0.4 + corners @ [7, 13] % 97 / 200
        return super().look(window)


def test_400_000_objects_are_written_once_and_in_order(make_scene, tmp_path):
    columns, rows = CELLS
    path = make_scene(width=columns * STEP, height=rows * STEP, bands=1, tiled=True)
    out, parts = tmp_path / "out.gpkg", []
    with Scene(path) as scene:
        run = SceneRun(scene, Lattice(), DetectConfig())
        with open_writer(out, VectorLayer(classes=["tree"], crs=scene.geobox.crs)) as writer:
            for part in run:
                writer.write(SceneDetections(scene.name, scene.geobox, part))
                parts.append(part)
    assert (run.grid.rows >= 2, run.grid.columns >= 4) == (True, True)
    with contextlib.closing(sqlite3.connect(out)) as table:
        written = table.execute("SELECT x1_px, y1_px, score FROM detections ORDER BY fid")
        x, y, scores = np.array(written.fetchall()).T
    cells = y // STEP * columns + x // STEP
    np.testing.assert_array_equal(np.sort(cells), np.arange(columns * rows))
    found = Detections.concatenate(parts)
    np.testing.assert_array_equal(np.stack([x, y], axis=1), found.boxes[:, :2])
    np.testing.assert_allclose(scores, found.scores, atol=1e-4)
