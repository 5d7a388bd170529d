"""Score thresholds as they are typed after ``--score-threshold``."""

from __future__ import annotations

import typer

__all__ = ["parse_thresholds"]


def parse_thresholds(text: str | None) -> float | dict[str, float] | None:
    """Parse ``0.4`` as one score threshold, and ``car=0.3,van=0.5`` as thresholds by class."""
    if text is None:
        return None
    named = dict(part.strip().rpartition("=")[::2] for part in text.split(","))
    try:
        scores = {name.strip(): float(score) for name, score in named.items()}
    except ValueError as error:
        raise _bad_threshold(text) from error
    if not all(0 <= score <= 1 for score in scores.values()) or ("" in scores and len(scores) > 1):
        raise _bad_threshold(text)
    return scores.get("", scores)


def _bad_threshold(text: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"{text!r} is neither a score from 0 to 1 nor scores by class such as car=0.3,van=0.5",
        param_hint="--score-threshold",
    )
