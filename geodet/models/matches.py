"""What an anchor may learn, and how to compare many anchors with many objects."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["BACKGROUND", "IGNORED", "begin_matches", "in_chunks"]

BACKGROUND = -1
IGNORED = -2

# Pairs of an object and an anchor that are compared at once: 16 MB a float32 matrix, and the
# comparison needs some of them. All pairs of 5,000 objects and 200,000 anchors would be 4 GB each.
_MOST_PAIRS = 2**22


def begin_matches(anchors: Tensor, ignored: Tensor) -> Tensor:
    """Give (R,) matches of a chip without objects: anchors centred in a region are ignored."""
    matches = anchors.new_full((len(anchors),), BACKGROUND, dtype=torch.int64)
    if len(ignored) and len(anchors):
        parts = [_covered(part, ignored) for part in in_chunks(anchors, len(ignored))]
        matches[torch.cat(parts)] = IGNORED
    return matches


def _covered(anchors: Tensor, ignored: Tensor) -> Tensor:
    """Tell which anchors have their centre in one of the regions: (R,) bool."""
    centre = (anchors[:, None, :2] + anchors[:, None, 2:]) / 2  # (R, 1, 2)
    inside = (centre >= ignored[:, :2]) & (centre <= ignored[:, 2:])  # (R, G, 2)
    return inside.all(dim=-1).any(dim=-1)


def in_chunks(rows: Tensor, others: int) -> Iterator[Tensor]:
    """Yield rows in parts, so that a part's pairs with all others fit in memory."""
    yield from torch.split(rows, max(1, _MOST_PAIRS // max(1, others)))
