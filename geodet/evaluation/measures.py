"""Compute all measures of detections against labels: by score threshold, overlap and size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.config import MatchConfig
from geodet.evaluation.average_precision import AveragePrecision, mean_ap, measure_ap
from geodet.evaluation.calibration import (
    ReliabilityBin,
    collect_outcomes,
    measure_reliability,
)
from geodet.evaluation.matching import overlapping_pairs, to_metres
from geodet.evaluation.threshold_curves import (
    Comparison,
    MatchCounts,
    ThresholdCurve,
    sum_counts,
    trace_curve,
)
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.boxes import Detections, paired_iou

__all__ = [
    "ClassMeasures",
    "EvaluatedImage",
    "Evaluation",
    "JudgedBoxes",
    "judge_boxes",
    "judge_images",
    "measure",
]


@dataclass(frozen=True, slots=True)
class EvaluatedImage:
    """Detections on one image or scene and its labelled objects, in the same pixels."""

    name: str
    """Name of the image's or scene's file."""
    detections: Detections
    """Detections of a model or program."""
    boxes: Floats
    """(M, 4) labelled objects."""
    labels: Ints
    """(M,) their classes."""
    ignored: NDArray[Any]
    """(G, 4) boxes or (G,) polygons of shapely; a detection with its centre in one counts only
    where it matches an object."""
    gsd: float | None
    """Metres per pixel on the ground, None if unknown."""
    oriented: Floats | None = None
    """(M, 5) oriented boxes of the objects; None: they have none."""
    steps: Floats | None = None
    """(2, 2) that map a step in pixels to metres east and north; None: ``gsd`` in all directions.
    """


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """Measures of one class, or of all classes together."""

    scores: MatchCounts
    """Counts at the score threshold in use."""
    best: MatchCounts
    """Counts at the score threshold that is best on these images."""
    ap: AveragePrecision
    """Average precisions; for all classes together the means over the classes."""
    curve: ThresholdCurve
    """Counts at every threshold."""
    reliability: tuple[ReliabilityBin, ...]
    """Scores compared with the share of right detections, in ten bins."""
    score_error: float
    """Expected calibration error: the mean difference of the two; NaN without detections."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All measures of an evaluation."""

    rule: MatchConfig
    """When a detection matches an object."""
    sides_px: tuple[float, float] | None
    """Sides of the smallest medium and large objects; None if the frame is not in pixels."""
    gsd: float | None
    """Median of the metres per pixel; None if that of any image is unknown."""
    overall: ClassMeasures
    """All classes together."""
    by_class: dict[str, ClassMeasures]
    """Each class by itself."""
    results: tuple[Comparison, ...]
    """The comparison of each image."""

    @property
    def by_row(self) -> dict[str, ClassMeasures]:
        """The rows of a table: all classes together, as ``all``, and each class.

        The first row is ``all classes`` where a class has the name ``all``.
        """
        total = "all classes" if "all" in self.by_class else "all"
        return {total: self.overall, **self.by_class}


@dataclass(frozen=True, slots=True)
class JudgedBoxes:
    """True positives, false positives or misses of one image."""

    boxes: Floats
    """(R, 4) boxes of the detections or of the missed objects, in pixels of the image."""
    labels: Ints
    """(R,) their classes."""
    scores: Floats
    """(R,) scores of the detections; NaN for misses."""
    iou: Floats
    """(R,) IoU with the match; without one, the largest IoU with a candidate of its class."""
    distance_m: Floats
    """(R,) metres between the centres of a match; NaN without one or without a GSD."""
    oriented: Floats | None = None
    """(R, 5) oriented boxes; None: they are axis-aligned."""


def measure(
    images: Sequence[EvaluatedImage],
    classes: Sequence[str],
    rule: MatchConfig,
    *,
    threshold: float | Sequence[float],
    lowest: float = 0.0,
    has_boxes: bool = True,
    has_pixels: bool = True,
) -> Evaluation:
    """Compare detections with labels and compute all measures.

    Args:
        images: Detections and labels of each image.
        classes: Names of the classes, by label.
        rule: When two boxes match, and the bounds of small, medium and large.
        threshold: Score threshold in use, one or by class.
        lowest: Score threshold with which the detections were made, or their lowest score: what
            lies below it is not known, so no lower threshold is the best.
        has_boxes: Whether the labels have an extent. If not, there is no average precision.
        has_pixels: Whether the frame is in pixels. If not, there is none by size.

    Raises:
        TilesetError: The rule is a distance in metres and the GSD is unknown.
    """
    results = tuple(
        Comparison.of(
            image.detections,
            image.boxes,
            image.labels,
            ignored=image.ignored,
            rule=rule,
            gsd=image.gsd if image.steps is None else image.steps,
            oriented=image.oriented,
        )
        for image in images
    )
    unknown = [AveragePrecision(*[math.nan] * 6)] * len(classes)
    sides = rule.size_bounds_px if has_pixels else None
    precisions = measure_ap(results, len(classes), sides=sides) if has_boxes else unknown
    limits = _each(threshold, len(classes))
    by_class = [
        _class_measures(results, precisions[label], limits[label], lowest, label=label)
        for label in range(len(classes))
    ]
    least = min(limits, default=0.0)
    overall = _class_measures(results, mean_ap(precisions), least, lowest)
    if len(set(limits)) > 1:
        overall = replace(overall, scores=sum_counts([one.scores for one in by_class], least))
    return Evaluation(
        rule=rule,
        sides_px=sides,
        gsd=_median_gsd(images),
        overall=overall,
        by_class=dict(zip(classes, by_class, strict=True)),
        results=results,
    )


