"""Count what a model finds at the score thresholds that detect and evaluate apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geodet.evaluation.threshold_curves import (
    Comparison,
    MatchCounts,
    sum_counts,
    trace_curve,
)
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.description import ModelDescription

__all__ = ["count_held_out", "count_in_use", "with_best_thresholds"]


def with_best_thresholds(
    about: ModelDescription,
    results: Sequence[Comparison],
    by_class: Sequence[str],
    *,
    lowest: Sequence[float],
) -> ModelDescription:
    """Return the description of a model with the score thresholds of the best F1.

    Args:
        about: A model.
        results: Its detections, compared with labels by its own classes.
        by_class: The classes with a threshold of their own; the others share that of all.
        lowest: Score of each class of the model down to which the detections are known: a lower
            threshold would keep objects that no count has.
    """
    numbers = {name: about.classes.index(name) for name in by_class}
    best = {
        name: trace_curve(results, label=row).best(lowest=lowest[row]).threshold
        for name, row in numbers.items()
    }
    threshold = trace_curve(results).best(lowest=max(lowest)).threshold
    return about.model_copy(update={"score_threshold": threshold, "score_thresholds": best})


def count_in_use(
    about: ModelDescription,
    results: Sequence[Comparison],
    given: float | Mapping[str, float] | None,
) -> MatchCounts:
    """Count each class at the score threshold that detect and evaluate apply to it.

    Args:
        about: The model, which stores thresholds.
        results: Its detections, compared with labels by its own classes.
        given: ``detect.score_threshold``, which takes precedence.

    Returns:
        The counts over all classes; their threshold is the lowest one.

    Raises:
        ConfigError: A threshold is of a class that the model lacks.
    """
    limits = choose_thresholds(about, given)
    parts = [trace_curve(results, label=label).at(limit) for label, limit in enumerate(limits)]
    return sum_counts(parts, min(limits))


def count_held_out(
    about: ModelDescription,
    results: Sequence[Comparison],
    given: float | Mapping[str, float] | None,
    folds: int,
    *,
    lowest: Sequence[float],
) -> MatchCounts:
    """Count each fold of the images at the thresholds that are best on the others.

    Args:
        about: The model with the thresholds that it stores, whose classes have their own in each
            fold, too.
        results: Detections of the model on each image; image i is in fold i modulo ``folds``.
        given: ``detect.score_threshold``, which takes precedence.
        folds: At least 2.
        lowest: As for :func:`with_best_thresholds`.

    Returns:
        The counts over all images and classes; their threshold is the lowest one of the model.

    Raises:
        ConfigError: A threshold is of a class that the model lacks.
    """
    parts = []
    for fold in range(folds):
        others = [one for i, one in enumerate(results) if i % folds != fold]
        chosen = with_best_thresholds(about, others, list(about.score_thresholds), lowest=lowest)
        parts.append(count_in_use(chosen, results[fold::folds], given))
    return sum_counts(parts, min(choose_thresholds(about, given)))
