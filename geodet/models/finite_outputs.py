"""Stop where a network gives numbers that are not finite, which no threshold would show."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from geodet.errors import ModelFileError
from geodet.geometry.boxes import Detections

__all__ = ["check_boxes", "check_scores"]


def check_scores(logits: Any) -> None:
    """Check that the scores of a batch are numbers.

    NaN is below any threshold, so a broken network would find nothing, without an error. One sum
    shows any such value; it is one pass over the scores, and on a device one number to wait for.

    Args:
        logits: (N, R, K) scores before the sigmoid, an array or a tensor on any device.

    Raises:
        ModelFileError: One is NaN or infinite.
    """
    with np.errstate(all="ignore"):
        total = float(logits.sum())
    if not math.isfinite(total):
        raise _not_finite("scores")


def check_boxes(found: Iterable[Detections]) -> None:
    """Check that the boxes of decoded detections are numbers.

    Raises:
        ModelFileError: One is NaN or infinite.
    """
    if not all(np.isfinite(one.boxes).all() for one in found):
        raise _not_finite("boxes")


def _not_finite(what: str) -> ModelFileError:
    return ModelFileError(
        f"the network gives {what} that are not finite numbers",
        hint="the model file is damaged or its training diverged: train the model again; if it was "
        "right with another precision, set detect.precision=float32",
    )
