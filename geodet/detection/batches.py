"""Batches of chips: grouped by shape, computed ahead, and made smaller when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, islice
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from geodet.detection.ahead import iter_ahead, map_ahead
from geodet.detection.device_streams import PassOnDevice, SingleStream, open_streams
from geodet.detection.predictor import Predictor
from geodet.errors import DeviceError
from geodet.models.decode import Decoded
from geodet.models.device import loaded_torch
from geodet.raster.chip import Chip

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
        release: Called after a failure, to free cached memory; None: that of a CUDA device.
    """

    def __init__(
        self,
        function: Callable[[Sequence[_Item]], list[_Result]],
        release: Callable[[], None] | None = None,
    ) -> None:
        self._function, self._release = function, release or _empty_cache
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
            warns and continues with fewer at a time.
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


def _empty_cache() -> None:
    if torch := loaded_torch():
        torch.cuda.empty_cache()


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the error is torch's own, or the plain one of its allocator on the CPU."""
    torch = loaded_torch()
    is_of_torch = torch is not None and isinstance(error, torch.OutOfMemoryError)
    return is_of_torch or "DefaultCPUAllocator" in str(error)


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


def _predict(predictor: Predictor, batch: ChipBatch) -> BatchResult:
    return _with_windows(batch, predictor([chip for _, chip in batch.chips]) if batch.chips else [])


def _with_windows(batch: ChipBatch, found: list[Decoded]) -> BatchResult:
    indices = [index for index, _ in batch.chips]
    return BatchResult(indices, found, batch.empty, batch.waiting_from)


class _Started:
    """A batch whose forward pass is running, or which is computed later, in parts."""

    def __init__(self, batch: ChipBatch) -> None:
        self.batch = batch
        self.running: PassOnDevice | None = None


class BatchPipeline:
    """Detects in one batch after another, and keeps a CUDA device busy meanwhile.

    A CUDA device computes on its own. One thread takes batches, copies them and starts their
    forward passes; another one decodes, while the next passes run; the caller merges and writes. On
    a CPU, for which readers read ahead, two threads compute and decode a batch each where that is
    faster; otherwise each batch is finished before the next one is asked for.

    Args:
        predictor: Finds the objects of chips.
        overlaps: Whether batches are worked on at the same time, as they should be, unless each
            stage is to be timed.
    """

    def __init__(self, predictor: Predictor, *, overlaps: bool = True) -> None:
        self._predictor = predictor
        self._predict: OutOfMemoryRetry[Chip, Decoded] = OutOfMemoryRetry(predictor)
        self._overlaps = overlaps and predictor.device.type == "cuda"
        self._may_pair = overlaps and not self._overlaps
        self._streams = open_streams(predictor) if self._overlaps else SingleStream(predictor)
        self._starts_ahead = self._overlaps
        self._under_way: list[_Started] = []
        self._starting = Lock()

    def run(self, batches: Iterable[ChipBatch]) -> Generator[BatchResult, None, None]:
        """Yield the detections of each batch, in order.

        A batch that the memory of the device is too small for is tried again in parts. Close the
        generator before ``batches``: a thread may be taking one.
        """
        if self._may_pair:
            rest = iter(batches)
            first = list(islice(rest, 2))
            # A single batch is sooner done on all threads.
            pair = self._predictor.for_pairs() if len(first) > 1 else None
            batches = chain(first, rest)
            del first  # its chips are not needed for the whole run
            if pair is not None:
                predict = partial(_predict, pair)
                yield from map_ahead(predict, batches, threads=2, name="geodet-pair")
                return
        started = self._iter_started(batches)
        if not self._overlaps:
            yield from self._iter_finished(started)
            return
        ahead = iter_ahead(started, most=1, name="geodet-forward")
        results = iter_ahead(self._iter_finished(ahead), most=2, name="geodet-decode")
        with closing(results):
            yield from results

    def _iter_started(self, batches: Iterable[ChipBatch]) -> Generator[_Started, None, None]:
        for batch in batches:
            yield self._start(batch)

    def _iter_finished(
        self, started: Generator[_Started, None, None]
    ) -> Generator[BatchResult, None, None]:
        with closing(started):
            for one in started:
                yield self._finish(one)
                del one  # its memory may be needed

    def _start(self, batch: ChipBatch) -> _Started:
        """Start the forward pass of a batch, unless passes at a time need too much memory."""
        started = _Started(batch)
        if not batch.chips or (self._overlaps and not self._starts_ahead):
            return started
        tensors = self._predictor.stack([chip for _, chip in batch.chips])
        with self._starting:
            started.running = self._predict.attempt(
                self._streams.start, tensors, size=len(batch.chips)
            )
            if started.running is None:
                self._starts_ahead = False
            self._under_way.append(started)
        return started

    def _finish(self, started: _Started) -> BatchResult:
        batch = started.batch
        found = self._decode(started) if started.running is not None else None
        if found is None:
            found = self._predict_in_parts([chip for _, chip in batch.chips])
        if started in self._under_way:
            self._under_way.remove(started)
        return _with_windows(batch, found)

    def _decode(self, started: _Started) -> list[Decoded] | None:
        """Decode a forward pass; return None if memory ran out."""
        running, started.running = started.running, None
        assert running is not None
        size = len(started.batch.chips)
        return self._predict.attempt(self._streams.finish, running, size=size)

    def _predict_in_parts(self, chips: Sequence[Chip]) -> list[Decoded]:
        """Predict with nothing else in the memory of the device: passes under way begin again."""
        if not chips:
            return []
        with self._starting:
            self._starts_ahead = False
            for other in self._under_way:
                other.running = None
            return self._predict(chips)
