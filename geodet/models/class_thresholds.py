"""Score thresholds by class: the settings' where they name one, or else the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geodet.config.section import name_hint
from geodet.errors import ConfigError
from geodet.geometry.boxes import Detections
from geodet.models.description import ModelDescription

__all__ = ["choose_thresholds", "drop_weak"]


def choose_thresholds(
    about: ModelDescription, given: float | Mapping[str, float] | None
) -> tuple[float, ...]:
    """Return the lowest score of each class, in the order of the model's classes.

    Args:
        about: A model.
        given: One threshold for all classes; thresholds by class, which leave the others at the
            model's own; None: the model's own.

    Raises:
        ConfigError: A class is none of the model's.
    """
    if isinstance(given, int | float):
        return (float(given),) * len(about.classes)
    by_class = dict(given or {})
    for name in by_class:
        if name not in about.classes:
            raise ConfigError(
                f"detect.score_threshold: {about.name} has no class {name!r}",
                hint=name_hint(name, about.classes, "classes"),
                key="detect.score_threshold",
            )
    own = dict.fromkeys(about.classes, about.score_threshold) | about.score_thresholds
    return tuple(by_class.get(name, own[name]) for name in about.classes)


def drop_weak(found: Detections, thresholds: Sequence[float]) -> Detections:
    """Return the detections that reach the threshold of their class.

    Stronger boxes alone suppress others, so that dropping weak ones after suppression gives what
    dropping them before would.

    Args:
        found: Detections.
        thresholds: Lowest score of each class; empty: all are kept.
    """
    if len(set(thresholds)) < 2:
        return found
    return found.select(found.scores >= np.asarray(thresholds, np.float32)[found.labels])
