import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geodet.detection.batches import OutOfMemoryRetry
from geodet.errors import DeviceError

CPU = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried\nmore"


class Device:
    """Doubles up to so many numbers at a time."""

    def __init__(self, room, error=torch.OutOfMemoryError):
        self.room, self.error, self.sizes, self.released = room, error, [], 0

    def double(self, items):
        self.sizes.append(len(items))
        if len(items) > self.room:
            raise self.error(CPU)
        return [2 * item for item in items]

    def release(self):
        self.released += 1


@given(st.integers(1, 9), st.lists(st.integers(0, 20), max_size=5), st.booleans())
def test_results_do_not_depend_on_the_memory(room, sizes, is_plain):
    device = Device(room, RuntimeError if is_plain else torch.OutOfMemoryError)
    function = OutOfMemoryRetry(device.double, device.release)
    for size in sizes:
        assert function(range(size)) == [2 * i for i in range(size)]


def test_a_batch_that_was_too_large_is_not_tried_again(caplog):
    device = Device(3)
    function = OutOfMemoryRetry(device.double, device.release)
    with caplog.at_level(logging.WARNING):
        function(range(8))
        function(range(5))
    assert device.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 1]
    assert device.released == 2
    assert [record.message for record in caplog.records] == [
        "out of memory with 8 chips in a batch: continuing with 4",
        "out of memory with 4 chips in a batch: continuing with 2",
    ]


def test_an_item_that_does_not_fit_alone_is_an_error_with_a_hint():
    function = OutOfMemoryRetry(Device(0).double)
    with pytest.raises(DeviceError, match=r"one chip does not fit .*: .*can't allocate") as raised:
        function([1, 2])
    assert "detect.chip_size" in raised.value.hint
    assert "more" not in str(raised.value)


def test_other_errors_pass():
    def fail(_):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match=r"^a bug$"):
        OutOfMemoryRetry(fail)([1])
