"""One batch ahead: a device computes it while what was found before is merged and written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch

from geodet.detection.predictor import Predictor, Running, Stacked
from geodet.errors import DeviceError
from geodet.models.decode import Decoded
from geodet.raster.scene import Chip

__all__ = ["BackOff", "ChipBatch", "Done", "OneAhead", "iter_batches"]


class ChipBatch(NamedTuple):
    """Windows that are done together."""

    chips: list[tuple[int, Chip]]
    """Indices and chips, all of one shape; empty only if blank windows are left over."""
    empty: list[int]
    """Indices of blank windows that were met on the way."""
    waiting_from: int
    """Every window below this index is in this batch or in one before it."""


def iter_batches(
    chips: Iterable[tuple[int, Chip]],
    *,
    batch_size: int,
    is_blank: Callable[[Chip], bool] = lambda chip: not chip.valid.any(),
) -> Iterator[ChipBatch]:
    """Group chips by shape: the last column and row of an aligned grid may be narrower.

    Args:
        chips: With their windows' indices, in rising order.
        batch_size: Most chips of a batch.
        is_blank: Whether the network need not see a chip.

    Yields:
        Each window once.
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
    return min((group[0][0] for group in groups.values()), default=otherwise)


logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")


class BackOff(Generic[T, R]):
    """A function of a batch that is called with less where the memory does not suffice.

    The results are those of the function, in order. Once a batch was too large, later ones are cut
    to half of it before they are tried.

    Args:
        function: Gives one result for each item.
        release: Called after a failure, to give cached memory back.
    """

    def __init__(
        self,
        function: Callable[[Sequence[T]], list[R]],
        release: Callable[[], None] = torch.cuda.empty_cache,
    ) -> None:
        self._function, self._release = function, release
        self._most: int | None = None

    def __call__(self, items: Sequence[T]) -> list[R]:
        """Call the function with all items, or with fewer at a time.

        Raises:
            DeviceError: Not even one item fits.
        """
        results: list[R] = []
        while len(results) < len(items):
            some = items[len(results) :][: self._most]
            failure = ""
            try:
                results += self._function(some)
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                if not _is_out_of_memory(error):
                    raise
                failure = str(error).splitlines()[0]
            if failure:  # outside of the handler, whose error keeps the frames and their memory
                self._halve(len(some), failure)
                self._release()
        return results

    def attempt(self, function: Callable[[A], B], argument: A, *, size: int) -> B | None:
        """Call another function, of the memory of so many items; None where it does not suffice.

        The items are then to be given to this one, which warns and goes on with fewer.
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
                hint="lower detect.chip_size, or free memory",
            )
        self._most = size // 2
        logger.warning("out of memory with %d chips in a batch: going on with %d", size, self._most)


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Recognise torch's own error, and the plain one of its allocator on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


class Done(NamedTuple):
    """Windows that were done together."""

    indices: list[int]
    """Those that the network saw."""
    found: list[Decoded]
    """What is in each of them, in the pixels of its chip."""
    empty: list[int]
    """Blank windows that were met on the way."""
    waiting_from: int
    """Every window below this index is in this batch or in one before it."""


class OneAhead:
    """Detects in one batch after another.

    A CUDA device computes on its own. Its next batch is read and stacked before it is asked for the
    results of this one, and begun before they are given away: so it stands still only while its
    outputs are decoded. A CPU decodes first, as long as no thread reads the next chips: they are
    read while it computes.

    Args:
        predictor: Finds the objects of chips.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._predict: BackOff[Chip, Decoded] = BackOff(predictor)
        self._is_alone = predictor.device.type == "cpu"

    def run(self, batches: Iterable[ChipBatch]) -> Iterator[Done]:
        """Yield what is found in each batch, in order.

        What the memory of the device is too small for is tried again in parts.
        """
        running: list[tuple[ChipBatch, Running | None]] = []
        for batch in batches:
            stacked = self._stack(batch)
            done = [self._finish(*running.pop())] if running else []
            running.append((batch, self._start(stacked)))
            if self._is_alone:
                done.append(self._finish(*running.pop()))
            yield from done
        if running:
            yield self._finish(*running.pop())

    def _stack(self, batch: ChipBatch) -> Stacked | None:
        chips = [chip for _, chip in batch.chips]
        return self._predictor.stack(chips) if chips else None

    def _start(self, stacked: Stacked | None) -> Running | None:
        if stacked is None:
            return None
        return self._predict.attempt(self._predictor.start, stacked, size=len(stacked.pixels))

    def _finish(self, batch: ChipBatch, running: Running | None) -> Done:
        found: list[Decoded] | None = None
        if running is not None:
            size = len(batch.chips)
            found = self._predict.attempt(self._predictor.finish, running, size=size)
            del running  # its memory may be needed
        if found is None:
            found = self._predict([chip for _, chip in batch.chips])
        return Done([index for index, _ in batch.chips], found, batch.empty, batch.waiting_from)
