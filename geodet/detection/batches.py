"""Batches of chips: grouped by shape, computed ahead, and made smaller when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch

from geodet.detection.predictor import ChipTensors, ForwardPass, Predictor
from geodet.errors import DeviceError
from geodet.models.decode import Decoded
from geodet.raster.scene import Chip

__all__ = ["BatchPipeline", "BatchResult", "ChipBatch", "OutOfMemoryRetry", "iter_batches"]

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Argument = TypeVar("_Argument")
_Other = TypeVar("_Other")


class ChipBatch(NamedTuple):
    """Windows that go through the network together."""

    chips: list[tuple[int, Chip]]
    """Indices and chips, all of one shape; none if only blank windows are left."""
    empty: list[int]
    """Indices of blank windows among them, which the network does not see."""
    waiting_from: int
    """Every window below this index is in this batch or in one before it."""


def iter_batches(
    chips: Iterable[tuple[int, Chip]],
    *,
    batch_size: int,
    is_blank: Callable[[Chip], bool] = lambda chip: not chip.valid.any(),
) -> Iterator[ChipBatch]:
    """Group chips by shape, as the last column and row of an aligned grid may be narrower.

    Args:
        chips: Indices of windows in rising order, and their chips.
        batch_size: Most chips of a batch.
        is_blank: Whether the network can skip a chip.

    Yields:
        Batches in which each window comes once.
    """
    groups: dict[tuple[int, ...], list[tuple[int, Chip]]] = {}
    empty: list[int] = []
    following = 0
    for index, chip in chips:
        following = index + 1
        if is_blank(chip):
            empty.append(index)
            continue
        group = groups.setdefault(chip.valid.shape, [])
        group.append((index, chip))
        if len(group) == batch_size:
            del groups[chip.valid.shape]
            yield ChipBatch(group, empty, _first(groups, following))
            empty = []
    while groups:
        group = groups.pop(min(groups, key=lambda shape: groups[shape][0][0]))
        yield ChipBatch(group, empty, _first(groups, following))
        empty = []
    if empty:
        yield ChipBatch([], empty, following)


def _first(groups: dict[tuple[int, ...], list[tuple[int, Chip]]], otherwise: int) -> int:
    """Return the lowest index that is still in a group."""
    return min((group[0][0] for group in groups.values()), default=otherwise)


class OutOfMemoryRetry(Generic[_Item, _Result]):
    """A function of a batch, called again with half of the items when memory runs out.

    The results are those of the function, in order. After a failure later batches are cut to the
    smaller size before they are tried.

    Args:
        function: Returns one result for each item.
        release: Called after a failure, to free cached memory.
    """

    def __init__(
        self,
        function: Callable[[Sequence[_Item]], list[_Result]],
        release: Callable[[], None] = torch.cuda.empty_cache,
    ) -> None:
        self._function, self._release = function, release
        self._most: int | None = None

    def __call__(self, items: Sequence[_Item]) -> list[_Result]:
        """Call the function with all items, or with fewer at a time.

        Raises:
            DeviceError: Not even one item fits.
        """
        results: list[_Result] = []
        while len(results) < len(items):
            some = items[len(results) :][: self._most]
            failure = ""
            try:
                results += self._function(some)
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                if not _is_out_of_memory(error):
                    raise
                failure = str(error).splitlines()[0]
            if failure:  # outside of the handler: its error would keep the tensors alive
                self._halve(len(some), failure)
                self._release()
        return results

    def attempt(
        self, function: Callable[[_Argument], _Other], argument: _Argument, *, size: int
    ) -> _Other | None:
        """Call another function that needs the memory of ``size`` items.

        Returns:
            Its result, or None if memory ran out: then call this object with the items, which
            warns and goes on with fewer at a time.
        """
        if self._most is not None and size > self._most:
            return None
        try:
            return function(argument)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        self._release()
        return None

    def _halve(self, size: int, message: str) -> None:
        if size == 1:
            raise DeviceError(
                f"one chip does not fit into the memory of the device: {message}",
                hint="lower detect.chip_size, or free memory on the device",
            )
        self._most = size // 2
        logger.warning(
            "out of memory with %d chips in a batch: continuing with %d", size, self._most
        )


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the error is torch's own, or the plain one of its allocator on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


class BatchResult(NamedTuple):
    """The detections of a batch."""

    indices: list[int]
    """Indices of the windows that the network saw."""
    found: list[Decoded]
    """Detections in each of them, in the pixels of its chip."""
    empty: list[int]
    """Indices of the blank windows of the batch."""
    waiting_from: int
    """Every window below this index is in this batch or in one before it."""


class BatchPipeline:
    """Detects in one batch after another, and keeps a CUDA device busy meanwhile.

    A CUDA device computes on its own: the next batch is read and stacked while it works on this
    one, and started before the results of this one are merged and written. The device is idle only
    while its outputs are decoded. A CPU finishes each batch before the next one is asked for;
    reader threads read ahead while it computes.

    Args:
        predictor: Finds the objects of chips.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._predict: OutOfMemoryRetry[Chip, Decoded] = OutOfMemoryRetry(predictor)
        self._is_cpu = predictor.device.type == "cpu"

    def run(self, batches: Iterable[ChipBatch]) -> Iterator[BatchResult]:
        """Yield the detections of each batch, in order.

        A batch that the memory of the device is too small for is tried again in parts.
        """
        started: list[tuple[ChipBatch, ForwardPass | None]] = []
        for batch in batches:
            tensors = self._stack(batch)
            results = [self._finish(*started.pop())] if started else []
            started.append((batch, self._start(tensors)))
            if self._is_cpu:
                results.append(self._finish(*started.pop()))
            yield from results
        if started:
            yield self._finish(*started.pop())

    def _stack(self, batch: ChipBatch) -> ChipTensors | None:
        chips = [chip for _, chip in batch.chips]
        return self._predictor.stack(chips) if chips else None

    def _start(self, tensors: ChipTensors | None) -> ForwardPass | None:
        if tensors is None:
            return None
        return self._predict.attempt(self._predictor.start, tensors, size=len(tensors.pixels))

    def _finish(self, batch: ChipBatch, started: ForwardPass | None) -> BatchResult:
        found: list[Decoded] | None = None
        if started is not None:
            size = len(batch.chips)
            found = self._predict.attempt(self._predictor.finish, started, size=size)
            del started  # its memory may be needed
        if found is None:
            found = self._predict([chip for _, chip in batch.chips])
        indices = [index for index, _ in batch.chips]
        return BatchResult(indices, found, batch.empty, batch.waiting_from)
