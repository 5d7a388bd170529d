"""Windows that are worth labelling, as a layer of a file of reviews."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
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
from geodet.reviewing.reviewed_items import WINDOW_COLUMNS
from geodet.reviewing.reviews import write_review_layers
from geodet.reviewing.scene_rows import SceneRows
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.polygon_layers import write_polygons
from geodet.vector.vector_files import read_extent

__all__ = [
    "SUGGESTIONS_LAYER",
    "SuggestedWindow",
    "check_reviewed",
    "read_review_rows",
    "read_reviewed_windows",
    "read_suggestions",
    "write_suggestions",
]

SUGGESTIONS_LAYER = "suggestions"
"""The layer, beside those of :mod:`geodet.reviewing.reviews`."""

_HINT = "give a file that geodet suggest or geodet view --reviews wrote"


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
    """Value by which it was chosen; comparable only within one file."""
    objects: int
    """Objects that the model finds in it."""
    reason: str
    """The meaning of the value, in words."""


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
        geoboxes: Geoboxes of their scenes, by name.
        crs: CRS of the file; None: the scenes have none.

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
        name: np.array([getattr(one.window, name) for one in windows], np.int64)
        for name in WINDOW_COLUMNS
    }
    frame = geopandas.GeoDataFrame(columns, geometry=[*map(shapely.Polygon, corners)], crs=crs)
    with replacing(path) as temporary:
        write_review_layers(temporary, crs, {one.scene: geoboxes[one.scene] for one in windows})
        write_polygons(temporary, SUGGESTIONS_LAYER, frame, is_edited=True)


def read_suggestions(path: Path, scene: str, geobox: GeoBox) -> list[SuggestedWindow]:
    """Read the windows of a scene that a file of reviews suggests, the first to look at first.

    Rows that people drew or moved in a GIS count as the others do; those without a rank come last.

    Args:
        path: A GeoPackage.
        scene: Name of the scene.
        geobox: Of the scene.

    Returns:
        Empty where the file is not there, or suggests nothing in this scene.

    Raises:
        VectorError: The file cannot be read, or a window in it has no place.
    """
    if not read_review_rows(path, SUGGESTIONS_LAYER, ("fid",), "LIMIT 1"):
        return []
    crs = read_extent(f"{path}{LAYER_SEPARATOR}{SUGGESTIONS_LAYER}")[0]
    with _reading(path, SUGGESTIONS_LAYER) as database:
        rows = SceneRows(database, path, scene, geobox, crs)
        found = list(rows.windows_of(SUGGESTIONS_LAYER, ("rank", "value", "objects", "reason")))
    found.sort(key=lambda row: (row[2][0] is None, row[2][0]))
    return [
        SuggestedWindow(scene, window, value or 0.0, objects or 0, reason or "drawn by hand")
        for _, window, (_, value, objects, reason) in found
    ]


def check_reviewed(path: Path) -> None:
    """Check that a file is one of reviews.

    Raises:
        VectorError: It is not, or cannot be read.
    """
    if read_review_rows(path, WINDOWS_LAYER, ("fid", "scene", *WINDOW_COLUMNS)) is None:
        raise VectorError(f"{path} is not a file of reviews", hint=_HINT, path=path)


def read_reviewed_windows(
    path: Path, scenes: Sequence[str | None], geoboxes: Sequence[GeoBox]
) -> list[list[Window]]:
    """Read the windows of scenes that were reviewed.

    Args:
        path: A file of reviews.
        scenes: The name that the rows of each scene have in it; None: no row names it.
        geoboxes: Geoboxes of the scenes.

    Raises:
        VectorError: The file cannot be read, or a window in it has no place.
    """
    crs = read_extent(f"{path}{LAYER_SEPARATOR}{WINDOWS_LAYER}")[0]
    with _reading(path, WINDOWS_LAYER) as database:
        return [
            [one.window for one in SceneRows(database, path, scene, geobox, crs).windows()]
            for scene, geobox in zip(scenes, geoboxes, strict=True)
        ]


def read_review_rows(
    path: Path, layer: str, names: Sequence[str], rest: str = "", *values: str
) -> list[tuple[Any, ...]] | None:
    """Read columns of a layer of a file of reviews.

    Args:
        path: The GeoPackage.
        layer: The layer.
        names: Names of the columns.
        rest: SQL that chooses and orders the rows; empty: all.
        values: Values of the question marks in ``rest``.

    Returns:
        None where the file or the layer is not there.

    Raises:
        VectorError: The file cannot be read.
    """
    if not path.exists():
        return None
    query = f"SELECT {', '.join(names)} FROM {layer} {rest}"
    with _reading(path, layer) as database:
        known = "SELECT count(*) FROM sqlite_master WHERE name = ?"
        is_there = database.execute(known, (layer,)).fetchone()[0]
        return database.execute(query, values).fetchall() if is_there else None


@contextlib.contextmanager
def _reading(path: Path, layer: str) -> Iterator[sqlite3.Connection]:
    """Open a file of reviews for a ``with`` block."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise VectorError(
            f"cannot read the layer {layer} of {path}: {error}",
            hint=_HINT,
            path=path,
        ) from error


def _sides(window: Window) -> tuple[int, int, int, int]:
    return window.col_off, window.row_off, window.col_end, window.row_end
