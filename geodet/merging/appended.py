"""Suppression of duplicates between new detections and those that a file holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.boxes import Detections, paired_iou
from geodet.geometry.ground_pairs import GroundPairs
from geodet.merging.suppression import BoxState, states_from_pairs

__all__ = ["drop_weaker"]

_MET_BOX = np.dtype([("id", "i8"), ("score", "f4"), ("scene", "i4"), ("bounds", "f8", (4,))])
_MetBoxes = NDArray[Any]
_UPRIGHT = 1 - 1e-6  # an axis-aligned box fills at least this share of its bounds


def drop_weaker(batches: Iterable[GroundPairs], *, iou_threshold: float) -> tuple[Ints, Ints]:
    """Return which boxes are duplicates of stronger ones.

    The rule is that of :class:`geodet.merging.mosaics.MosaicJoiner`: take the strongest box left,
    drop those that overlap it by more than the threshold, repeat. So a box in the file is dropped
    where a stronger new one shows the same object. Memory grows with the pairs above the threshold.

    Args:
        batches: All pairs whose boxes may overlap by more than the threshold, in any order.
        iou_threshold: IoU on the ground above which the weaker box is dropped.

    Returns:
        Identifiers of the new boxes that are dropped, and of those in the file, ascending.
    """
    names: dict[str, int] = {}
    found = (_meeting(pairs, iou_threshold, names) for pairs in batches)
    met = np.concatenate([np.zeros((0, 2), _MET_BOX), *found])
    new, first, news = np.unique(met["id"][:, 0], return_index=True, return_inverse=True)
    old, other, olds = np.unique(met["id"][:, 1], return_index=True, return_inverse=True)
    name_ranks = np.argsort(np.argsort(list(names)))  # in alphabetical order
    rank = _rank(np.concatenate([met[first, 0], met[other, 1]]), name_ranks)
    pairs = np.stack([rank[news], rank[len(new) + olds]])
    states = states_from_pairs(pairs.min(axis=0), pairs.max(axis=0), np.zeros(len(rank), np.bool_))
    dropped = states[rank] == BoxState.DROPPED
    return new[dropped[: len(new)]], old[dropped[len(new) :]]


def _meeting(pairs: GroundPairs, iou_threshold: float, names: dict[str, int]) -> _MetBoxes:
    """Return the pairs that overlap enough: (P, 2) records; scenes are numbered in ``names``."""
    bounds: Floats = shapely.bounds(pairs.shapes)
    enough = _iou(pairs.shapes, bounds) > iou_threshold
    met = np.zeros((int(enough.sum()), 2), _MET_BOX)
    met["id"], met["score"] = pairs.ids[enough], pairs.scores[enough]
    scenes = pairs.scenes[enough].ravel().tolist()
    numbers = [names.setdefault(scene, len(names)) for scene in scenes]
    met["scene"], met["bounds"] = np.reshape(numbers, (-1, 2)), bounds[enough]
    return met


def _rank(boxes: _MetBoxes, name_ranks: Ints) -> Ints:
    """Return the rank of each box, from 0 for the strongest: (N,); ties by position, then name."""
    found = Detections(boxes["bounds"], boxes["score"], np.zeros(len(boxes), np.int64))
    rank = np.empty(len(boxes), np.int64)
    rank[found.ranking(name_ranks[boxes["scene"]])] = np.arange(len(boxes))
    return rank


def _iou(shapes: NDArray[Any], bounds: Floats) -> Floats:
    """Compute the overlap of pairs of polygons: (P,)."""
    iou = paired_iou(bounds[:, 0], bounds[:, 1])
    full = (bounds[..., 2:] - bounds[..., :2]).prod(axis=-1)
    areas = shapely.area(shapes)
    tilted = np.flatnonzero((areas < _UPRIGHT * full).any(axis=1) & (iou > 0))
    shared = shapely.area(shapely.intersection(shapes[tilted, 0], shapes[tilted, 1]))
    union = areas[tilted].sum(axis=1) - shared
    iou[tilted] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou
