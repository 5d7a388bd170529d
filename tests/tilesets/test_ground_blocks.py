"""Scenes of the same ground share the blocks that train or validate."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geodet.config import TileConfig
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import WindowGrid
from geodet.tilesets.chip_plan import plan_chips
from geodet.tilesets.ground_blocks import find_grounds, place_on_ground
from geodet.tilesets.labelled_scene import LabelledScene

UTM = CRS.from_epsg(32633)
WEST, TOP = 500_000.0, 5_800_000.0
CHIPS = {"chip_size": 32, "block_size": 64, "val_fraction": 0.25, "empty_share": 1}


def geobox(dx=0.0, dy=0.0, *, size=(320, 256), step=0.5, crs=UTM):
    return GeoBox(*size, Affine(step, 0, WEST + dx, 0, -step, TOP - dy), crs)


def around(epsg, *, step):
    """Return a raster in another CRS over the same ground, a little larger."""
    target = CRS.from_epsg(epsg)
    bounds = (WEST, TOP - 128, WEST + 160, TOP)
    west, south, east, north = Transformer.from_crs(UTM, target, always_xy=True).transform_bounds(
        *bounds
    )
    size = round((east - west) / step), round((north - south) / step)
    return GeoBox(*size, Affine(step, 0, west, 0, -step, north), target)


def scene(box, name):
    x, y = np.meshgrid(np.arange(4, box.width - 9, 19.0), np.arange(4, box.height - 9, 19.0))
    boxes = np.stack([x, y, x + 8, y + 8], axis=-1).reshape(-1, 4)
    return LabelledScene(box, boxes, np.zeros(len(boxes), bool), name=name)


def plan(*boxes, **options):
    scenes = [scene(box, f"ortho_{2019 + n}") for n, box in enumerate(boxes)]
    return plan_chips(scenes, TileConfig(**CHIPS | options))


def parts(made, scene):
    """Return the windows of each part that one scene gives."""
    return {
        split: {made.windows[i] for i in made.full[split] if made.scene[i] == scene}
        for split in ("train", "val")
    }


@pytest.mark.parametrize("overlap", [0, 8])
def test_dates_of_one_place_are_split_as_one_of_them_alone(overlap):
    alone = plan(geobox(), overlap=overlap)
    dates = plan(*[geobox()] * 4, overlap=overlap)
    for date in range(4):
        assert parts(dates, date) == parts(alone, 0)
    assert dates.overlapping == 4 * alone.overlapping
    assert dates.elsewhere == 0


@pytest.mark.parametrize(
    "other",
    [
        geobox(5.3, 2.1),
        geobox(step=0.8, size=(200, 160)),
        around(4326, step=5e-6),
        around(3857, step=0.9),
    ],
)
def test_rasters_of_one_place_on_other_grids_share_the_blocks_on_the_ground(other):
    first = geobox()
    made = plan(first, other)
    middles = {"train": [], "val": []}
    for split, rows in made.full.items():
        for row in rows:
            box = (first, other)[made.scene[row]]
            window = made.windows[row]
            middle = np.array(
                [[window.col_off + window.width / 2, window.row_off + window.height / 2]]
            )
            middles[split].append((first.to_pixels(box.to_world(middle, UTM)), made.blocks[row]))
    names = {split: {name for _, name in found} for split, found in middles.items()}
    assert not names["train"] & names["val"]
    of_names = {}
    for xy, name in middles["train"] + middles["val"]:
        of_names.setdefault(name, []).append(xy[0])
    for places in of_names.values():
        assert (np.ptp(places, axis=0) <= 64 * 1.7).all()  # the coarsest pixels decide
    # With blocks of each alone, a third and more are dropped.
    assert 0 < made.elsewhere < 0.3 * len(made.windows)
    val, train = len(made.full["val"]), len(made.full["train"])
    assert 0.15 < val / (val + train) < 0.45


def test_no_training_window_shows_ground_that_another_scene_validates():
    boxes = [geobox(), around(4326, step=5e-6)]
    made = plan(*boxes)
    shapes = {"train": [], "val": []}
    for split, rows in made.full.items():
        for row in rows:
            window = made.windows[row]
            frame = [[window.col_off, window.row_off, window.col_end, window.row_end]]
            corners = boxes[made.scene[row]].corners(np.array(frame, float), UTM)
            shapes[split].append(shapely.polygons(corners)[0])
    for one in shapes["train"]:
        for other in shapes["val"]:
            assert shapely.intersection(one, other).area < 1e-3 * one.area


def test_scenes_that_only_touch_or_have_no_crs_keep_blocks_of_their_own():
    boxes = [geobox(), geobox(160), geobox(crs=None), geobox(crs=None)]
    assert find_grounds(list("abcd"), boxes) == [[0], [1], [2], [3]]
    made = plan(*boxes)
    for index in range(4):
        names = {b for b, owner in zip(made.blocks, made.scene, strict=True) if owner == index}
        assert {name.partition("/")[0] for name in names} == {f"ortho_{2019 + index}"}


def test_a_ground_joins_scenes_through_others_and_is_named_by_the_first_name():
    boxes = [geobox(140), geobox(), around(4326, step=5e-6), geobox(9000)]
    assert find_grounds(["s10", "s9", "s11", "s1"], boxes) == [[3], [1, 0, 2]]


@pytest.mark.parametrize("west", [179.999, -180.001])
def test_scenes_on_the_two_sides_of_the_antimeridian_are_one_ground(west):
    degrees = CRS.from_epsg(4326)
    step = 1e-5
    boxes = [
        GeoBox(200, 100, Affine(step, 0, 179.9985, 0, -step, -17), degrees),
        GeoBox(200, 100, Affine(step, 0, west, 0, -step, -17), degrees),
    ]
    assert find_grounds(["a", "b"], boxes) == [[0, 1]]
    window = np.array([[0, 0, 32, 32.0]] * 2)
    placed = place_on_ground(["a", "b"], boxes, window, np.arange(2))
    np.testing.assert_allclose(placed.corners[1] - placed.corners[0], [[50, 0]] * 4, atol=1e-3)


@given(st.integers(20, 150), st.integers(20, 150), st.integers(16, 64), st.integers(4, 90))
def test_blocks_of_one_scene_are_counted_from_its_corner(width, height, size, side):
    windows = list(WindowGrid(width, height, size, 0))
    boxes = np.array([(w.col_off, w.row_off, w.col_end, w.row_end) for w in windows], float)
    owner = np.zeros(len(boxes), int)
    placed = place_on_ground(["a"], [geobox(size=(width, height))], boxes, owner)
    assert placed.name_blocks(["a"], [side]) == [
        f"{(2 * w.row_off + w.height) // (2 * side)}_{(2 * w.col_off + w.width) // (2 * side)}"
        for w in windows
    ]
