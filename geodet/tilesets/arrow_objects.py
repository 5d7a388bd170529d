"""Read scored objects by their vertices alone, in a tenth of the time where they are boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.geobox import GeoBox, find_transformer
from geodet.geometry.oriented_boxes import any_tilted, fit_quads, oriented_of_boxes
from geodet.geometry.row_chunks import map_rows
from geodet.tilesets.class_fields import CLASS_FIELDS, encode_shown_names
from geodet.tilesets.label_crs import must_transform
from geodet.tilesets.label_vertices import bounds_in_pixels, quads_in_pixels
from geodet.tilesets.score_fields import read_scores
from geodet.vector.arrow_shapes import read_shape_layer
from geodet.vector.rows import APPROXIMATE

__all__ = ["ArrowObjects", "read_arrow_objects"]

_CLOSED_QUAD = 5  # vertices, the first one twice


@dataclass(frozen=True, slots=True)
class ArrowObjects:
    """Scored objects in the pixels of a scene."""

    boxes: Floats
    """(N, 4) float64, x1 y1 x2 y2; not finite where the CRS has no such place."""
    places: Ints
    """(N,) place of each object's class in the names."""
    names: list[str]
    """Distinct classes."""
    scores: Floats
    """(N,) in [0, 1]."""
    attributes: Any
    """Table of Arrow with N rows."""
    oriented: Floats | None
    """(N, 5) oriented boxes of shapes with four corners; None: none stands at an angle."""


def read_arrow_objects(path: Path, geobox: GeoBox, *, score_field: str) -> ArrowObjects | None:
    """Read scored objects to be shown.

    As :func:`geodet.tilesets.scene_labels.read_scored_objects` does with ``is_shown``.

    Args:
        path: A file with one layer of points or polygons, in any CRS. The class is ``label``,
            ``class`` or ``name``, or else ``object``.
        geobox: Geobox of the scene.
        score_field: Attribute with the score; empty: every object has score 1.

    Returns:
        None where :func:`geodet.vector.arrow_shapes.read_shape_layer` reads nothing, the attribute
        with the score is missing, or the attributes say to which of several scenes without a CRS an
        object belongs.

    Raises:
        VectorError: The file cannot be read, or a score is wrong.
    """
    layer = read_shape_layer(path)
    if layer is None:
        return None
    known = layer.attributes.column_names
    if geobox.crs is None and {"scene", APPROXIMATE} & set(known):
        return None
    if score_field and score_field not in known:
        return None
    wanted = {name for name in known if name.lower() in CLASS_FIELDS or name == score_field}
    table = layer.attributes.select([name for name in known if name in wanted]).to_pandas()
    places, names = encode_shown_names(table, path, None, "object")
    scores = read_scores(table, path, score_field)
    vertices = _in_crs(layer.vertices, layer.crs, geobox.crs, path)
    boxes = _to_boxes(vertices, layer.first, geobox)
    turned = _to_oriented(vertices, layer.first, geobox, boxes)
    return ArrowObjects(boxes, places, names, scores, layer.attributes, turned)


def _to_boxes(vertices: Floats, first: NDArray[np.intp], geobox: GeoBox) -> Floats:
    """Return the bounds of objects in pixels, chunk by chunk where all have as many vertices."""
    each = len(vertices) // len(first)
    if (first != np.arange(len(first)) * each).any() or len(vertices) != len(first) * each:
        return bounds_in_pixels(vertices, first, geobox)

    def work(part: Floats) -> Floats:
        starts = np.arange(len(part)) * each
        return bounds_in_pixels(part.reshape(-1, 2), starts, geobox)

    return map_rows(work, vertices.reshape(-1, each, 2))


def _to_oriented(
    vertices: Floats, first: NDArray[np.intp], geobox: GeoBox, boxes: Floats
) -> Floats | None:
    """Fit oriented boxes to outlines with four corners, where any stands at an angle: (N, 5)."""
    rows = np.flatnonzero(np.diff(first, append=len(vertices)) == _CLOSED_QUAD)
    if not any_tilted(geobox.to_pixels(vertices[first[rows, None] + np.arange(2)])):
        return None
    oriented = oriented_of_boxes(boxes)
    oriented[rows] = fit_quads(quads_in_pixels(vertices, first, geobox)[rows])
    return oriented


def _in_crs(vertices: Floats, found: CRS | None, crs: CRS | None, path: Path) -> Floats:
    """Transform vertices to the CRS of a scene, where they are in another one."""
    if not must_transform(found, crs, path):
        return vertices
    assert found is not None
    assert crs is not None
    transformer = find_transformer(found, crs)
    x, y = transformer.transform(vertices[..., 0], vertices[..., 1])
    return np.stack([x, y], axis=-1)
