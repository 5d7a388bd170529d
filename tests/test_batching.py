import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geodet.engine.batching import iter_batches
from geodet.scene import Chip
from geodet.windows import Window

SHAPES = [(4, 4), (4, 2), (3, 4)]
WINDOWS = st.lists(st.tuples(st.sampled_from(SHAPES), st.booleans()), max_size=30)


def chips_of(windows):
    for index, ((height, width), has_data) in enumerate(windows):
        valid = np.full((height, width), has_data)
        yield 2 * index, Chip(Window(0, 0, width, height), valid[None].astype(np.uint8), valid)


@given(WINDOWS, st.integers(1, 5))
def test_each_window_comes_once_with_others_of_its_shape(windows, batch_size):
    batches = list(iter_batches(chips_of(windows), batch_size=batch_size))
    indices = [index for batch in batches for index, _ in batch.chips]
    empty = [index for batch in batches for index in batch.empty]
    assert sorted(indices) == [2 * i for i, (_, has_data) in enumerate(windows) if has_data]
    assert empty == [2 * i for i, (_, has_data) in enumerate(windows) if not has_data]
    for batch in batches:
        assert len({chip.valid.shape for _, chip in batch.chips}) <= 1
        assert len(batch.chips) <= batch_size
        assert batch.chips or batch is batches[-1]


@given(WINDOWS, st.integers(1, 5))
def test_what_waits_is_said(windows, batch_size):
    done = set()
    for batch in iter_batches(chips_of(windows), batch_size=batch_size):
        done |= {index for index, _ in batch.chips} | set(batch.empty)
        left = [i for i in range(0, 2 * len(windows), 2) if i not in done]
        assert all(index >= batch.waiting_from for index in left)


def test_full_batches_do_not_wait_for_the_narrow_last_column():
    windows = [((4, 4), True), ((4, 4), True), ((4, 2), True)] * 2
    batches = list(iter_batches(chips_of(windows), batch_size=2))
    assert [[i for i, _ in batch.chips] for batch in batches] == [[0, 2], [6, 8], [4, 10]]
    assert [batch.waiting_from for batch in batches] == [3, 4, 11]
