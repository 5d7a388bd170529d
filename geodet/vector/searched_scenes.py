"""The outcome of a run for each scene: which ground was searched, or why the scene failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely

__all__ = ["SearchedScenes", "join_reasons", "to_wkt"]

_DIGITS = 12  # significant ones of a coordinate in WKT


@dataclass(frozen=True, slots=True)
class SearchedScenes:
    """The scenes of a run, by name; shapes are in the CRS of the layer."""

    grounds: Mapping[str, shapely.Geometry] = field(default_factory=dict)
    """The ground that was searched in each scene, where it is known."""
    extents: Mapping[str, shapely.Geometry] = field(default_factory=dict)
    """The whole extent of each scene, also where it has no data."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """For each scene that could not be read, the reason."""


def join_reasons(failures: Mapping[Any, object]) -> str:
    """Join the errors of scenes or outputs, each with its name.

    Example:
        >>> join_reasons({"a.tif": "it is damaged", "b.tif": "it is missing"})
        'a.tif: it is damaged; b.tif: it is missing'
    """
    return "; ".join(f"{name}: {reason}" for name, reason in failures.items())


def to_wkt(area: shapely.Geometry) -> str:
    """Convert an area to WKT, with twelve significant digits.

    Example:
        >>> to_wkt(shapely.box(0, 0, 1 / 3, 1))
        'POLYGON ((0.33333333333 0, 0.33333333333 1, 0 1, 0 0, 0.33333333333 0))'
    """
    if area.is_empty:
        return "POLYGON EMPTY"
    largest = int(np.abs(area.bounds).max())
    decimals = max(_DIGITS - len(str(largest)), 0)
    return str(shapely.to_wkt(area, rounding_precision=decimals))
