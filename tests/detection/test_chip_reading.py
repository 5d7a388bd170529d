import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geodet.detection.chip_reading
from geodet.detection.chip_reading import count_readers, iter_chips
from geodet.errors import SceneError
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene

GRID = WindowGrid(100, 60, 10, 0)  # 60 windows


class StubScene:
    """Serves chips that say their window, counts them and may fail or hold back."""

    def __init__(self, *, empty=(), broken=()):
        self.empty, self.broken = set(empty), set(broken)
        self.lock = threading.Lock()
        self.started = 0
        self.asked = 0
        self.most_outstanding = 0
        self.expected = Counter()
        self.error = SceneError("broken window", hint="")

    def expect(self, window, *, next_row, first_column):
        assert (next_row, first_column) == (window.row_end, 0)
        self.expected[window] += 1
        return lambda: self.expected.subtract([window])

    def read(self, window):
        assert self.expected[window] == 1
        with self.lock:
            self.started += 1
            self.most_outstanding = max(self.most_outstanding, self.started - self.asked)
        place = window.col_off // 10 + window.row_off
        if place in self.broken:
            raise self.error
        shape = (window.height, window.width)
        return Chip(window, np.full((1, *shape), place), np.full(shape, place not in self.empty))

    def abandon_reads(self):
        """Leave no reader behind: none waits for a server."""

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


def test_no_chip_is_read_before_the_first_is_asked_for():
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


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("end", ["all", "closed", "broken"])
def test_each_window_is_expected_before_it_is_read_and_forgotten_in_the_end(workers, end):
    scene = StubScene(broken=[20] if end == "broken" else [])
    chips = iter_chips(scene, GRID, workers=workers, ahead=6)
    if end == "closed":
        next(chips)
        assert scene.expected.total() > 0
        chips.close()
    elif end == "broken":
        with pytest.raises(SceneError, match="broken window"):
            list(chips)
    else:
        list(chips)
    assert set(scene.expected.values()) == {0}
    assert len(scene.expected) == {"all": 60, "closed": 7, "broken": 26}[end]


@given(st.sets(st.integers(0, 59)))
def test_only_the_windows_asked_for_are_read(wanted):
    scene = StubScene()
    found = iter_chips(scene, GRID, workers=2, ahead=3, indices=sorted(wanted))
    assert [index for index, _ in found] == sorted(wanted)
    assert scene.started == len(wanted)


@pytest.mark.parametrize("workers", [1, 4])
def test_chips_are_those_that_rasterio_reads(make_scene, workers):
    path = make_scene(nodata=0, holes=[(0, 0, 64, 80)])
    with Scene(path) as scene:
        grid = WindowGrid(*scene.grid, 32, 8)
        for index, chip in iter_chips(scene, grid, workers=workers, ahead=3):
            expected = scene.read(grid[index])
            np.testing.assert_array_equal(chip.pixels, expected.pixels)
            np.testing.assert_array_equal(chip.valid, expected.valid)


def test_windows_that_begin_before_the_scene_have_no_data_there(make_scene):
    with Scene(make_scene(nodata=0, holes=[(0, 0, 5, 9)])) as scene:
        grid = WindowGrid(*scene.grid, 32, 8, 8, 3, 6)
        chips = dict(iter_chips(scene, grid, workers=2, ahead=3))
        whole = scene.read(Window(0, 0, *scene.grid))
    pixels = np.pad(whole.pixels, ((0, 0), (6, 0), (3, 0)))
    valid = np.pad(whole.valid, ((6, 0), (3, 0)))
    assert (grid[0].col_off, grid[0].row_off) == (-3, -6)
    for index, chip in chips.items():
        window = grid[index]
        assert chip.window == window
        part = np.s_[
            window.row_off + 6 : window.row_end + 6, window.col_off + 3 : window.col_end + 3
        ]
        np.testing.assert_array_equal(chip.pixels, pixels[:, *part])
        np.testing.assert_array_equal(chip.valid, valid[part])


