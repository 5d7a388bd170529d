import itertools

import numpy as np
import pytest
import torch
from factories_models import detections

from geodet.engine.ahead import Done, OneAhead
from geodet.engine.batching import Batch
from geodet.engine.inference import Running, Stacked
from geodet.errors import DeviceError
from geodet.models.decode import Decoded
from geodet.scene import Chip
from geodet.windows import Window


def make_batch(first, count, *, empty=()):
    window = Window(0, 0, 4, 4)
    valid = np.ones((4, 4), np.bool_)
    chips = [
        (index, Chip(window, np.full((1, 4, 4), index, np.uint8), valid))
        for index in range(first, first + count)
    ]
    return Batch(chips, list(empty), first + count)


class Network:
    """Gives each chip's own value as a score; has room for so many chips, where it is asked."""

    def __init__(self, room=99, fails_in=("start", "finish", "call"), device="cuda"):
        self.room, self.fails_in, self.calls = room, fails_in, []
        self.device = torch.device(device)

    def stack(self, chips):
        self.calls.append(("stack", len(chips)))
        pixels = torch.stack([torch.from_numpy(chip.pixels) for chip in chips])
        return Stacked(pixels, torch.ones(len(chips), 4, 4, dtype=torch.bool))

    def start(self, stacked):
        self._note("start", len(stacked.pixels))
        return Running(stacked.pixels, 16)

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


def scores(done):
    return [round(float(one.detections.scores[0]) * 100) for one in done.found]


def test_a_batch_is_begun_before_the_one_before_it_is_given_away():
    network = Network()
    batches = [make_batch(0, 2), make_batch(2, 1), make_batch(3, 2)]
    for done in OneAhead(network).run(batches):
        network.calls.append(("use", len(done.found)))
    assert network.calls == [
        *(("stack", 2), ("start", 2)),
        *(("stack", 1), ("finish", 2), ("start", 1), ("use", 2)),
        *(("stack", 2), ("finish", 1), ("start", 2), ("use", 1)),
        *(("finish", 2), ("use", 2)),
    ]


def test_a_cpu_is_done_with_a_batch_before_the_next_is_read():
    network = Network(device="cpu")
    for done in OneAhead(network).run([make_batch(0, 2), make_batch(2, 1)]):
        network.calls.append(("use", len(done.found)))
    assert network.calls == [
        *(("stack", 2), ("start", 2), ("finish", 2), ("use", 2)),
        *(("stack", 1), ("start", 1), ("finish", 1), ("use", 1)),
    ]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batches_come_in_order_with_what_the_caller_has_to_know(device):
    batches = [make_batch(0, 2, empty=[7]), make_batch(2, 0, empty=[8, 9]), make_batch(2, 1)]
    first, second, third = OneAhead(Network(device=device)).run(batches)
    assert (first.indices, scores(first), first.empty, first.waiting_from) == (
        [0, 1],
        [0, 1],
        [7],
        2,
    )
    assert second == Done([], [], [8, 9], 2)
    assert (third.indices, scores(third)) == ([2], [2])
    assert list(OneAhead(Network(device=device)).run([])) == []


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    "fails_in",
    [
        fails
        for count in (1, 2, 3)
        for fails in itertools.combinations(["start", "finish", "call"], count)
    ],
)
def test_what_the_memory_is_too_small_for_is_done_in_parts(fails_in, device):
    network = Network(room=2, fails_in=fails_in, device=device)
    found = [scores(done) for done in OneAhead(network).run([make_batch(0, 5), make_batch(5, 4)])]
    assert found == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]


def test_where_not_even_one_fits_the_error_says_so():
    with pytest.raises(DeviceError, match="one chip does not fit"):
        list(OneAhead(Network(room=0)).run([make_batch(0, 1)]))


def test_other_errors_pass():
    network = Network()
    network.start = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(OneAhead(network).run([make_batch(0, 1)]))
