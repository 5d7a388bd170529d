"""Overlaps of boxes, and suppression at once: what tests compare results with."""

import numpy as np

from geodet.geometry.boxes import paired_iou
from geodet.merging.suppression import BoxState, SuppressionRule, suppression_states


def pairwise_iou(a, b):
    """Return the intersection over union of every box of ``a`` with every box of ``b``: (N, M)."""
    return paired_iou(a[:, None, :], b[None, :, :])


def suppress_at_once(detections, cut, *, iou_threshold, inside_threshold=0.5):
    """Return what survives suppression, ranked, and its cut sides."""
    order = detections.ranking(*cut.T)
    ranked, cut = detections.select(order), cut[order]
    rule = SuppressionRule(iou_threshold, inside_threshold)
    states = suppression_states(ranked, cut, rule, np.zeros(len(ranked), bool))
    kept = states == BoxState.KEPT
    return ranked.select(kept), cut[kept]