# Files


def bytes_read():
    """Count the bytes that this process has asked the system for."""
    counters = Path("/proc/self/io")
    if not counters.exists():
        pytest.skip("this system does not count the bytes that a process reads")
    return int(counters.read_text().split()[1])


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    "layout",
    [
        {"blockysize": 4},
        {"blockysize": 7, "interleave": "band"},
        {"tiled": True, "blockxsize": 256, "blockysize": 256},
        {"tiled": True, "blockxsize": 64, "blockysize": 64},
        {"blockysize": 4, "compress": "deflate"},
    ],
)
@pytest.mark.parametrize("factor", [1.0, 0.55])
def test_reading_all_windows_reads_each_byte_of_the_file_once(make_scene, layout, workers, factor):
    path = make_scene(width=1500, height=1000, **layout)
    with Scene(path) as scene:
        scene.resample(int(1500 * factor), int(1000 * factor))
        grid = WindowGrid(*scene.grid, 200, 40)
        before = bytes_read()
        for _ in iter_chips(scene, grid, workers=workers, ahead=6):
            pass
        count = bytes_read() - before
    assert 0.9 * path.stat().st_size < count < 1.1 * path.stat().st_size


@pytest.mark.parametrize("options", [{"blockysize": 1}, {"tiled": True}])
def test_a_file_that_is_truncated_while_it_is_read_is_an_error(make_scene, options, handles):
    path = make_scene(width=600, height=600, **options)
    grid = WindowGrid(600, 600, 64, 0)
    with Scene(path) as scene:
        chips = iter_chips(scene, grid, workers=3, ahead=4)
        next(chips)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(SceneError, match=r"cannot read window .* of .*scene\.tif") as caught:
            list(chips)
        assert "truncated" in caught.value.hint
        assert not readers()
    assert handles
    assert all(source.dataset.closed for source in handles)


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        *(((1, 1), factor) for factor in (1, 0.5, 1.7)),
        *(((1, 3000), factor) for factor in (1, 0.5, 1.7)),
        *(((9000, 3), factor) for factor in (1, 0.5, 1.7)),
        ((30, 20), 1),
        ((200_000, 1), 1),
    ],
)
def test_odd_scenes_are_read_whole(make_scene, size, factor):
    path = make_scene(width=size[0], height=size[1], bands=1)
    with Scene(path) as scene:
        scene.resample(int(size[0] * factor), int(size[1] * factor))
        grid = WindowGrid(*scene.grid, 512, 64)
        covered = 0
        for index, chip in iter_chips(scene, grid, workers=2, ahead=3):
            assert chip.valid.all()
            core = grid.core(index)
            covered += core.width * core.height
    assert covered == scene.grid[0] * scene.grid[1]


@pytest.mark.parametrize(
    ("workers", "device", "cores", "expected"),
    [
        *((None, "cpu", 64, 2), (None, "cuda", 1, 2), (None, "cuda", 12, 12)),
        *((None, "cuda", 64, 16), (5, "cpu", 2, 5), (1, "cuda", 16, 1), (40, "cuda", 16, 40)),
    ],
)
def test_readers_are_chosen_by_the_device_and_the_cores(
    monkeypatch, workers, device, cores, expected
):
    monkeypatch.setattr(geodet.detection.chip_reading, "count_cores", lambda: cores)
    assert count_readers(workers, device) == expected


@pytest.mark.parametrize(
    ("workers", "device", "expected"),
    [(None, "cpu", 8), (None, "cuda", 16), (1, "cpu", 1), (20, "cuda", 20)],
)
def test_more_threads_wait_for_a_server(monkeypatch, workers, device, expected):
    monkeypatch.setattr(geodet.detection.chip_reading, "count_cores", lambda: 1)
    assert count_readers(workers, device, is_remote=True) == expected
