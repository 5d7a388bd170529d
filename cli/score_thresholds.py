"""Score thresholds as they are typed after ``--score-threshold``."""

from __future__ import annotations

from collections import Counter

import typer

__all__ = ["parse_thresholds"]


def parse_thresholds(text: str | None) -> float | dict[str, float] | None:
    """Parse ``0.4`` as one score threshold, and ``car=0.3,van=0.5`` as thresholds by class."""
    if text is None:
        return None
    if "=" not in text:
        return _parse_score(text, of=text)
    parts = [part.rpartition("=") for part in text.split(",")]
    named = [(name.strip(), _parse_score(score, of=text)) for name, _, score in parts]
    name, times = Counter(name for name, _ in named).most_common(1)[0]
    if not all(name for name, _ in named):
        raise _bad_threshold(text)
    if times > 1:
        raise _bad_parameter(f"{text!r} names {name!r} twice")
    return dict(named)


def _parse_score(score: str, *, of: str) -> float:
    try:
        parsed = float(score)
    except ValueError as error:
        raise _bad_threshold(of) from error
    if not 0 <= parsed <= 1:
        raise _bad_threshold(of)
    return parsed


def _bad_threshold(text: str) -> typer.BadParameter:
    return _bad_parameter(
        f"{text!r} is neither a score from 0 to 1 nor scores by class such as car=0.3,van=0.5"
    )


def _bad_parameter(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--score-threshold")
