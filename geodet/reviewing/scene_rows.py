"""The rows of a scene in a file of reviews, and their pixels: people edit rows in a GIS."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

import numpy as np
import shapely
from pyproj import CRS

from geodet.errors import VectorError
from geodet.files.decisions import LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER
from geodet.geometry.full_turns import full_turn, move_beside
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import fit_labels
from geodet.geometry.reprojection import pixel_map
from geodet.geometry.windows import Window
from geodet.reviewing.reviewed_items import (
    OBJECT_COLUMNS,
    WINDOW_COLUMNS,
    BoxPx,
    OrientedPx,
    ReviewedObject,
    ReviewedWindow,
    Verdict,
    bounds_of_oriented,
    corners_of_places,
)
from geodet.reviewing.reviewed_scenes import list_names
from geodet.reviewing.stored_geometries import decode_geometry
from geodet.vector.rows import PIXEL_SIDES

__all__ = ["SceneRows", "verdict_in"]

_Place = tuple[BoxPx, OrientedPx | None]

_ROUNDING_PX = 0.01  # between an object's columns and its geometry, from one CRS to another
_WINDOW_ROUNDING_PX = 1.0  # windows are of whole pixels, and a scene may lie half a pixel off
_DIGITS = 3  # of pixels, as the page rounds them
_PIXELS = slice(4, -1)  # of the columns of an object with its origin: the box, and its turn
_CLOSED_QUAD = 5  # vertices, the first one twice


class SceneRows:
    """The rows of a scene in a file of reviews, in the scene's pixels.

    A row lies where its geometry does: a GIS changes nothing else where people draw or move it. The
    columns in pixels are taken where they say the same, since they are exact, and for a row that
    has no geometry. A row that names no scene belongs to each in which it lies.

    Args:
        database: The file.
        path: Its path, for messages.
        scene: The name that the scene's rows have; None: no row has one.
        geobox: Geobox of the scene.
        crs: CRS of the file.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        path: Path,
        scene: str | None,
        geobox: GeoBox,
        crs: CRS | None,
    ) -> None:
        self._database, self._path, self._scene = database, path, scene
        self._geobox, self._crs = geobox, crs
        # Scenes without a CRS share their coordinates: a place says which is meant only of one.
        self._has_places = crs is not None or len(list_names(database)) < 2

    def objects(self, layer: str) -> Iterator[tuple[ReviewedObject, str]]:
        """Read the objects of a layer, each with what identifies its detections.

        Raises:
            VectorError: A row has neither a place nor pixels, or no class.
        """
        rows = list(self._read(layer, (*OBJECT_COLUMNS, "origin")))
        stored = [_stored_place(values[_PIXELS]) for _, _, values in rows]
        places = _object_places(stored, [outline for _, outline, _ in rows])
        for (number, _, values), place in zip(rows, places, strict=True):
            source, verdict, label, score, *_, origin = values
            if place is None:
                self._refuse(layer, number, "place")
            if not label:
                self._refuse(layer, number, "class")
            known = float(score) if _are_numbers([score]) else None
            verdict = verdict_in(layer, verdict, source)
            yield ReviewedObject(number, source, verdict, label, known, *place), origin

    def windows(self) -> Iterator[ReviewedWindow]:
        """Read the reviewed windows; of those that reach beyond the scene, what lies in it.

        Raises:
            VectorError: A row has neither a place nor pixels.
        """
        for number, window, _ in self.windows_of(WINDOWS_LAYER):
            yield ReviewedWindow(number, window)

    def windows_of(
        self, layer: str, names: Sequence[str] = ()
    ) -> Iterator[tuple[int, Window, tuple[Any, ...]]]:
        """Read the windows of a layer as :meth:`windows` does: identifier, window and columns.

        Args:
            layer: The layer.
            names: Columns beside those of the window.

        Raises:
            VectorError: A row has neither a place nor pixels.
        """
        for number, outline, row in self._read(layer, (*WINDOW_COLUMNS, *names)):
            sides, values = row[: len(WINDOW_COLUMNS)], row[len(WINDOW_COLUMNS) :]
            stored = Window(*sides) if _are_numbers(sides) and min(sides[2:]) > 0 else None
            if outline is None and stored is None:
                self._refuse(layer, number, "place")
            window = stored if outline is None else self._window_at(outline, stored)
            if window is not None:
                yield number, window, values

    def _read(
        self, layer: str, names: Sequence[str]
    ) -> Iterator[tuple[int, shapely.Geometry | None, tuple[Any, ...]]]:
        """Read the rows of the scene: the identifier, the outline in pixels, and the columns."""
        query = (
            f"SELECT fid, scene, geom, {', '.join(names)} FROM {layer} "
            "WHERE scene = ? OR scene IS NULL OR scene = '' ORDER BY fid"
        )
        rows = self._database.execute(query, (self._scene,)).fetchall()
        shapes = [decode_geometry(row[2]) for row in rows]
        outlines = self._to_pixels(shapes)
        for (number, scene, _, *values), shape, outline in zip(rows, shapes, outlines, strict=True):
            if not scene and shape is None:
                self._refuse(layer, number, "place")
            if scene or (self._has_places and outline is not None and self._is_inside(outline)):
                yield number, outline, tuple(values)

    def _to_pixels(
        self, shapes: Sequence[shapely.Geometry | None]
    ) -> list[shapely.Geometry | None]:
        """Map geometries to the pixels of the scene; None without one, or a place there."""
        there = [row for row, shape in enumerate(shapes) if shape is not None]
        mapped: list[shapely.Geometry | None] = [None] * len(shapes)
        if not there or (self._crs is None) != (self._geobox.crs is None):
            return mapped
        middle = np.array([self._geobox.width, self._geobox.height]) / 2
        try:
            x = self._geobox.to_world(middle, self._crs)[0]
        except VectorError:  # there is no transformation
            return mapped
        forward, turn = pixel_map(self._crs, self._geobox), full_turn(self._crs)
        found = shapely.transform(
            np.array([shapes[row] for row in there], object),
            lambda xy: forward(move_beside(xy, x, turn)),
        )
        finite = np.isfinite(shapely.bounds(found)).all(axis=1)
        for row, one, is_known in zip(there, found, finite, strict=True):
            mapped[row] = one if is_known else None
        return mapped

    def _is_inside(self, outline: shapely.Geometry) -> bool:
        """Whether the bounds of an outline share ground with the scene."""
        x1, y1, x2, y2 = outline.bounds
        return bool(x2 > 0 and y2 > 0 and x1 < self._geobox.width and y1 < self._geobox.height)

    def _window_at(self, outline: shapely.Geometry, stored: Window | None) -> Window | None:
        """Return the window of an outline; None where it lies outside of the scene."""
        bounds = np.array(outline.bounds)
        if stored is not None:
            sides = stored.col_off, stored.row_off, stored.col_end, stored.row_end
            if np.abs(bounds - sides).max() < _WINDOW_ROUNDING_PX:
                return stored
        size = [self._geobox.width, self._geobox.height] * 2
        x1, y1, x2, y2 = np.clip(bounds.round(), 0, size).astype(int).tolist()
        return Window(x1, y1, x2 - x1, y2 - y1) if x1 < x2 and y1 < y2 else None

    def _refuse(self, layer: str, number: int, what: Literal["place", "class"]) -> NoReturn:
        """Report a row that lacks what it needs.

        Raises:
            VectorError: Always.
        """
        pixels = PIXEL_SIDES if layer in (LABELS_LAYER, REJECTED_LAYER) else WINDOW_COLUMNS
        place = f"draw it, or fill in {', '.join(('scene', *pixels))}"
        raise VectorError(
            f"{self._path}: the row with fid {number} of the layer {layer} has no {what}",
            hint=f"in QGIS, {place if what == 'place' else 'fill in label'}; or delete the row",
            path=self._path,
        )


