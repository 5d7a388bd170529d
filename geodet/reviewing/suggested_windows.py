"""Windows that are worth labelling, as a layer of a file of reviews."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from pyproj import CRS

from geodet.errors import VectorError
from geodet.files.decisions import WINDOWS_LAYER
from geodet.files.outputs import replacing
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.reviewing.reviews import write_review_layers
from geodet.vector.polygon_layers import write_polygons

__all__ = [
    "SUGGESTIONS_LAYER",
    "SuggestedWindow",
    "read_review_rows",
    "read_reviewed_windows",
    "read_suggestions",
    "write_suggestions",
]

SUGGESTIONS_LAYER = "suggestions"
"""The layer, beside those of :mod:`geodet.reviewing.reviews`."""

_HINT = "give a file that geodet suggest or geodet view --reviews wrote"
_PLACE = ("col_off", "row_off", "width", "height")


@dataclass(frozen=True, slots=True)
class SuggestedWindow:
    """A part of a scene that is worth labelling.

    Example:
        >>> report = geodet.suggest(scene, folder / "suggested.gpkg", budget=1, chip_size=256)
        >>> report.windows[0].scene, report.windows[0].window.width
        ('scene.tif', 256)
    """

    scene: str
    """Name of the scene."""
    window: Window
    """In the pixels of the scene."""
    value: float
    """What it was chosen by; comparable within one file alone."""
    objects: int
    """Objects that the model finds in it."""
    reason: str
    """What the value counts, in words."""


def write_suggestions(
    path: Path,
    windows: Sequence[SuggestedWindow],
    geoboxes: Mapping[str, GeoBox],
    crs: CRS | None,
) -> None:
    """Write windows to a file of reviews in which nothing is reviewed yet.

    Args:
        path: The GeoPackage, which is replaced.
        windows: In the order in which they are to be looked at.
        geoboxes: Of their scenes, by name.
        crs: Of the file; None: the scenes have none.

    Raises:
        OutputError: The file cannot be written.
    """
    boxes = [_sides(one.window) for one in windows]
    corners = [
        geoboxes[one.scene].corners(np.array([box], np.float64), crs)[0]
        for one, box in zip(windows, boxes, strict=True)
    ]
    columns = {
        "rank": np.arange(1, len(windows) + 1),
        "value": np.array([one.value for one in windows], np.float64),
        "reason": np.array([one.reason for one in windows], object),
        "objects": np.array([one.objects for one in windows], np.int64),
        "scene": np.array([one.scene for one in windows], object),
    } | {
        name: np.array([getattr(one.window, name) for one in windows], np.int64) for name in _PLACE
    }
    frame = geopandas.GeoDataFrame(columns, geometry=[*map(shapely.Polygon, corners)], crs=crs)
    with replacing(path) as temporary:
        write_review_layers(temporary, crs)
        write_polygons(temporary, SUGGESTIONS_LAYER, frame, is_edited=True)


def read_suggestions(path: Path, scene: str) -> list[SuggestedWindow]:
    """Read the windows of a scene that a file of reviews suggests, the first to look at first.

    Args:
        path: A GeoPackage.
        scene: Name of the scene.

    Returns:
        Empty where the file is not there, or suggests nothing in this scene.

    Raises:
        VectorError: The file cannot be read.
    """
    names = (*_PLACE, "value", "objects", "reason")
    rows = read_review_rows(path, SUGGESTIONS_LAYER, names, "WHERE scene = ? ORDER BY rank", scene)
    return [SuggestedWindow(scene, Window(*row[:4]), *row[4:]) for row in rows or ()]


def read_reviewed_windows(path: Path) -> list[tuple[str, Window]]:
    """Read the windows that were reviewed, with the names of their scenes.

    Args:
        path: A file of reviews.

    Raises:
        VectorError: The file is none of reviews.
    """
    rows = read_review_rows(path, WINDOWS_LAYER, ("scene", *_PLACE), "ORDER BY fid")
    if rows is None:
        raise VectorError(f"{path} is no file of reviews", hint=_HINT, path=path)
    return [(str(scene), Window(*place)) for scene, *place in rows]


def read_review_rows(
    path: Path, layer: str, names: Sequence[str], rest: str = "", *values: str
) -> list[tuple[Any, ...]] | None:
    """Read columns of a layer of a file of reviews.

    Args:
        path: The GeoPackage.
        layer: The layer.
        names: Its columns.
        rest: Which rows, and in which order, in SQL; empty: all.
        values: For the question marks in that.

    Returns:
        None where the file or the layer is not there.

    Raises:
        VectorError: The file cannot be read.
    """
    if not path.exists():
        return None
    address = f"{path.resolve().as_uri()}?mode=ro"
    query = f"SELECT {', '.join(names)} FROM {layer} {rest}"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            known = "SELECT count(*) FROM sqlite_master WHERE name = ?"
            is_there = database.execute(known, (layer,)).fetchone()[0]
            return database.execute(query, values).fetchall() if is_there else None
    except sqlite3.Error as error:
        raise VectorError(
            f"cannot read the layer {layer} of {path}: {error}",
            hint=_HINT,
            path=path,
        ) from error


def _sides(window: Window) -> tuple[int, int, int, int]:
    return window.col_off, window.row_off, window.col_end, window.row_end
