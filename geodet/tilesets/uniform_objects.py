"""Read scored objects of one shape, such as boxes, in a tenth of the time of other objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS, Transformer

from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import any_tilted, fit_quads
from geodet.geometry.row_chunks import map_rows
from geodet.tilesets.class_fields import CLASS_FIELDS, encode_names_of_detections
from geodet.tilesets.label_vertices import bounds_in_pixels, quads_in_pixels
from geodet.tilesets.scene_labels import must_transform, read_scores
from geodet.vector.rows import APPROXIMATE
from geodet.vector.uniform_shapes import read_uniform_layer

__all__ = ["UniformObjects", "read_uniform_objects"]

_CLOSED_QUAD = 5  # vertices, the first one twice


@dataclass(frozen=True, slots=True)
class UniformObjects:
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


def read_uniform_objects(
    path: Path, geobox: GeoBox, *, score_field: str, class_name: str = "object"
) -> UniformObjects | None:
    """Read scored objects as :func:`geodet.tilesets.scene_labels.read_scored_objects` does.

    Args:
        path: A file with one layer of points or polygons, in any CRS. The class is ``label``,
            ``class`` or ``name``, if there is one.
        geobox: Of the scene.
        score_field: Attribute with the score; empty: every object has score 1.
        class_name: The class if no attribute has it.

    Returns:
        None where the objects are not of one shape, the attribute with the score is missing, or the
        attributes say to which of several scenes without a CRS an object belongs.

    Raises:
        VectorError: The file cannot be read, an object has no class, or a score is wrong.
    """
    layer = read_uniform_layer(path)
    if layer is None:
        return None
    known = layer.attributes.column_names
    if geobox.crs is None and {"scene", APPROXIMATE} & set(known):
        return None
    if score_field and score_field not in known:
        return None
    wanted = {name for name in known if name.lower() in CLASS_FIELDS or name == score_field}
    table = layer.attributes.select([name for name in known if name in wanted]).to_pandas()
    places, names = encode_names_of_detections(table, path, class_name)
    scores = read_scores(table, path, score_field)
    vertices = _in_crs(layer.vertices, layer.crs, geobox.crs, path)
    boxes = map_rows(lambda part: _to_boxes(part, geobox), vertices)
    turned = _to_oriented(vertices, geobox)
    return UniformObjects(boxes, places, names, scores, layer.attributes, turned)


def _to_boxes(vertices: Floats, geobox: GeoBox) -> Floats:
    first = np.arange(len(vertices)) * vertices.shape[1]
    return bounds_in_pixels(vertices.reshape(-1, 2), first, geobox)


def _to_oriented(vertices: Floats, geobox: GeoBox) -> Floats | None:
    """Fit oriented boxes to (N, 5, 2) closed outlines where any stands at an angle."""
    if vertices.shape[1] != _CLOSED_QUAD or not any_tilted(geobox.to_pixels(vertices[:, :2])):
        return None
    first = np.arange(len(vertices)) * _CLOSED_QUAD
    return fit_quads(quads_in_pixels(vertices.reshape(-1, 2), first, geobox))


def _in_crs(vertices: Floats, found: CRS | None, crs: CRS | None, path: Path) -> Floats:
    """Transform vertices to the CRS of a scene, where they are in another one."""
    if not must_transform(found, crs, path):
        return vertices
    transformer = Transformer.from_crs(found, crs, always_xy=True)
    x, y = transformer.transform(vertices[..., 0], vertices[..., 1])
    return np.stack([x, y], axis=-1)
