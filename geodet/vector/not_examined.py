"""Areas that a run could not read, as polygons: a layer of a GeoPackage, or a file of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.files.gdal_paths import gdal_path
from geodet.files.outputs import raising_output_errors, replacing
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.photographs.photograph import Photographs
from geodet.vector.lazy_modules import geopandas, pyogrio
from geodet.vector.polygon_layers import write_polygons

__all__ = [
    "NOT_EXAMINED",
    "SkippedArea",
    "add_not_examined",
    "not_examined_path",
    "write_not_examined",
]

NOT_EXAMINED = "not_examined"
"""Name of the layer."""

_DEGREES = CRS.from_epsg(4326)


@dataclass(frozen=True, slots=True)
class SkippedArea:
    """An area of a scene that could not be read."""

    scene: str
    """Name of the scene."""
    geobox: GeoBox
    """Of the scene's own pixels."""
    window: Window
    """The area, in these pixels."""
    reason: str
    """Why it could not be read."""


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
        crs: Of the layer.
        photographs: The scenes, where they are photographs.

    Raises:
        OSError: It cannot be written.
    """
    write_polygons(path, NOT_EXAMINED, _to_frame(areas, crs, photographs), driver="GPKG")


def write_not_examined(
    output: Path,
    areas: Sequence[SkippedArea],
    crs: CRS | None,
    photographs: Photographs | None = None,
    *,
    searched: Collection[str] | None = None,
) -> None:
    """Write the areas beside an output, as GeoJSON in WGS 84 where there is a CRS.

    A file of an earlier run is replaced, and removed if there is no area.

    Args:
        output: The output.
        areas: The areas.
        crs: Of the output.
        photographs: The scenes, where they are photographs.
        searched: Names of the scenes that were added to a file: the areas of its other scenes stay.
            None: the output is new.

    Raises:
        OutputError: The file cannot be written.
    """
    import pandas as pd  # with geopandas, which is imported late

    path = not_examined_path(output)
    target = None if crs is None else _DEGREES
    with raising_output_errors(path):
        frames = [_to_frame(areas, target, photographs)] if areas else []
        if searched is not None and path.exists():
            known = pyogrio.read_dataframe(gdal_path(path))
            if not (kept := known[~known["scene"].isin(list(searched))]).empty:
                frames.insert(0, kept)
        if not frames:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as temporary:
            whole = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
            write_polygons(temporary, NOT_EXAMINED, whole, driver="GeoJSON")


def _to_frame(
    areas: Sequence[SkippedArea], crs: CRS | None, photographs: Photographs | None
) -> Any:
    """Return the areas as a GeoDataFrame."""
    columns = {
        "scene": [area.scene for area in areas],
        "reason": [area.reason for area in areas],
        **_to_columns(areas),
    }
    corners = np.concatenate([_corners(area, crs, photographs) for area in areas])
    placed = np.isfinite(corners).all(axis=(1, 2))
    shapes = np.full(len(areas), None, object)
    shapes[placed] = shapely.polygons(corners[placed])
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)


def _to_columns(areas: Sequence[SkippedArea]) -> dict[str, list[int]]:
    sides = {
        "x1_px": "col_off",
        "y1_px": "row_off",
        "x2_px": "col_end",
        "y2_px": "row_end",
    }
    return {name: [getattr(area.window, side) for area in areas] for name, side in sides.items()}


def _corners(
    area: SkippedArea, crs: CRS | None, photographs: Photographs | None
) -> NDArray[np.float64]:
    """Return the corners of an area in a CRS: (1, 4, 2), NaN where they are unknown."""
    window = area.window
    box = np.array([[window.col_off, window.row_off, window.col_end, window.row_end]], np.float64)
    if photographs is not None:
        view = photographs[area.scene].view
        return np.full((1, 4, 2), np.nan) if view is None else view.corners(box)
    return np.asarray(area.geobox.corners(box, crs), np.float64)
