"""The attribute of detections that has their scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from geodet.errors import VectorError
from geodet.geometry.arrays import Floats

__all__ = ["check_score_range", "read_scores"]


def read_scores(table: Any, path: Path, field: str) -> Floats:
    """Read the score of each object from an attribute; 1 for all if the name is empty: (N,).

    Raises:
        VectorError: There is no such attribute, or a score is not in [0, 1].
    """
    if not field or not len(table):
        return np.ones(len(table))
    if field not in table.columns:
        known = ", ".join(map(str, table.columns)) or "no attributes"
        raise VectorError(
            f"{path} has no attribute {field!r} with the scores",
            hint="name it with score_field (--score-field); an empty one ('') gives every "
            f"detection the score 1; there are {known}",
            path=path,
        )
    try:
        scores = table[field].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise VectorError(
            f"{path}: the scores in {field!r} are not numbers",
            hint="name another score_field (--score-field)",
            path=path,
        ) from error
    check_score_range(
        scores, path, field, hint="name another score_field (--score-field), or scale the scores"
    )
    return np.asarray(scores)


def check_score_range(scores: Floats, path: Path, field: str, *, hint: str) -> None:
    """Check that scores are in [0, 1].

    Args:
        scores: (N,)
        path: The file, for messages.
        field: Their attribute.
        hint: Hint of the error.

    Raises:
        VectorError: One is not, or is NaN.
    """
    missing = int(np.isnan(scores).sum())
    if missing:
        raise VectorError(
            f"{path}: {missing} of {len(scores)} objects have no score in {field!r}",
            hint="give them scores, or name another score_field (--score-field); an empty one ('') "
            "gives every object the score 1",
            path=path,
        )
    wrong = (scores < 0) | (scores > 1)
    if wrong.any():
        raise VectorError(
            f"{path}: {int(wrong.sum())} scores in {field!r} are not between 0 and 1, the first is"
            f" {scores[wrong][0]:g}",
            hint=hint,
            path=path,
        )