def verdict_in(layer: str, verdict: str | None, source: int | None) -> Verdict:
    """Return what a row decides: people draw rows without a verdict, and copy them to a layer."""
    if layer != LABELS_LAYER:
        return "rejected"
    if verdict in ("accepted", "changed", "added"):
        return cast("Verdict", verdict)
    return "added" if source is None else "accepted"


def _object_places(
    stored: Sequence[_Place | None], outlines: Sequence[shapely.Geometry | None]
) -> list[_Place | None]:
    """Return the boxes of objects, by the columns and the outline of each; None where it has none.

    All are compared at once: one by one, a hundred thousand take half a minute.
    """
    both = [
        (row, place)
        for row, (place, outline) in enumerate(zip(stored, outlines, strict=True))
        if place is not None and outline is not None
    ]
    expected = shapely.polygons(corners_of_places([place for _, place in both]))
    drawn = np.array([outlines[row] for row, _ in both], object)
    is_same = shapely.hausdorff_distance(expected, drawn) <= _ROUNDING_PX
    same = {row for (row, _), is_one in zip(both, is_same.tolist(), strict=True) if is_one}
    return [
        place if outline is None or row in same else _fit(outline)
        for row, (place, outline) in enumerate(zip(stored, outlines, strict=True))
    ]


def _stored_place(pixels: Sequence[float | None]) -> _Place | None:
    """Return the box that the columns of an object say; None where one is empty."""
    sides, turned = pixels[:4], pixels[4:]
    if not _are_numbers(sides):
        return None
    x1, y1, x2, y2 = cast("Sequence[float]", sides)
    if not _are_numbers(turned):
        return (x1, y1, x2, y2), None
    length, width, angle = cast("Sequence[float]", turned)
    middle = (x1 + x2) / 2, (y1 + y2) / 2
    return (x1, y1, x2, y2), (*middle, length, width, math.radians(angle))


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def _fit(outline: shapely.Geometry) -> _Place:
    """Fit a box to an outline as to a label: at an angle where it has four corners at one."""
    bounds = np.array([outline.bounds]).round(_DIGITS)
    x1, y1, x2, y2 = bounds[0].tolist()
    corners = shapely.get_coordinates(outline).tolist()
    if len(corners) == _CLOSED_QUAD:
        fitted = fit_labels(bounds, {0: [(x, y) for x, y in corners[:4]]})
        if fitted is not None:
            x, y, length, width = fitted[0, :4].round(_DIGITS).tolist()
            turned = x, y, length, width, float(fitted[0, 4])
            return bounds_of_oriented(turned), turned
    return (x1, y1, x2, y2), None
