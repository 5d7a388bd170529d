"""Areas that were not examined, as polygons: a layer of a GeoPackage, or a file of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS

from geodet.files.outputs import raising_output_errors, replacing
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import WGS_84, GeoBox, is_on_earth
from geodet.geometry.windows import Window
from geodet.geopackage.layer_metadata import MODEL_DIGEST
from geodet.geopackage.side_tables import (
    SideTable,
    add_side_table,
    read_side_features,
    write_side_features,
)
from geodet.photographs.photograph import Photographs

__all__ = [
    "NOT_EXAMINED",
    "SkippedArea",
    "add_not_examined",
    "not_examined_path",
    "write_not_examined",
]

NOT_EXAMINED = "not_examined"
"""Name of the layer."""

_SIDES = {"x1_px": "col_off", "y1_px": "row_off", "x2_px": "col_end", "y2_px": "row_end"}
"""The sides of a window, by column."""


@dataclass(frozen=True, slots=True)
class SkippedArea:
    """An area of a scene that could not be read, or was not computed."""

    scene: str
    """Name of the scene."""
    geobox: GeoBox
    """Geobox of the scene's own pixels."""
    window: Window
    """The area, in these pixels."""
    reason: str
    """Why it was not examined."""


def not_examined_path(output: Path) -> Path:
    """Return where the areas are, beside an output that is no new GeoPackage.

    Example:
        >>> not_examined_path(Path("trees.geojson")).name
        'trees.geojson.not_examined.geojson'
    """
    return output.with_name(f"{output.name}.{NOT_EXAMINED}.geojson")


def add_not_examined(
    path: Path,
    areas: Sequence[SkippedArea],
    crs: CRS | None,
    photographs: Photographs | None = None,
) -> None:
    """Add the layer to a GeoPackage that is closed.

    Args:
        path: The file.
        areas: At least one.
        crs: CRS of the layer.
        photographs: The scenes, where they are photographs.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    add_side_table(path, _to_table(areas, crs, photographs))


def write_not_examined(
    output: Path,
    areas: Sequence[SkippedArea],
    crs: CRS | None,
    photographs: Photographs | None = None,
    *,
    model: str = "",
    searched: Collection[str] | None = None,
) -> None:
    """Write the areas beside an output, as GeoJSON in WGS 84 where there is a CRS.

    A file of an earlier run is replaced, and removed if there is no area.

    Args:
        output: The output.
        areas: The areas.
        crs: CRS of the output.
        photographs: The scenes, where they are photographs.
        model: The digest of the model that was run; empty: unknown.
        searched: Names of the scenes that were added to a file: the areas of its other scenes, and
            those that another model left out, stay. None: the output is new.

    Raises:
        OutputError: The file cannot be written.
    """
    path = not_examined_path(output)
    target = WGS_84 if is_on_earth(crs) else crs
    with raising_output_errors(path):
        features = _to_table(areas, target, photographs).features
        for one in features:
            one["properties"][MODEL_DIGEST] = model or None
        if searched is not None and path.exists():
            same = {(scene, of) for scene in searched for of in (model, None)}  # None: unknown
            features[:0] = [one for one in read_side_features(path) if _origin(one) not in same]
        if not features:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as temporary:
            write_side_features(temporary, NOT_EXAMINED, features)


def _origin(feature: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the scene of an area and the model, which earlier versions did not write."""
    return feature["properties"]["scene"], feature["properties"].get(MODEL_DIGEST)


def _to_table(
    areas: Sequence[SkippedArea], crs: CRS | None, photographs: Photographs | None
) -> SideTable:
    windows = [one.window for one in areas]
    columns = [
        [one.scene for one in areas],
        [one.reason for one in areas],
        *([getattr(window, side) for window in windows] for side in _SIDES.values()),
    ]
    corners = [_corners(area, crs, photographs) for area in areas]
    types = {"scene": "TEXT", "reason": "TEXT", **dict.fromkeys(_SIDES, "INTEGER")}
    coordinates = np.concatenate([np.zeros((0, 4, 2)), *corners])
    return SideTable(NOT_EXAMINED, types, columns, coordinates, crs)


def _corners(area: SkippedArea, crs: CRS | None, photographs: Photographs | None) -> Floats:
    """Return the corners of an area in a CRS: (1, 4, 2), NaN where they are unknown."""
    window = area.window
    box = np.array([[window.col_off, window.row_off, window.col_end, window.row_end]], np.float64)
    if photographs is not None:
        view = photographs[area.scene].view
        return np.full((1, 4, 2), np.nan) if view is None else view.corners(box)
    return np.asarray(area.geobox.corners(box, crs), np.float64)