def judge_boxes(
    result: Comparison, *, threshold: float | Sequence[float]
) -> dict[str, JudgedBoxes]:
    """Sort the boxes of one image into true positives, false positives and misses.

    Args:
        result: The comparison of the image.
        threshold: Score threshold of the detections, one or by class.

    Returns:
        Boxes by ``true_positives``, ``false_positives`` and ``misses``; their numbers are those of
        :class:`MatchCounts`.
    """
    limits = np.asarray(threshold, np.float32)
    of_each = limits[result.detections.labels] if limits.ndim else limits
    kept = result.detections.scores >= of_each
    found, truth, wrong = result.match_kept(kept)
    overlaps = _largest_overlaps(result, wrong)
    missed = np.ones(len(result.boxes), np.bool_)
    missed[truth] = False
    wrong[found] = False
    order = np.argsort(found)
    return {
        "true_positives": _true_positives(result, found[order], truth[order]),
        "false_positives": _false_positives(result, np.flatnonzero(wrong), overlaps[0]),
        "misses": _misses(result, np.flatnonzero(missed), overlaps[1]),
    }


def judge_images(evaluation: Evaluation) -> list[dict[str, JudgedBoxes]]:
    """Sort the boxes of all images as :func:`judge_boxes` does, at the thresholds in use."""
    limits = [one.scores.threshold for one in evaluation.by_class.values()]
    return [judge_boxes(result, threshold=limits) for result in evaluation.results]


def _each(threshold: float | Sequence[float], count: int) -> list[float]:
    return [threshold] * count if isinstance(threshold, int | float) else list(threshold)


def _class_measures(
    results: Sequence[Comparison],
    ap: AveragePrecision,
    threshold: float,
    lowest: float,
    *,
    label: int | None = None,
) -> ClassMeasures:
    curve = trace_curve(results, label=label)
    bins, error = measure_reliability(*collect_outcomes(results, label=label))
    return ClassMeasures(
        curve.at(threshold), curve.best(lowest=lowest), ap, curve, tuple(bins), error
    )


def _median_gsd(images: Sequence[EvaluatedImage]) -> float | None:
    known = [image.gsd for image in images if image.gsd is not None]
    return float(np.median(known)) if known and len(known) == len(images) else None


def _largest_overlaps(result: Comparison, kept: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the largest IoU within the class of each detection (N,) and each object (M,)."""
    of_found, of_truth = np.zeros(len(result.detections)), np.zeros(len(result.boxes))
    if len(of_found) and len(of_truth):
        pairs = overlapping_pairs(*result.compared, 1e-9)
        same = result.detections.labels[pairs.detection] == result.labels[pairs.label]
        pairs = pairs.select(same & kept[pairs.detection])
        np.maximum.at(of_found, pairs.detection, 1.0 - pairs.cost)
        np.maximum.at(of_truth, pairs.label, 1.0 - pairs.cost)
    return of_found, of_truth


def _true_positives(result: Comparison, found: Ints, truth: Ints) -> JudgedBoxes:
    detections, boxes = result.detections.select(found), result.boxes[truth]
    steps = detections.centres - (boxes[:, :2] + boxes[:, 2:]) / 2
    gsd = math.nan if result.gsd is None else result.gsd
    detected, labelled = result.compared
    return JudgedBoxes(
        detections.boxes,
        detections.labels,
        detections.scores.astype(np.float64),
        paired_iou(detected[found], labelled[truth]),
        np.linalg.norm(to_metres(steps, gsd), axis=1),
        detections.oriented,
    )


def _false_positives(result: Comparison, rows: Ints, overlaps: Floats) -> JudgedBoxes:
    wrong = result.detections.select(rows)
    scores = wrong.scores.astype(np.float64)
    unknown = np.full(len(rows), np.nan)
    return JudgedBoxes(wrong.boxes, wrong.labels, scores, overlaps[rows], unknown, wrong.oriented)


def _misses(result: Comparison, rows: Ints, overlaps: Floats) -> JudgedBoxes:
    unknown = np.full(len(rows), np.nan)
    boxes, labels = result.boxes[rows], result.labels[rows]
    turned = None if result.oriented is None else result.oriented[rows]
    return JudgedBoxes(boxes, labels, unknown, overlaps[rows], unknown, turned)
