import numpy as np
import pytest
from factories_tilesets import NORTH_UP
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import TileConfig
from geodet.errors import TilesetError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window, WindowGrid
from geodet.tilesets.chip_plan import (
    drop_overlapping,
    find_visible_objects,
    plan_chips,
    split_blocks,
)
from geodet.tilesets.ground_blocks import name_block
from geodet.tilesets.labelled_scene import LabelledScene

grids = st.builds(
    lambda width, height, size, share: WindowGrid(width, height, size, int(share * size)),
    st.integers(20, 150),
    st.integers(20, 150),
    st.integers(16, 64),
    st.floats(0, 0.7),
)
box_arrays = st.lists(
    st.tuples(*[st.floats(-20, 190)] * 2, *[st.floats(0, 40)] * 2), max_size=12
).map(lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows]).reshape(-1, 4))


def pixels(window):
    columns = range(window.col_off, window.col_end)
    return {(c, r) for c in columns for r in range(window.row_off, window.row_end)}


def shares_pixel(a, b):
    columns = min(a.col_end, b.col_end) - max(a.col_off, b.col_off)
    return columns > 0 and min(a.row_end, b.row_end) - max(a.row_off, b.row_off) > 0


def test_the_helper_finds_shared_pixels():
    windows = [Window(0, 0, 4, 4), Window(3, 3, 4, 4), Window(4, 0, 4, 4), Window(0, 4, 3, 3)]
    for a in windows:
        for b in windows:
            assert shares_pixel(a, b) == bool(pixels(a) & pixels(b))


@given(grids, st.integers(4, 90), st.floats(0, 0.99), st.integers(0, 9))
def test_no_training_window_shares_a_pixel_with_a_validation_window(grid, block, fraction, seed):
    windows = list(grid)
    blocks = [name_block(w.col_off + w.width / 2, w.row_off + w.height / 2, block) for w in windows]
    is_val = split_blocks(blocks, np.ones(len(windows), bool), fraction, seed)
    stays = drop_overlapping(windows, is_val)
    assert stays[is_val].all()
    val = [windows[i] for i in np.flatnonzero(is_val)]
    for index in np.flatnonzero(~is_val):
        assert stays[index] == (not any(shares_pixel(windows[index], other) for other in val))


@given(grids, box_arrays, st.booleans(), st.floats(0.01, 1))
def test_visible_objects_match_brute_force(grid, boxes, is_point, least):
    windows = list(grid)
    visible = find_visible_objects(windows, boxes, np.full(len(boxes), is_point), least)
    found = dict(
        zip(
            zip(visible.window.tolist(), visible.object.tolist(), strict=True),
            visible.kept,
            strict=True,
        )
    )
    for w, window in enumerate(windows):
        low, high = [window.col_off, window.row_off], [window.col_end, window.row_end]
        for b, box in enumerate(boxes):
            sides = np.clip(np.minimum(box[2:], high) - np.maximum(box[:2], low), 0, None)
            shared = sides.prod()
            if shared == 0:
                assert (w, b) not in found
                continue
            centre = (box[:2] + box[2:]) / 2
            inside = bool(np.all((low <= centre) & (centre < high)))
            share = shared / np.prod(box[2:] - box[:2])
            kept = inside if is_point else share >= least
            if kept or sides.min() > 0.001:
                assert found[w, b] == kept
            else:
                assert (w, b) not in found
        rows = visible.of(w)
        np.testing.assert_array_equal(visible.window[rows], w)
        assert len(visible.window[rows]) == np.sum(visible.window == w)


@pytest.mark.parametrize("noise", [0, 1e-9, 1e-6])
def test_a_window_does_not_show_what_rounding_puts_over_its_edge(noise):
    """As a change of the CRS does with an object that ends at the edge."""
    windows = list(WindowGrid(200, 100, 100, 0))
    boxes = np.array([[80, 20, 100 + noise, 40], [100 - noise, 60, 120, 80], [90, 0, 100.1, 9]])
    visible = find_visible_objects(windows, boxes, np.zeros(3, bool), 0.3)
    assert visible.window.tolist() == [0, 0, 1, 1]
    assert visible.object.tolist() == [0, 2, 1, 2]
    assert visible.kept.tolist() == [True, True, True, False]


places = st.floats(0, 79.9) | st.integers(0, 79)  # integers hit the seams


@given(st.lists(st.tuples(places, places), min_size=1, max_size=9))
def test_a_point_is_in_one_window_of_a_grid_without_overlap(points):
    xy = np.array(points, np.float64)
    boxes = np.hstack([xy - 3, xy + 3])
    windows = list(WindowGrid(100, 80, 20, 0))
    visible = find_visible_objects(windows, boxes, np.ones(len(boxes), bool), 0.3)
    assert sorted(visible.object[visible.kept]) == list(range(len(boxes)))


def test_a_block_is_named_by_its_row_and_its_column():
    assert name_block(5, 5, 8) == "0_0"
    assert name_block(8, 9, 8) == "1_1"
    assert name_block(95, 5, 8) == "0_11"


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20), st.integers(0, 9))
def test_blocks_are_not_divided_and_both_parts_have_objects(blocks, seed):
    has_objects = np.arange(len(blocks)) % 2 == 0
    is_val = split_blocks(blocks, has_objects, 0.3, seed)
    val = {b for b, v in zip(blocks, is_val, strict=True) if v}
    assert not val & {b for b, v in zip(blocks, is_val, strict=True) if not v}
    if len({b for b, full in zip(blocks, has_objects, strict=True) if full}) > 1:
        assert (is_val & has_objects).any()
        assert (~is_val & has_objects).any()


def plan(boxes, *, size=(256, 256), **options):
    defaults = {"chip_size": 64, "block_size": 64, "val_fraction": 0.25}
    array = np.array(boxes, np.float64)
    scene = LabelledScene(GeoBox(*size, NORTH_UP, None), array, np.zeros(len(array), bool))
    return plan_chips([scene], TileConfig(**defaults | options))


SPREAD = [[x, y, x + 9, y + 9] for x in (20, 90, 150) for y in (20, 90, 150)]


def test_planned_and_dropped_windows_add_up_to_all():
    made = plan(SPREAD, overlap=16)
    parts = [*made.full.values(), *made.empty.values()]
    assert sum(map(len, parts)) + made.overlapping == len(made.windows)
    assert made.overlapping > 0
    assert len(set().union(*parts)) == sum(map(len, parts))
    for split, full in made.full.items():
        assert full == sorted(full), split
        assert {w for w in full if made.visible.kept[made.visible.of(w)].any()} == set(full)


def test_the_seed_decides_the_plan():
    again, other = plan(SPREAD, seed=1), plan(SPREAD, seed=2)
    assert plan(SPREAD, seed=1).empty == again.empty
    assert other.empty != again.empty


def test_a_fraction_of_zero_gives_no_validation_windows():
    made = plan([[1, 1, 9, 9]], val_fraction=0)
    assert made.full == {"train": [0], "val": []}
    assert made.empty["val"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 1024}, "all objects are in one block of 1024 px"),
        (
            {"chip_size": 200, "overlap": 190, "block_size": 8},
            "every training chip with objects overlaps",
        ),
    ],
)
def test_a_plan_without_a_possible_split_is_refused(options, message):
    with pytest.raises(TilesetError, match=message):
        plan(SPREAD, **options)
