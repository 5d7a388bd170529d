import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodet.detection.chip_reading import iter_chips
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster.blocks import BlockStore

PIXELS = np.random.default_rng(0).integers(0, 255, (2, 60, 100), np.uint8)
DATA = PIXELS[:1] > 20


class ReadStore(BlockStore):
    """A store in place of a scene whose chips are read; no read of it waits for a server."""

    def abandon_reads(self):
        pass


class Loads:
    """Serves blocks of the pixels and counts them; may fail or hold back."""

    def __init__(self, broken=()):
        self.count, self.broken = Counter(), set(broken)
        self.lock = threading.Lock()

    def __call__(self, block):
        with self.lock:
            self.count[block] += 1
        if block in self.broken:
            raise OSError("broken block")
        cells = np.s_[block.row_off : block.row_end, block.col_off : block.col_end]
        return PIXELS[:, *cells].copy(), DATA[:, *cells].copy()


def make_store(load, block=(16, 16), capacity=10**6):
    return BlockStore(100, 60, block, load, capacity=capacity)


def check(store, window):
    cells = np.s_[window.row_off : window.row_end, window.col_off : window.col_end]
    pixels, data = store.read(window)
    np.testing.assert_array_equal(pixels, PIXELS[:, *cells])
    np.testing.assert_array_equal(data, DATA[:, *cells])


@given(st.data(), st.integers(1, 100), st.integers(1, 60), st.integers(0, 5000))
def test_a_window_is_assembled_from_its_blocks(data, width, height, capacity):
    store = make_store(Loads(), (width, height), capacity)
    for _ in range(3):
        left, top = data.draw(st.integers(0, 99)), data.draw(st.integers(0, 59))
        size = data.draw(st.integers(1, 100 - left)), data.draw(st.integers(1, 60 - top))
        check(store, Window(left, top, *size))


@pytest.mark.parametrize("block", [(16, 16), (100, 4)])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_row_of_windows_that_fits_has_each_block_loaded_once(block, threads):
    load = Loads()
    store = make_store(load, block, capacity=100 * (25 + 2 * block[1]) * 3)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda window: check(store, window), WindowGrid(100, 60, 25, 9)))
    assert set(load.count.values()) == {1}
    assert sum(block.width * block.height for block in load.count) == 100 * 60


