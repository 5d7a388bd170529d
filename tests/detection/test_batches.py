import itertools
import threading
import time

import numpy as np
import pytest
import torch
from factories_models import detections
from hypothesis import given
from hypothesis import strategies as st

from geodet.detection.batches import BatchPipeline, BatchResult, ChipBatch, iter_batches
from geodet.detection.predictor import ForwardPass
from geodet.errors import DeviceError, SceneError
from geodet.geometry.windows import Window
from geodet.models.decode import Decoded
from geodet.models.engine import ChipTensors
from geodet.raster.chip import Chip


def make_batch(first, count, *, empty=()):
    window = Window(0, 0, 4, 4)
    valid = np.ones((4, 4), np.bool_)
    chips = [
        (index, Chip(window, np.full((1, 4, 4), index, np.uint8), valid))
        for index in range(first, first + count)
    ]
    return ChipBatch(chips, list(empty), first + count)


class Network:
    """Returns each chip's own value as a score; has room for so many chips, where it is asked."""

    def __init__(self, room=99, fails_in=("start", "finish", "call"), device="cuda", pair=None):
        self.room, self.fails_in, self.calls, self.pair = room, fails_in, [], pair
        self.device = torch.device(device)

    def for_pairs(self):
        return self.pair

    def stack(self, chips):
        self.calls.append(("stack", len(chips)))
        pixels = torch.stack([torch.from_numpy(chip.pixels) for chip in chips])
        return ChipTensors(pixels, torch.ones(len(chips), 4, 4, dtype=torch.bool))

    def start(self, stacked):
        self._note("start", len(stacked.pixels))
        return ForwardPass(stacked.pixels, 16)

    def finish(self, running):
        values = running.outputs[:, 0, 0, 0].tolist()
        self._note("finish", len(values))
        return [Decoded(detections([[0, 0, 1, 1]], [value / 100]), 0) for value in values]

    def __call__(self, chips):
        self._note("call", len(chips))
        return [
            Decoded(detections([[0, 0, 1, 1]], [chip.pixels.flat[0] / 100]), 0) for chip in chips
        ]

    def _note(self, name, size):
        self.calls.append((name, size))
        if size > self.room and name in self.fails_in:
            raise torch.OutOfMemoryError("no room")


def make_network(device):
    if device == "pairs":
        return Network(device="cpu", pair=Network(device="cpu"))
    return Network(device=device)


def scores(done):
    return [round(float(one.detections.scores[0]) * 100) for one in done.found]


def test_a_cuda_device_starts_the_next_batch_while_one_is_decoded():
    network, is_started = Network(), threading.Event()
    start, finish = network.start, network.finish

    def note_second(stacked):
        running = start(stacked)
        if len(stacked.pixels) == 1:
            is_started.set()
        return running

    def wait_for_second(running):
        assert is_started.wait(10)
        return finish(running)

    network.start, network.finish = note_second, wait_for_second
    found = [
        scores(done) for done in BatchPipeline(network).run([make_batch(0, 2), make_batch(2, 1)])
    ]
    assert found == [[0, 1], [2]]


def test_batches_are_computed_while_results_are_used():
    network = Network()
    batches = [make_batch(first, 1) for first in range(20)]
    results = BatchPipeline(network).run(batches)
    next(results)
    deadline = time.monotonic() + 10
    while len(network.calls) < 3 * 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    started = [call for call in network.calls if call[0] == "start"]
    assert 4 <= len(started) <= 8  # few are held in memory, however slow the caller is
    assert [scores(done) for done in results] == [[first] for first in range(1, 20)]


def test_stages_that_are_timed_do_not_overlap():
    network = Network()
    batches = [make_batch(0, 2), make_batch(2, 1)]
    for done in BatchPipeline(network, overlaps=False).run(batches):
        network.calls.append(("use", len(done.found)))
    assert network.calls == [
        *(("stack", 2), ("start", 2), ("finish", 2), ("use", 2)),
        *(("stack", 1), ("start", 1), ("finish", 1), ("use", 1)),
    ]


def test_the_threads_end_with_the_generator():
    network, before = Network(), threading.active_count()
    taken = []

    def batches():
        for first in range(100):
            taken.append(first)
            yield make_batch(first, 1)

    results = BatchPipeline(network).run(batches())
    next(results)
    results.close()
    assert threading.active_count() == before
    assert len(taken) < 20


