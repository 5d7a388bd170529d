import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodet.errors import SceneError
from geodet.reading import iter_batches, iter_chips
from geodet.scene import Chip, Scene
from geodet.windows import WindowGrid

GRID = WindowGrid(100, 60, 10, 0)  # 60 windows


class StubScene:
    """Serves chips that say their window, counts them and may fail or hold back."""

    def __init__(self, *, empty=(), broken=()):
        self.empty, self.broken = set(empty), set(broken)
        self.lock = threading.Lock()
        self.started = 0
        self.asked = 0
        self.most_outstanding = 0
        self.error = SceneError("broken window", hint="")

    def read(self, window):
        with self.lock:
            self.started += 1
            self.most_outstanding = max(self.most_outstanding, self.started - self.asked)
        place = window.col_off // 10 + window.row_off
        if place in self.broken:
            raise self.error
        shape = (window.height, window.width)
        return Chip(window, np.full((1, *shape), place), np.full(shape, place not in self.empty))

    def ask(self, chips):
        """Take the next chip."""
        with self.lock:
            self.asked += 1
        return next(chips)


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("geodet-read")]


@pytest.fixture(autouse=True)
def _no_reader_is_left_over():
    assert not readers()
    yield
    assert not readers()


options = st.tuples(st.integers(1, 5), st.integers(1, 9))


@settings(max_examples=30)
@given(options)
def test_chips_come_in_the_order_of_the_grid(option):
    workers, ahead = option
    found = list(iter_chips(StubScene(), GRID, workers=workers, ahead=ahead))
    assert [index for index, _ in found] == list(range(60))
    assert [chip.window for _, chip in found] == list(GRID)


@settings(max_examples=30)
@given(options)
def test_no_more_is_read_ahead_than_allowed(option):
    workers, ahead = option
    scene = StubScene()
    chips = iter_chips(scene, GRID, workers=workers, ahead=ahead)
    for _ in range(len(GRID)):
        scene.ask(chips)
    assert next(chips, None) is None
    assert scene.started == len(GRID)
    assert scene.most_outstanding <= ahead


def test_nothing_is_read_before_it_is_asked_for():
    scene = StubScene()
    iter_chips(scene, GRID, workers=2, ahead=4)
    assert scene.started == 0


@pytest.mark.parametrize("broken", [0, 7, 59])
@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_a_reader_is_raised_where_its_chip_was_due(broken, workers):
    scene = StubScene(broken=[broken])
    chips = iter_chips(scene, GRID, workers=workers, ahead=5)
    seen = []
    with pytest.raises(SceneError, match="broken window") as caught:
        seen.extend(index for index, _ in chips)
    assert caught.value is scene.error
    assert not readers()
    assert scene.started <= broken + 1 + 5
    with pytest.raises(StopIteration):
        next(chips)


def test_closing_stops_the_readers():
    scene = StubScene()
    chips = iter_chips(scene, GRID, workers=3, ahead=6)
    assert scene.ask(chips)[0] == 0
    assert readers()
    chips.close()
    assert not readers()
    assert scene.started <= 1 + 6


def test_closing_batches_stops_the_readers():
    batches = iter_batches(StubScene(), GRID, workers=3, batch_size=2)
    next(batches)
    batches.close()
    assert not readers()


def test_an_error_of_a_reader_ends_the_batches():
    scene = StubScene(broken=[9])
    batches = iter_batches(scene, GRID, workers=2, batch_size=4)
    with pytest.raises(SceneError, match="broken window") as caught:
        list(batches)
    assert caught.value is scene.error
    assert not readers()


@settings(max_examples=40)
@given(st.sets(st.integers(0, 59)), st.integers(1, 9), st.integers(1, 4))
def test_batches_hold_every_window_and_are_full_of_data(empty, size, workers):
    batches = list(iter_batches(StubScene(empty=empty), GRID, workers=workers, batch_size=size))
    rows = [row for batch in batches for row in batch]
    assert [index for index, _ in rows] == list(range(60))
    assert {index for index, chip in rows if chip is None} == empty
    for index, chip in rows:
        assert chip is None or (chip.window == GRID[index] and (chip.pixels == index).all())
    with_data = [sum(chip is not None for _, chip in batch) for batch in batches]
    assert all(count == size for count in with_data[:-1])
    assert 0 <= with_data[-1] <= size
    assert all(batches)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_scene_is_read_as_by_hand(make_scene, workers):
    path = make_scene(nodata=0, holes=[(0, 0, 64, 80)])
    with Scene(path) as scene:
        grid = WindowGrid(*scene.grid, 32, 8)
        batches = iter_batches(scene, grid, workers=workers, batch_size=3)
        rows = [row for batch in batches for row in batch]
        for index, chip in rows:
            expected = scene.read(grid[index])
            assert (chip is None) == (not expected.valid.any())
            if chip is not None:
                np.testing.assert_array_equal(chip.pixels, expected.pixels)
                np.testing.assert_array_equal(chip.valid, expected.valid)
    assert sum(chip is None for _, chip in rows) == 6
