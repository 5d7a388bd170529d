"""One score for all detectors: F at the best threshold, and AP, on the same labelled images."""

from __future__ import annotations

from collections.abc import Sequence

from geodet.config import MatchConfig
from geodet.evaluation.average_precision import mean_ap, measure_ap
from geodet.evaluation.evaluated_chips import compare_images
from geodet.evaluation.threshold_curves import best_counts
from geodet.geometry.boxes import Detections
from geodet.tilesets.labels import LabelledImage

LOWEST_SCORE = 0.01
"""Of the detections that are scored; a network that saw little gives low scores."""


def score_images(
    found: Sequence[Detections],
    images: Sequence[LabelledImage],
    classes: Sequence[str],
    rule: MatchConfig,
) -> dict[str, float]:
    """Score detections on labelled images, each detector at its own best threshold.

    Args:
        found: Detections of each image, in its pixels.
        images: The images.
        classes: Their classes.
        rule: When two boxes match, for F; AP is measured where that is by overlap.

    Returns:
        F, precision, recall, threshold, and AP, its mean over the classes.
    """
    results = compare_images(found, images, rule)
    best = best_counts(results, lowest=LOWEST_SCORE)
    figures = {
        "F": best.f1,
        "precision": best.precision,
        "recall": best.recall,
        "threshold": best.threshold,
    }
    if rule.by != "iou":
        return figures
    mean = mean_ap(measure_ap(results, len(classes), sides=rule.size_bounds_px))
    return figures | {
        "AP": mean.ap,
        "AP50": mean.ap50,
        "AP small": mean.small,
        "AP medium": mean.medium,
        "AP large": mean.large,
    }
