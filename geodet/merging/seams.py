"""Know which boxes the edges of windows cut: complete ones win."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodet.boxes import Detections
from geodet.merging.settling import State, SuppressionRule, decide
from geodet.windows import Window

__all__ = ["cut_sides", "suppress_at_seams"]

Bools = NDArray[np.bool_]


def cut_sides(
    detections: Detections, window: Window, *, width: int, height: int, tolerance: float = 1.0
) -> Bools:
    """Tell which sides of boxes the edges of their window cut.

    A side is cut if it lies within the tolerance of the window's edge, or beyond, and the raster
    goes on behind that edge. An object that happens to end there counts as cut as well.

    Args:
        detections: N found in the window, in the pixels of the raster.
        window: Where they were found.
        width: Of the raster.
        height: Of the raster.
        tolerance: Pixels.

    Returns:
        (N, 4): left, top, right, bottom, as the columns of the boxes.
    """
    x1, y1, x2, y2 = detections.boxes.T
    return np.stack(
        [
            (x1 <= window.col_off + tolerance) & (window.col_off > 0),
            (y1 <= window.row_off + tolerance) & (window.row_off > 0),
            (x2 >= window.col_end - tolerance) & (window.col_end < width),
            (y2 >= window.row_end - tolerance) & (window.row_end < height),
        ],
        axis=1,
    )


def suppress_at_seams(
    detections: Detections, cut: Bools, *, iou_threshold: float, inside_threshold: float = 0.5
) -> tuple[Detections, Bools]:
    """Remove duplicates, where a fragment loses to a complete box whatever their scores.

    The rule is greedy suppression, class by class, in another order and with one more reason:
    complete boxes come before cut ones, and among each the stronger first. A box goes if one that
    was kept overlaps it by more than the threshold; a cut box also goes if more than a part of its
    own area is inside a complete one that was kept. That part is of the fragment's area and not of
    the smaller box: a fragment lies in its object, but a small object on a large cut one does not
    make it a duplicate. Idempotent, and independent of the order of the input.

    Args:
        detections: N of one frame.
        cut: (N, 4) from :func:`cut_sides`.
        iou_threshold: Overlap above which a box goes.
        inside_threshold: Part of a cut box; at 1 and more only the overlap counts.

    Returns:
        The M survivors, ranked, and their (M, 4) cut sides.
    """
    order = detections.ranking(*cut.T)
    ranked, cut = detections.select(order), cut[order]
    rule = SuppressionRule(iou_threshold, inside_threshold)
    states = decide(ranked, cut, rule, np.zeros(len(ranked), np.bool_))
    kept = states == State.KEPT
    return ranked.select(kept), cut[kept]
