"""One batch ahead: a device computes it while what was found before is merged and written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from geodet.engine.backoff import BackOff
from geodet.engine.batching import Batch
from geodet.engine.inference import Predictor, Running, Stacked
from geodet.models.decode import Decoded
from geodet.scene import Chip

__all__ = ["Done", "OneAhead"]


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

    def run(self, batches: Iterable[Batch]) -> Iterator[Done]:
        """Yield what is found in each batch, in order.

        What the memory of the device is too small for is tried again in parts.
        """
        running: list[tuple[Batch, Running | None]] = []
        for batch in batches:
            stacked = self._stack(batch)
            done = [self._finish(*running.pop())] if running else []
            running.append((batch, self._start(stacked)))
            if self._is_alone:
                done.append(self._finish(*running.pop()))
            yield from done
        if running:
            yield self._finish(*running.pop())

    def _stack(self, batch: Batch) -> Stacked | None:
        chips = [chip for _, chip in batch.chips]
        return self._predictor.stack(chips) if chips else None

    def _start(self, stacked: Stacked | None) -> Running | None:
        if stacked is None:
            return None
        return self._predict.attempt(self._predictor.start, stacked, size=len(stacked.pixels))

    def _finish(self, batch: Batch, running: Running | None) -> Done:
        found: list[Decoded] | None = None
        if running is not None:
            size = len(batch.chips)
            found = self._predict.attempt(self._predictor.finish, running, size=size)
            del running  # its memory may be needed
        if found is None:
            found = self._predict([chip for _, chip in batch.chips])
        return Done([index for index, _ in batch.chips], found, batch.empty, batch.waiting_from)
