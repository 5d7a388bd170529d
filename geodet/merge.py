"""Join what overlapping windows found: ownership by core, then exact suppression of duplicates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree, box

from geodet.boxes import Detections, paired_iou
from geodet.windows import Window

__all__ = ["keep_owned", "suppress"]

Ints = NDArray[np.int64]

_CHUNK = 100_000  # boxes looked up at once; bounds the memory of the pairs


def keep_owned(detections: Detections, core: Window, *, slack: float) -> Detections:
    """Keep the detections whose centre lies in a window's core, widened by some slack.

    Two windows predict slightly different centres for one object on a seam. With strict cores both
    could disown it; with slack both may keep it, and :func:`suppress` removes one.

    Args:
        detections: In the same pixels as the core.
        core: The part of the raster that the window owns.
        slack: Pixels that the core grows on every side.
    """
    low = np.array([core.col_off - slack, core.row_off - slack])
    high = np.array([core.col_end + slack, core.row_end + slack])
    centres = detections.centres
    return detections.select(np.all((centres >= low) & (centres < high), axis=1))


def suppress(detections: Detections, *, iou_threshold: float) -> Detections:
    """Remove duplicates by greedy non-maximum suppression, class by class, in float64.

    Equal to the definition: take the strongest box left, drop those of its class that overlap it by
    more than the threshold, repeat. Equal scores are taken from top to bottom, left to right.
    Idempotent, and the result does not depend on the order of the input.

    Args:
        detections: Of one frame, N of them.
        iou_threshold: Overlap above which the weaker box goes.

    Returns:
        The survivors, ranked.
    """
    ranked = detections.ranked()
    kept = np.zeros(len(ranked), dtype=np.bool_)
    for label in np.unique(ranked.labels):
        rows = np.flatnonzero(ranked.labels == label)
        kept[rows] = _survivors(ranked.select(rows), iou_threshold)
    return ranked.select(kept)


def _survivors(ranked: Detections, iou_threshold: float) -> NDArray[np.bool_]:
    """Suppress within one class: (N,) bool.

    In rounds: a box with no stronger rival left is kept, and its rivals go. Each round settles at
    least the strongest box of every cluster, so few rounds do what the greedy loop does box by box.
    """
    strong, weak = _rivals(ranked, iou_threshold)
    kept = np.ones(len(ranked), dtype=np.bool_)
    settled = np.ones(len(ranked), dtype=np.bool_)
    settled[strong] = settled[weak] = False
    while len(strong):
        beaten = np.zeros(len(ranked), dtype=np.bool_)
        beaten[weak] = True
        winners = ~settled & ~beaten
        losers = weak[winners[strong]]
        kept[losers] = False
        settled[losers] = True
        settled |= winners
        still = ~(settled[strong] | settled[weak])
        strong, weak = strong[still], weak[still]
    return kept


def _rivals(ranked: Detections, iou_threshold: float) -> tuple[Ints, Ints]:
    """List all pairs that overlap by more than the threshold, the stronger box first."""
    pairs = list(_iter_rivals(ranked.boxes, iou_threshold))
    if not pairs:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    strong, weak = zip(*pairs, strict=True)
    return np.concatenate(strong), np.concatenate(weak)


def _iter_rivals(boxes: NDArray[np.float64], iou_threshold: float) -> Iterator[tuple[Ints, Ints]]:
    shapes = box(*boxes.T)
    tree = STRtree(shapes)
    for start in range(0, len(boxes), _CHUNK):
        rows, others = tree.query(shapes[start : start + _CHUNK])
        rows = rows + start
        below = rows < others  # each pair once; the lower row is the stronger box
        rows, others = rows[below], others[below]
        overlap = paired_iou(boxes[rows], boxes[others]) > iou_threshold
        yield rows[overlap], others[overlap]
