"""The objects of a tile, against a search through all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodet.viewer.object_index import ObjectIndex


def scattered(count, seed, largest=0.02):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 1, (count, 2))
    bounds = np.hstack([low, np.minimum(low + rng.uniform(0, largest, (count, 2)), 1)])
    return bounds, rng.uniform(0, 1, count), rng.integers(0, 3, count)


def index_of(objects, finest=20):
    return ObjectIndex(*objects, finest_zoom=finest)


def tile_of(zoom, share):
    return zoom, int(share[0] * 2**zoom), int(share[1] * 2**zoom)


TILES = st.tuples(st.integers(0, 5), st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)))


@settings(max_examples=40)
@given(seed=st.integers(0, 5), count=st.integers(0, 300), tile=TILES)
def test_objects_are_found_by_their_centres(seed, count, tile):
    objects = scattered(count, seed)
    z, x, y = tile_of(*tile)
    centres = (objects[0][:, :2] + objects[0][:, 2:]) / 2
    expected = np.flatnonzero((np.floor(centres * 2**z) == [x, y]).all(axis=1))
    assert sorted(index_of(objects).centred(z, x, y).tolist()) == expected.tolist()


@settings(max_examples=40)
@given(seed=st.integers(0, 5), count=st.integers(0, 300), tile=TILES, giants=st.booleans())
def test_objects_are_found_in_every_tile_that_they_touch(seed, count, tile, giants):
    bounds, scores, labels = scattered(count, seed)
    if giants and count:
        bounds[0] = [0, 0, 1, 1]
    index = index_of((bounds, scores, labels))
    z, x, y = tile_of(*tile)
    if z > index.finest_zoom:
        return
    low, high = np.array([x, y]) / 2**z, np.array([x + 1, y + 1]) / 2**z
    touches = ((bounds[:, 2:] >= low) & (bounds[:, :2] <= high)).all(axis=1)
    assert index.touching(z, x, y).tolist() == np.flatnonzero(touches).tolist()


@settings(max_examples=40)
@given(seed=st.integers(0, 5), at=st.floats(0, 1))
def test_cells_have_the_strongest_object_of_each_class_and_the_count(seed, at):
    bounds, scores, labels = scattered(400, seed)
    cells = index_of((bounds, scores, labels)).cells(1, 0, 1, 2, at=at)
    centres = (bounds[:, :2] + bounds[:, 2:]) / 2
    place = np.floor(centres * 8).astype(int)
    expected = {}
    for row in np.flatnonzero((np.floor(centres * 2) == [0, 1]).all(axis=1)):
        expected.setdefault((*place[row], labels[row]), []).append(row)
    found = {(*place[row], labels[row]): row for row in cells.strongest.tolist()}
    assert found.keys() == expected.keys()
    for row, count in zip(cells.strongest.tolist(), cells.count.tolist(), strict=True):
        rows = expected[(*place[row], labels[row])]
        assert scores[row] == scores[rows].max()
        assert count == max((scores[rows] >= at).sum(), 1)


def test_one_object_as_large_as_the_scene_does_not_make_tiles_coarse():
    bounds, scores, labels = scattered(5000, 0, largest=0.001)
    bounds[0] = [0, 0, 1, 1]
    assert index_of((bounds, scores, labels)).finest_zoom >= 9


@pytest.mark.parametrize("tile", [(3, 8, 0), (3, 0, 8), (2, -1, 0)])
def test_outside_of_the_square_there_is_nothing(tile):
    assert len(index_of(scattered(50, 0)).centred(*tile)) == 0