@given(
    block=st.sampled_from([(100, 1), (100, 7), (60, 4), (16, 16), (9, 40)]),
    size=st.integers(5, 40),
    most=st.integers(1, 100_000),
)
def test_reserving_keeps_the_blocks_of_a_row_of_windows(block, size, most):
    """Also where blocks are wider than the windows, but not as wide as the raster."""
    load = Loads()
    store = BlockStore(100, 60, block, load, capacity=1, most_capacity=most, pixel_bytes=3)
    assert store.reserve(size) == (min(size, 60) <= store.most_rows)
    if not store.reserve(size):
        assert store.capacity == 1
        return
    for window in WindowGrid(100, size, size, size // 4):
        check(store, window)
    assert set(load.count.values()) == {1}
    assert store.capacity <= most


def test_the_most_recently_used_block_is_kept():
    load = Loads()
    store = make_store(load, (10, 10), capacity=3 * 10 * 10 * 2)  # two blocks
    for left in (0, 10, 0, 20, 0, 10):
        check(store, Window(left, 0, 10, 10))
    assert [load.count[Window(left, 0, 10, 10)] for left in (0, 10, 20)] == [1, 2, 1]


def test_blocks_that_reach_into_the_next_row_of_windows_are_kept():
    """A row of 25 px and what two windows need of it: far less than what a row decodes."""
    load = Loads()
    across, beside = 100 * 10, 2 * 30 * 30
    store = make_store(load, (10, 10), capacity=3 * (across + beside))
    for window in WindowGrid(100, 60, 25, 5):
        check(store, window)
    assert set(load.count.values()) == {1}


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("block", [(16, 16), (8, 32)])
@pytest.mark.parametrize("overlap", [4, 20])
def test_a_pass_over_a_wide_raster_loads_each_block_once(threads, block, overlap):
    """Also where the blocks that reach into the next row of windows take more than the capacity.

    What a pass needs is these, across the raster, and the blocks of the windows that are read.
    """
    width, height, size, ahead = 2400, 150, 40, 2 * threads
    lock, count, held = threading.Lock(), Counter(), []

    def load(window):
        with lock:
            count[window] += 1
            number = count.total()
        if number % 50 == 0:  # now and then the others go on without this thread
            time.sleep(0.002)
        shape = (1, window.height, window.width)
        return np.zeros(shape, np.uint8), np.ones(shape, np.bool_)

    capacity, most = 20_000, 10**6
    store = ReadStore(width, height, block, load, capacity=capacity, most_capacity=most)
    grid = WindowGrid(width, height, size, overlap)
    for _ in iter_chips(store, grid, workers=threads, ahead=ahead):
        held.append(store._bytes)
    assert set(count.values()) == {1}
    assert sum(window.width * window.height for window in count) == width * height
    starts = sorted({window.row_off for window in grid})
    shared = max(first + size - second for first, second in pairwise(starts))  # at the lower end
    reaching = (shared + 2 * block[1]) * width
    read = ahead * (size + 2 * block[0]) * (size + 2 * block[1])
    assert capacity < max(held) <= capacity + capacity // 16 + 2 * (reaching + read)


@pytest.mark.parametrize("width", [1200, 4800])
@pytest.mark.parametrize("ahead", [2, 40])
def test_of_a_pass_in_strips_no_more_is_held_of_a_wider_raster(width, ahead):
    """Also of one so low that the windows ahead are in the last row of one strip and in the next.

    What a pass needs is a strip, and the blocks of the windows that are read.
    """
    height, size, overlap, block, held = 150, 40, 8, 16, []

    def load(window):
        shape = (1, window.height, window.width)
        return np.zeros(shape, np.uint8), np.ones(shape, np.bool_)

    store = ReadStore(
        width, height, (block, block), load, capacity=2_000, most_capacity=10**6, pixel_bytes=2
    )
    grid = WindowGrid(width, height, size, overlap, strip_columns=4)
    for _ in iter_chips(store, grid, workers=1, ahead=ahead):
        held.append(store._bytes)
    strip = (4 * size + 2 * block) * height
    read = ahead * (size + 2 * block) ** 2
    assert max(held) <= 2_000 * 17 / 16 + 2 * (strip + read)


@pytest.mark.parametrize("threads", [1, 4])
def test_no_more_than_the_most_capacity_is_held(threads):
    """Even where that is too little for each block to be loaded once."""
    load, held, most = Loads(), [], 4_000
    store = ReadStore(100, 60, (8, 8), load, capacity=3_000, most_capacity=most)
    for _ in iter_chips(store, WindowGrid(100, 60, 25, 9), workers=threads, ahead=2 * threads):
        held.append(store._bytes)
    assert max(load.count.values()) > 1
    assert 3_000 < max(held) <= most + threads * 8 * 8 * 3  # while a block of each is added


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_windows_in_any_order_keep_few_blocks_beyond_the_capacity(random):
    """What lies more than a window below or above is dropped, as no pass will need it."""
    load = Loads()
    store = BlockStore(100, 60, (4, 4), load, capacity=1_000, most_capacity=10**6)
    windows = list(WindowGrid(100, 60, 8, 0))
    random.shuffle(windows)
    for window in windows:
        check(store, window)
    assert store._bytes <= 1_000 + 1_000 // 16 + 3 * 100 * (2 * 8 + 2 * 4)


def test_blocks_of_an_expected_window_are_kept_though_others_are_further():
    load = Loads()
    store = BlockStore(100, 60, (10, 10), load, capacity=1, most_capacity=10**6)
    check(store, Window(0, 0, 25, 25))
    forget = store.expect(Window(20, 0, 25, 25))
    check(store, Window(0, 40, 100, 20))  # a later row
    check(store, Window(20, 0, 25, 25))
    forget()
    assert set(load.count.values()) == {1}
    check(store, Window(0, 50, 100, 10))
    check(store, Window(20, 0, 25, 25))
    assert load.count[Window(20, 0, 10, 10)] == 2


def test_a_broadcast_value_takes_no_room():
    def load(block):
        shape = (1, block.height, block.width)
        load.calls += 1
        return np.broadcast_to(np.uint8(7), shape), np.broadcast_to(np.True_, shape)

    load.calls = 0
    store = make_store(load, (10, 10), capacity=500)
    for _ in range(2):
        store.read(Window(0, 0, 100, 60))
    assert load.calls == 60


def test_a_block_that_failed_is_loaded_again_at_the_next_read():
    broken = Window(16, 0, 16, 16)
    load = Loads([broken])
    store = make_store(load)
    for _ in range(2):
        with pytest.raises(OSError, match="broken block"):
            store.read(Window(0, 0, 40, 10))
    check(store, Window(0, 0, 16, 16))
    load.broken.clear()
    check(store, Window(0, 0, 40, 10))
    assert load.count[broken] == 3


def test_threads_that_wait_for_a_block_get_its_error():
    begun, go_on = threading.Event(), threading.Event()

    def load(block):
        begun.set()
        go_on.wait(10)
        raise OSError("broken block")

    store = make_store(load)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.read, Window(0, 0, 5, 5))
        assert begun.wait(10)
        second = pool.submit(store.read, Window(1, 1, 5, 5))
        go_on.set()
        for future in (first, second):
            with pytest.raises(OSError, match="broken block"):
                future.result(10)


def test_threads_share_the_work_on_the_same_blocks():
    """Each of two threads loads one of the two blocks that both need."""
    both = threading.Barrier(2, timeout=10)

    def load(block):
        both.wait()
        return PIXELS[:, :10, :10].copy(), DATA[:, :10, :10].copy()

    store = make_store(load, (10, 10))
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(store.read, Window(0, 0, 20, 10)) for _ in range(2)]
        assert all(future.result(20)[0].shape == (2, 10, 20) for future in futures)


def test_clearing_drops_all_blocks():
    load = Loads()
    store = make_store(load)
    check(store, Window(0, 0, 10, 10))
    store.clear()
    check(store, Window(0, 0, 10, 10))
    assert load.count == {Window(0, 0, 16, 16): 2}


def test_threads_that_read_at_the_same_time_do_not_disturb_each_other():
    """A thread may be interrupted at any line of Python, also within a comparison of windows."""
    store = make_store(Loads(), (100, 60))

    def read_many(column):
        for row in range(3000):
            store.read(Window(column, row % 50, 5, 5))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read_many, range(8)))
    finally:
        sys.setswitchinterval(before)
