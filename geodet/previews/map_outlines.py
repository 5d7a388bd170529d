"""Outlines of polygons on a picture, with a text in each: stands, districts, fields."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geodet.config.section import name_hint
from geodet.errors import VectorError
from geodet.files.shown_names import shown_name
from geodet.geometry.arrays import Floats
from geodet.geometry.reprojection import Shapes, polygons_to_pixels
from geodet.previews.footer import ClassCount
from geodet.previews.lettering import width_of
from geodet.previews.sheet import Line, Words
from geodet.previews.views import SceneView
from geodet.raster.scene import Scene
from geodet.vector.formats import path_of
from geodet.vector.palette import DARK, Colour
from geodet.vector.vector_files import read_fields, read_frame

__all__ = ["MapOutlines", "OutlineLayer", "draw_outlines", "read_outlines"]

_COLOURS: tuple[Colour, ...] = ((255, 255, 255), (255, 170, 120), (150, 230, 255), (200, 255, 150))
"""Lighter than those of classes, so that outlines are told from objects."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutlineLayer:
    """Polygons to draw over a scene.

    Example:
        >>> layer = geodet.OutlineLayer("stands.gpkg", label="name")
    """

    path: str | Path
    """A vector file in any format and CRS, or ``FILE|layername=NAME``."""
    label: str = ""
    """Attribute to write in each polygon; empty: nothing."""


@dataclass(frozen=True, slots=True)
class MapOutlines:
    """The polygons of a layer near a scene."""

    name: str
    """Name of the file."""
    shapes: Shapes
    """(N,) polygons and multipolygons in the pixels of the scene."""
    texts: tuple[str, ...]
    """The text in each; empty for none."""


def read_outlines(layer: OutlineLayer, scene: Scene) -> MapOutlines:
    """Read the polygons of a layer in the pixels of a scene.

    Raises:
        VectorError: The file cannot be read, has no polygon, or lacks the attribute.
    """
    frame = read_frame(layer.path, columns=[layer.label] if _has_label(layer) else [])
    if frame.crs is not None and scene.geobox.crs is None:
        raise VectorError(
            f"{layer.path} has the CRS {frame.crs.name}, and the scene has none",
            hint="draw outlines that are in the scene's own coordinates and without a CRS",
            path=layer.path,
        )
    frame = frame[frame.geom_type.isin(["Polygon", "MultiPolygon"])]
    if frame.empty:
        raise VectorError(
            f"{layer.path} has no polygons to outline", hint="give polygons", path=layer.path
        )
    parts = [
        polygons_to_pixels(shapely.get_parts([shape]), frame.crs, scene.geobox)
        for shape in shapely.force_2d(frame.geometry.to_numpy())
    ]
    near = [row for row, polygons in enumerate(parts) if len(polygons)]
    if not near:
        logger.warning("none of the polygons of %s lies in the scene", shown_name(layer.path))
    shapes = np.array([shapely.multipolygons(parts[row]) for row in near], object)
    values = frame[layer.label].tolist() if layer.label else [""] * len(frame)
    texts = tuple(_text(values[row]) for row in near)
    return MapOutlines(Path(path_of(layer.path)).stem, shapes, texts)


def _has_label(layer: OutlineLayer) -> bool:
    """Whether a layer has a label; its attribute must exist."""
    if not layer.label:
        return False
    fields = read_fields(layer.path)
    if layer.label not in fields:
        raise VectorError(
            f"{layer.path} has no attribute {layer.label!r}",
            hint=name_hint(layer.label, fields, "attributes"),
            path=layer.path,
        )
    return True


def _text(value: Any) -> str:
    """Write an attribute; nothing where there is none, and no decimals of a whole number."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def draw_outlines(
    layers: Sequence[MapOutlines], view: SceneView, size: tuple[int, int], em: float
) -> tuple[list[Line | Words], list[ClassCount]]:
    """Return the lines and texts of layers in an image, and their entries in the legend.

    A text that would cover another one is left out, that of the smaller polygon.

    Args:
        layers: Drawn in order, the texts over all of them.
        view: The part of the scene that the image shows.
        size: Width and height of the image.
        em: Height of the texts.
    """
    scale = np.array([size[0] / view.width, size[1] / view.height])
    corner = np.array([view.left, view.top])
    frame = shapely.box(0, 0, *size)
    lines, words, legend = list[Line | Words](), list[tuple[float, Words]](), list[ClassCount]()
    for number, layer in enumerate(layers):
        colour = _COLOURS[number % len(_COLOURS)]

        def to_image(xy: Floats) -> Floats:
            moved: Floats = (xy - corner) * scale
            return moved

        placed = shapely.transform(layer.shapes, to_image)
        seen = np.flatnonzero(shapely.intersects(placed, frame))
        lines += _to_lines(placed[seen], frame, colour, em / 7)
        words += _to_words(placed[seen], [layer.texts[row] for row in seen], frame, colour, em)
        legend.append(ClassCount(layer.name, len(seen), colour))
    return [*lines, *_apart(words)], legend


def _to_lines(shapes: Shapes, frame: Any, colour: Colour, width: float) -> list[Line | Words]:
    """Return the outlines within an image, all dark rims first."""
    inside = shapely.get_parts(shapely.intersection(shapely.boundary(shapes), frame))
    parts = shapely.get_parts(inside)
    parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING]
    points = [[(x, y) for x, y in shapely.get_coordinates(part).tolist()] for part in parts]
    rims = [Line(of, DARK, width + 2) for of in points]
    return [*rims, *(Line(of, colour, width) for of in points)]


def _to_words(
    shapes: Shapes, texts: Sequence[str], frame: Any, colour: Colour, em: float
) -> list[tuple[float, Words]]:
    """Return the texts with the areas of their polygons in the image."""
    inside = shapely.intersection(shapes, frame)
    points = shapely.get_coordinates(shapely.point_on_surface(inside), return_index=True)
    found = []
    for (x, y), row in zip(points[0].tolist(), points[1].tolist(), strict=True):
        if texts[row]:
            words = Words(texts[row], (x, y), em, colour, "mm", has_halo=True)
            found.append((float(shapely.area(inside[row])), words))
    return found


def _apart(words: Sequence[tuple[float, Words]]) -> list[Words]:
    """Return the texts that cover no other one, those of large polygons first."""
    kept, places = list[Words](), list[Any]()
    for _, one in sorted(words, key=lambda pair: -pair[0]):
        half = width_of(one.text, one.size) / 2, 0.6 * one.size
        (x, y), (dx, dy) = one.at, half
        place = shapely.box(x - dx, y - dy, x + dx, y + dy)
        if not places or not shapely.intersects(place, np.array(places, object)).any():
            kept.append(one)
            places.append(place)
    return kept
