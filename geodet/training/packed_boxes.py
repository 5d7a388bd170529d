"""Boxes of the chips of a batch, for comparing those of many chips with anchors at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["BoxGroup", "PackedBoxes", "boxes_at_once"]

# Pairs of a box and an anchor that are compared at once. A float32 matrix of them takes 16 MB on a
# CPU, and a comparison needs several. All pairs of 5,000 objects and 200,000 anchors would take
# 4 GB. A GPU has more memory, and needs more work at a time to be busy.
_MOST_PAIRS = {"cpu": 2**22, "cuda": 2**25}
_MOST_CHIPS = {"cpu": 1, "cuda": 1024}  # one chip fits in the caches of a CPU


class BoxGroup(NamedTuple):
    """Boxes of some chips, side by side."""

    rows: slice
    """The chips, as indices into :attr:`PackedBoxes.order`."""
    first: int
    """Index of the first box, among those of its chip."""
    boxes: Tensor
    """(n, m, 4) boxes; chips with fewer of them are filled up with NaN."""


@dataclass(frozen=True)
class PackedBoxes:
    """Boxes of N chips, one chip after the other.

    Args:
        chips: (M_i, 4) boxes of each chip, at least one chip.
    """

    chips: Sequence[Tensor]
    """(M_i, 4) boxes of each chip, x1 y1 x2 y2."""

    @property
    def counts(self) -> list[int]:
        """M_i, the number of boxes of each chip."""
        return [len(chip) for chip in self.chips]

    @cached_property
    def boxes(self) -> Tensor:
        """(M, 4) boxes of all chips."""
        return torch.cat(list(self.chips))

    @cached_property
    def starts(self) -> Tensor:
        """(N,) index of each chip's first box among all."""
        return self._indices([0, *accumulate(self.counts[:-1])])

    @cached_property
    def chip(self) -> Tensor:
        """(M,) index of each box's chip."""
        return self._indices([i for i, count in enumerate(self.counts) for _ in range(count)])

    @cached_property
    def order(self) -> Tensor:
        """(N,) chips in the order of :meth:`iter_groups`, those with the most boxes first."""
        return self._indices(self._ranked)

    @property
    def _ranked(self) -> list[int]:
        counts = self.counts
        return sorted(range(len(counts)), key=lambda i: -counts[i])

    def iter_groups(self, anchors: int) -> Iterator[BoxGroup]:
        """Yield all boxes in groups whose pairs with the anchors fit in memory."""
        device = self.chips[0].device
        most = boxes_at_once(device, anchors)
        ranked, counts, row = self._ranked, self.counts, 0
        while row < len(ranked) and (count := counts[ranked[row]]):
            together = max(1, min(_MOST_CHIPS[device.type], most // count))
            rows = slice(row, min(row + together, len(ranked)))
            boxes = self._side_by_side(ranked[rows])
            for first in range(0, count, most):
                yield BoxGroup(rows, first, boxes[:, first : first + most])
            row = rows.stop

    def _side_by_side(self, chips: list[int]) -> Tensor:
        if len(chips) == 1:
            return self.chips[chips[0]][None]
        return torch.nn.utils.rnn.pad_sequence(
            [self.chips[i] for i in chips], batch_first=True, padding_value=torch.nan
        )

    def _indices(self, values: Sequence[int]) -> Tensor:
        """Return indices on the device of the boxes, from pinned memory: a GPU need not wait."""
        made = torch.tensor(values, dtype=torch.int64)
        device = self.chips[0].device
        pinned = made.pin_memory() if device.type == "cuda" else made
        return pinned.to(device, non_blocking=True)


def boxes_at_once(device: torch.device, anchors: int) -> int:
    """Return how many boxes are compared with all anchors at once."""
    return max(1, _MOST_PAIRS[device.type] // max(1, anchors))
