"""The confusion matrix of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geodet.config import MatchConfig
from geodet.evaluation.matching import Gsd, candidate_pairs, match
from geodet.evaluation.measures import JudgedBoxes
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import oriented_shapes

__all__ = ["count_confusions"]


def count_confusions(
    judged: Sequence[Mapping[str, JudgedBoxes]],
    gsds: Sequence[Gsd | None],
    classes: int,
    rule: MatchConfig,
) -> Ints:
    """Count objects by their class and by the class of the detection that found them.

    Objects and detections are first matched within each class, as for all other measures, so the
    diagonal holds the true positives. The false positives and misses that are left are then
    matched one to one by the same rule, whatever their classes: a pair is a confusion.

    Args:
        judged: True positives, false positives and misses of each image.
        gsds: Metres per pixel of each image.
        classes: Number of classes K.
        rule: When two boxes match.

    Returns:
        (K + 1, K + 1) rows are the classes of objects, columns those of detections. The last row
        counts detections of no object, the last column objects that nothing found.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    for boxes, gsd in zip(judged, gsds, strict=True):
        hits, wrong, missed = (
            boxes[name] for name in ("true_positives", "false_positives", "misses")
        )
        np.add.at(counts, (hits.labels, hits.labels), 1)
        found, truth = _match_any(wrong, missed, rule, gsd)
        np.add.at(counts, (missed.labels[truth], wrong.labels[found]), 1)
        counts[classes, :classes] += np.bincount(np.delete(wrong.labels, found), minlength=classes)
        counts[:classes, classes] += np.bincount(np.delete(missed.labels, truth), minlength=classes)
    return counts


def _match_any(
    wrong: JudgedBoxes, missed: JudgedBoxes, rule: MatchConfig, gsd: Gsd | None
) -> tuple[Ints, Ints]:
    """Match false positives with misses of any class."""
    scores: Floats = wrong.scores
    nothing = np.zeros(len(scores), np.int64)
    detections = Detections(wrong.boxes, scores.astype(np.float32), nothing, wrong.oriented)
    labels = np.zeros(len(missed.labels), np.int64)
    truth = missed.boxes if missed.oriented is None else oriented_shapes(missed.oriented)
    return match(candidate_pairs(detections, truth, labels, rule=rule, gsd=gsd))
