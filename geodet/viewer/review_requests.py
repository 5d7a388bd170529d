"""Check the requests of a review's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geodet.errors import ConfigError
from geodet.geometry.arrays import Floats

__all__ = ["LEAST_SIDE_PX", "Request", "requested_label", "requested_number", "requested_numbers"]

Request = Mapping[str, Any]

LEAST_SIDE_PX = 0.5
"""Least side of a box."""

_LONGEST_NAME = 200  # letters of a class


def requested_number(request: Request, name: str) -> int:
    """Return a whole number of a request.

    Raises:
        ValueError: It has none by this name.
    """
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is not a whole number: {value!r}")
    return value


def requested_numbers(request: Request, name: str, count: int) -> Floats:
    """Return finite numbers of a request: (count,)."""
    wrong = f"{name} has {count} numbers"
    try:
        given = np.array(request.get(name), np.float64)
    except TypeError as error:
        raise ValueError(wrong) from error
    if given.shape != (count,) or not np.isfinite(given).all():
        raise ValueError(wrong)
    return given


def requested_label(request: Request) -> str:
    """Return the name of a class, without spaces around it.

    Raises:
        ValueError: It is no text.
        ConfigError: It is empty or long.
    """
    label = request.get("label")
    if not isinstance(label, str):
        raise ValueError(f"{label!r} is not a name of a class")
    if not label.strip():
        raise ConfigError("the class has no name", hint="type the name of a class")
    if len(label) > _LONGEST_NAME:
        raise ConfigError(
            f"the name of the class has {len(label)} letters",
            hint=f"type one of at most {_LONGEST_NAME}",
        )
    return label.strip()