def test_an_error_while_batches_are_read_comes_after_what_was_read():
    def batches():
        yield make_batch(0, 2)
        raise SceneError("damaged", hint="none", path="a.tif")

    results = BatchPipeline(Network()).run(batches())
    assert scores(next(results)) == [0, 1]
    with pytest.raises(SceneError, match="damaged"):
        next(results)


def test_a_cpu_finishes_a_batch_before_the_next_is_stacked():
    network = Network(device="cpu")
    for done in BatchPipeline(network).run([make_batch(0, 2), make_batch(2, 1)]):
        network.calls.append(("use", len(done.found)))
    assert network.calls == [
        *(("stack", 2), ("start", 2), ("finish", 2), ("use", 2)),
        *(("stack", 1), ("start", 1), ("finish", 1), ("use", 1)),
    ]


class Meeting(Network):
    """Computes a batch when another one is computed at the same time."""

    def __init__(self):
        super().__init__(device="cpu")
        self.both = threading.Barrier(2, timeout=10)

    def __call__(self, chips):
        self.both.wait()
        return super().__call__(chips)


def test_a_cpu_computes_two_batches_at_a_time_where_that_is_faster():
    pair = Meeting()
    network = Network(device="cpu", pair=pair)
    batches = [make_batch(first, 1) for first in range(6)]
    assert [scores(done) for done in BatchPipeline(network).run(batches)] == [
        [first] for first in range(6)
    ]
    assert (len(pair.calls), network.calls) == (6, [])
    assert not [one for one in threading.enumerate() if one.name.startswith("geodet-pair")]


@pytest.mark.parametrize("overlaps", [True, False])
def test_a_single_batch_and_stages_that_are_timed_have_all_threads(overlaps):
    network = Network(device="cpu", pair=Meeting())
    batches = [make_batch(0, 2), make_batch(2, 1)][: 1 if overlaps else 2]
    found = [scores(done) for done in BatchPipeline(network, overlaps=overlaps).run(batches)]
    assert found == [[0, 1], [2]][: len(batches)]
    assert network.pair.calls == []


@pytest.mark.parametrize("device", ["cpu", "cuda", "pairs"])
def test_results_come_in_order_with_their_blank_windows(device):
    batches = [make_batch(0, 2, empty=[7]), make_batch(2, 0, empty=[8, 9]), make_batch(2, 1)]
    first, second, third = BatchPipeline(make_network(device)).run(batches)
    assert (first.indices, scores(first), first.empty, first.waiting_from) == (
        [0, 1],
        [0, 1],
        [7],
        2,
    )
    assert second == BatchResult([], [], [8, 9], 2)
    assert (third.indices, scores(third)) == ([2], [2])
    assert list(BatchPipeline(make_network(device)).run([])) == []


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    "fails_in",
    [
        fails
        for count in (1, 2, 3)
        for fails in itertools.combinations(["start", "finish", "call"], count)
    ],
)
def test_a_batch_that_does_not_fit_in_memory_is_computed_in_parts(fails_in, device):
    network = Network(room=2, fails_in=fails_in, device=device)
    found = [
        scores(done) for done in BatchPipeline(network).run([make_batch(0, 5), make_batch(5, 4)])
    ]
    assert found == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]


def test_a_single_chip_that_does_not_fit_is_an_error():
    with pytest.raises(DeviceError, match="one chip does not fit"):
        list(BatchPipeline(Network(room=0)).run([make_batch(0, 1)]))


def test_other_errors_pass():
    network = Network()
    network.start = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(BatchPipeline(network).run([make_batch(0, 1)]))


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
def test_waiting_from_is_the_first_window_that_is_not_in_a_batch_yet(windows, batch_size):
    with_data = [2 * i for i, (_, has_data) in enumerate(windows) if has_data]
    done, last = set(), 2 * len(windows) - 2
    for batch in iter_batches(chips_of(windows), batch_size=batch_size):
        indices = [index for index, _ in batch.chips]
        done |= set(indices)
        read = indices[-1] if len(indices) == batch_size else last  # a full batch does not wait
        waiting = [index for index in with_data if index <= read and index not in done]
        assert batch.waiting_from == min(waiting, default=read + 1)


def test_full_batches_do_not_wait_for_the_narrow_last_column():
    windows = [((4, 4), True), ((4, 4), True), ((4, 2), True)] * 2
    batches = list(iter_batches(chips_of(windows), batch_size=2))
    assert [[i for i, _ in batch.chips] for batch in batches] == [[0, 2], [6, 8], [4, 10]]
    assert [batch.waiting_from for batch in batches] == [3, 4, 11]
