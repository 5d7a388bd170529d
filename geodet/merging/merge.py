"""Join what overlapping windows found: ownership by core, then exact suppression of duplicates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from geodet.boxes import Detections
from geodet.merging.row_merger import RowMerger
from geodet.merging.settling import SuppressionRule
from geodet.windows import Window

__all__ = ["keep_owned", "suppress"]

_AT_ONCE = 1 << 19  # boxes; more are merged band by band, which takes less memory and time


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
    Idempotent, and the result does not depend on the order of the input. The time grows with the
    number of boxes, also where they crowd.

    Args:
        detections: Of one frame, N of them.
        iou_threshold: Overlap above which the weaker box goes.

    Returns:
        The survivors, ranked.
    """
    merger = RowMerger(SuppressionRule(iou_threshold))
    if len(detections) <= _AT_ONCE:
        merger.add(detections)
        return merger.finish()
    return Detections.concatenate(list(_merge_bands(detections, merger))).ranked()


def _merge_bands(detections: Detections, merger: RowMerger) -> Iterator[Detections]:
    tops = detections.boxes[:, 1]
    order = np.argsort(tops)
    for start in range(0, len(order), _AT_ONCE):
        merger.add(detections.select(order[start : start + _AT_ONCE]))
        later = order[start + _AT_ONCE :][:1]
        yield merger.settle(tops[later[0]]) if len(later) else merger.finish()
