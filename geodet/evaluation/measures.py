"""All measures of detections against labels: at thresholds, over them, and by size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodet.config import MatchConfig
from geodet.evaluation.average_precision import AveragePrecision, mean_ap, measure_ap
from geodet.evaluation.matching import match, overlapping_pairs
from geodet.evaluation.threshold_curves import Comparison, MatchCounts, ThresholdCurve, trace_curve
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.boxes import Detections, paired_iou

__all__ = ["ClassMeasures", "EvaluatedImage", "Evaluation", "JudgedBoxes", "judge_boxes", "measure"]


@dataclass(frozen=True, slots=True)
class EvaluatedImage:
    """What was found in one image or scene and what is there, in the same pixels."""

    name: str
    """Of the image's file, or of the scene's."""
    detections: Detections
    """What was found."""
    boxes: Floats
    """(M, 4) labelled objects."""
    labels: Ints
    """(M,) their classes."""
    ignored: Floats
    """(G, 4) regions; a detection with its centre in one does not count."""
    gsd: float | None
    """Metres per pixel on the ground, None where nobody knows."""


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """The measures of one class, or of all together."""

    scores: MatchCounts
    """At the threshold that detect would use."""
    best: MatchCounts
    """At the threshold that is best on these very images."""
    ap: AveragePrecision
    """Average precisions by overlap; those of all classes are the means over the classes."""
    curve: ThresholdCurve
    """Counts at every threshold."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good detections are."""

    rule: MatchConfig
    """When a detection counted as found."""
    sides_px: tuple[float, float] | None
    """Where medium and large objects begin; None where there are no pixels."""
    gsd: float | None
    """Median of the metres per pixel; None where some image has none."""
    overall: ClassMeasures
    """All classes together."""
    by_class: dict[str, ClassMeasures]
    """Each class."""
    results: tuple[Comparison, ...]
    """The comparison of each image."""


@dataclass(frozen=True, slots=True)
class JudgedBoxes:
    """Detections that are right, detections that are wrong, or objects that were missed."""

    boxes: Floats
    """(R, 4) in the pixels of the image: of the detection, or of the missed object."""
    labels: Ints
    """(R,) their classes."""
    scores: Floats
    """(R,) of the detections; NaN for missed objects."""
    iou: Floats
    """(R,) overlap with the match, else the largest with anything of the class that it could be."""
    distance_m: Floats
    """(R,) metres between the centres of a match; NaN without one, or where nobody knows."""


def measure(
    samples: Sequence[EvaluatedImage],
    classes: Sequence[str],
    rule: MatchConfig,
    *,
    threshold: float,
    lowest: float = 0.0,
    has_boxes: bool = True,
    has_pixels: bool = True,
) -> Evaluation:
    """Compare detections with labels and take all measures.

    Args:
        samples: Detections and labels of each image.
        classes: Names of the classes, by label.
        rule: When two boxes match, and the bounds of small, medium and large.
        threshold: Of the scores that detect would keep.
        lowest: Below this score nothing was detected.
        has_boxes: Whether the boxes are objects' and not drawn around points; else there is no AP.
        has_pixels: Whether the frame is in pixels; else there is no AP by size.

    Raises:
        TilesetError: The rule wants metres and nobody knows the metres per pixel.
    """
    results = tuple(
        Comparison.of(
            sample.detections,
            sample.boxes,
            sample.labels,
            ignored=sample.ignored,
            rule=rule,
            gsd=sample.gsd,
        )
        for sample in samples
    )
    unknown = [AveragePrecision(*[math.nan] * 6)] * len(classes)
    sides = rule.size_bounds_px if has_pixels else None
    precisions = measure_ap(results, len(classes), sides=sides) if has_boxes else unknown
    curves = [trace_curve(results, label=label) for label in range(len(classes))]
    figures = [_figures(c, p, threshold, lowest) for c, p in zip(curves, precisions, strict=True)]
    return Evaluation(
        rule=rule,
        sides_px=sides,
        gsd=_median_gsd(samples),
        overall=_figures(trace_curve(results), mean_ap(precisions), threshold, lowest),
        by_class=dict(zip(classes, figures, strict=True)),
        results=results,
    )


def judge_boxes(
    result: Comparison, gsd: float | None, *, threshold: float
) -> dict[str, JudgedBoxes]:
    """Sort detections of at least a score, and objects, by whether they match.

    Args:
        result: The comparison of one image.
        gsd: Its metres per pixel.
        threshold: Of the scores.

    Returns:
        ``true_positives``, ``false_positives`` and ``misses``, as :class:`MatchCounts` counts them.
    """
    kept = result.detections.scores >= np.float32(threshold)
    found, truth = match(result.pairs.select(kept[result.pairs.detection]))
    overlaps = _largest_overlaps(result, kept)
    missed = np.ones(len(result.boxes), np.bool_)
    missed[truth] = False
    wrong = kept.copy()
    wrong[found] = False
    order = np.argsort(found)
    return {
        "true_positives": _matched_rows(result, found[order], truth[order], gsd),
        "false_positives": _detected_rows(result, np.flatnonzero(wrong), overlaps[0]),
        "misses": _missed_rows(result, np.flatnonzero(missed), overlaps[1]),
    }


def _figures(
    curve: ThresholdCurve, ap: AveragePrecision, threshold: float, lowest: float
) -> ClassMeasures:
    return ClassMeasures(curve.at(threshold), curve.best(lowest=lowest), ap, curve)


def _median_gsd(samples: Sequence[EvaluatedImage]) -> float | None:
    known = [sample.gsd for sample in samples if sample.gsd is not None]
    return float(np.median(known)) if known and len(known) == len(samples) else None


def _largest_overlaps(result: Comparison, kept: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Give the largest IoU of each detection with a label of its class, and of each label."""
    of_found, of_truth = np.zeros(len(result.detections)), np.zeros(len(result.boxes))
    if len(of_found) and len(of_truth):
        pairs = overlapping_pairs(result.detections.boxes, result.boxes, 1e-9)
        same = result.detections.labels[pairs.detection] == result.labels[pairs.label]
        pairs = pairs.select(same & kept[pairs.detection])
        np.maximum.at(of_found, pairs.detection, 1.0 - pairs.cost)
        np.maximum.at(of_truth, pairs.label, 1.0 - pairs.cost)
    return of_found, of_truth


def _matched_rows(result: Comparison, found: Ints, truth: Ints, gsd: float | None) -> JudgedBoxes:
    detections, boxes = result.detections.select(found), result.boxes[truth]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distances = np.linalg.norm(detections.centres - centres, axis=1)
    return JudgedBoxes(
        detections.boxes,
        detections.labels,
        detections.scores.astype(np.float64),
        paired_iou(detections.boxes, boxes),
        distances * (math.nan if gsd is None else gsd),
    )


def _detected_rows(result: Comparison, rows: Ints, overlaps: Floats) -> JudgedBoxes:
    wrong = result.detections.select(rows)
    scores = wrong.scores.astype(np.float64)
    return JudgedBoxes(
        wrong.boxes, wrong.labels, scores, overlaps[rows], np.full(len(rows), np.nan)
    )


def _missed_rows(result: Comparison, rows: Ints, overlaps: Floats) -> JudgedBoxes:
    unknown = np.full(len(rows), np.nan)
    return JudgedBoxes(result.boxes[rows], result.labels[rows], unknown, overlaps[rows], unknown)
