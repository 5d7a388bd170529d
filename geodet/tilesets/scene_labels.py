"""Read labels or detections of a scene: points or polygons in any vector file that GDAL reads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.errors import VectorError
from geodet.files.shown_names import shown_name
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import fit_labels
from geodet.raster.scene_names import find_scene_name
from geodet.tilesets.class_fields import (
    read_label_names,
    read_names_of_detections,
    read_shown_names,
)
from geodet.tilesets.label_crs import choose_crs, must_transform
from geodet.tilesets.label_vertices import bounds_in_pixels, quads_in_pixels
from geodet.tilesets.score_fields import read_scores
from geodet.vector.antimeridian import join_at_antimeridian
from geodet.vector.lazy_modules import geopandas
from geodet.vector.rows import APPROXIMATE, PIXEL_SIDES
from geodet.vector.vector_files import read_frame, scenes_of_rows

__all__ = [
    "SceneLabels",
    "ScoredObjects",
    "read_scene_labels",
    "read_scored_objects",
]

_KINDS = frozenset({shapely.GeometryType.POINT, shapely.GeometryType.POLYGON})

_NameReader = Callable[[Any, Path, str | None, str], tuple[str, ...]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SceneLabels:
    """Labelled objects in the world coordinates of a scene."""

    geometries: NDArray[np.object_]
    """(N,) points and polygons of shapely, two-dimensional and not empty."""
    names: tuple[str, ...]
    """Class of each object."""
    scenes: tuple[str, ...] = ()
    """Name of the scene of each object, empty for one that has none; () if the file has no such
    attribute."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_point(self) -> NDArray[np.bool_]:
        """(N,) True where the label is a point."""
        kinds = shapely.get_type_id(self.geometries)
        return np.asarray(kinds == shapely.GeometryType.POINT, np.bool_)

    def to_pixels(self, geobox: GeoBox) -> Floats:
        """Compute the bounds of each object in the pixels of a raster.

        They are the bounds of the transformed vertices. Under a rotated transform, the transformed
        bounds would be too large. Longitudes that differ by a full turn are the same place.

        Args:
            geobox: Geobox of the raster, in the CRS of the labels.

        Returns:
            (N, 4) float64, x1 y1 x2 y2; a point has no extent. Not finite for an object whose
            coordinates do not exist in the CRS.
        """
        vertices, first = self._vertices()
        return bounds_in_pixels(vertices, first, geobox)

    def to_oriented(self, geobox: GeoBox, boxes: Floats | None = None) -> Floats | None:
        """Fit oriented boxes to polygons with four corners, in the pixels of a raster.

        Args:
            geobox: As for :meth:`to_pixels`.
            boxes: (N, 4) in pixels, which stand for other objects; None: their bounds.

        Returns:
            (N, 5); None if no object stands at an angle.
        """
        boxes = self.to_pixels(geobox) if boxes is None else boxes
        known = np.asarray(np.isfinite(boxes).all(axis=1), np.bool_)
        fitted = fit_labels(boxes[known], self.quads(geobox, known))
        if fitted is None:
            return None
        oriented = np.full((len(boxes), 5), np.nan)
        oriented[known] = fitted
        return oriented

    def quads(
        self, geobox: GeoBox, which: NDArray[np.bool_]
    ) -> dict[int, list[tuple[float, float]]]:
        """Return the corners, in the pixels of a raster, of polygons that have four.

        Args:
            geobox: As for :meth:`to_pixels`.
            which: (N,) objects to return, whose coordinates are finite.

        Returns:
            Corners by the place of the object among these, none for objects of other kinds.
        """
        corners = quads_in_pixels(*self._vertices(), geobox)[which]
        rows = np.flatnonzero(np.isfinite(corners).all(axis=(1, 2)))
        listed = zip(rows.tolist(), corners[rows].tolist(), strict=True)
        return {row: [(x, y) for x, y in quad] for row, quad in listed}

    def _vertices(self) -> tuple[Floats, NDArray[np.intp]]:
        """Return the vertices of all objects, (V, 2), and the first of each object."""
        vertices, owner = shapely.get_coordinates(self.geometries, return_index=True)
        return vertices, np.flatnonzero(np.diff(owner, prepend=-1))


@dataclass(frozen=True, slots=True)
class ScoredObjects:
    """Detections in world coordinates."""

    objects: SceneLabels
    """N geometries and classes."""
    scores: Floats
    """(N,) in [0, 1]."""
    scenes: tuple[str, ...]
    """Name of the scene of each detection; empty if the file has no such attribute."""
    attributes: Any = None
    """The attributes as a frame of N rows; None where the format has no others."""

    @property
    def is_approximate(self) -> NDArray[np.bool_]:
        """(N,) True where the object was found in a photograph, which knows no exact place."""
        if self.attributes is None or APPROXIMATE not in self.attributes.columns:
            return np.zeros(len(self.objects), np.bool_)
        return np.asarray(self.attributes[APPROXIMATE].isin([True]), np.bool_)

    def is_of(self, scene: str) -> NDArray[np.bool_]:
        """Whether each object belongs to a scene by its attribute ``scene``: (N,).

        All are True if no object names this scene, unless they were found in photographs.

        Args:
            scene: Path of the scene; the names of scenes are ends of their paths.
        """
        name = find_scene_name(scene, set(self.scenes))
        if not name:
            columns = () if self.attributes is None else self.attributes.columns
            return np.full(len(self.objects), APPROXIMATE not in columns)
        return np.asarray(np.array(self.scenes, object) == name, np.bool_)


def read_scene_labels(
    path: Path,
    crs: CRS | None,
    *,
    label_field: str | None = None,
    class_name: str = "object",
    own_crs: str | None = None,
) -> SceneLabels:
    """Read the labels of a scene.

    Multi-part geometries are split: a layer dissolved by class would otherwise be one object as
    large as the scene.

    Args:
        path: A file with one layer of points or polygons, in any CRS.
        crs: CRS of the scene, to which the labels are transformed. Labels without a CRS are assumed
            to be in it. If the scene has none, labels are assumed to be in its coordinates;
            objects that were found in photographs are taken by their pixels.
        label_field: Attribute with the class; None: ``label``, ``class`` or ``name``, if any;
            empty: all objects are of one class.
        class_name: The class if no attribute has it.
        own_crs: CRS of labels whose file has none; of a table, also in place of the one
            that the names of its columns imply.

    Raises:
        VectorError: The file cannot be read, has several layers or other geometries, has a CRS
            other than ``own_crs``, an object has no class, or there are nearly as many classes as
            objects.
    """
    return _read_objects(path, crs, label_field, class_name, read_label_names, own_crs)[0]


def read_scored_objects(
    path: Path,
    crs: CRS | None,
    *,
    score_field: str = "score",
    class_name: str = "object",
    is_shown: bool = False,
) -> ScoredObjects:
    """Read detections with their scores, otherwise as :func:`read_scene_labels` reads labels.

    Args:
        path: A file with one layer of points or polygons, in any CRS.
        crs: CRS to which the detections are transformed.
        score_field: Attribute with the score; empty: every detection has score 1.
        class_name: The class if no attribute has it, of the name ``label``, ``class`` or ``name``.
        is_shown: Whether the objects are only to be shown: those without a class have this one.

    Raises:
        VectorError: As for labels, or the scores are missing or not in [0, 1].
    """
    read_names = read_shown_names if is_shown else read_names_of_detections
    objects, table = _read_objects(path, crs, None, class_name, read_names)
    scores = read_scores(table, path, score_field)
    return ScoredObjects(objects, scores, objects.scenes, table)


def _read_objects(
    path: Path,
    crs: CRS | None,
    label_field: str | None,
    class_name: str,
    read_names: _NameReader,
    own_crs: str | None = None,
) -> tuple[SceneLabels, Any]:
    """Read geometries and classes, and the table of all attributes."""
    frame = read_frame(path)
    if crs is None and APPROXIMATE in frame.columns and set(PIXEL_SIDES) <= set(frame.columns):
        frame = _in_pixels(frame)
    if own_crs is not None:
        frame = frame.set_crs(choose_crs(frame.crs, own_crs, path), allow_override=True)
    frame = _drop_empty(frame, path)
    shapes = join_at_antimeridian(frame.geometry.to_numpy(), frame.crs)
    joined = geopandas.GeoSeries(shapes, frame.index, frame.crs, name=frame.geometry.name)
    frame = frame.set_geometry(joined)
    if not set(shapely.get_type_id(shapes).tolist()) <= _KINDS:
        frame = frame.explode(ignore_index=True)
        frame = frame[~frame.geometry.is_empty]  # an object may have an empty part
    kinds = shapely.get_type_id(frame.geometry.to_numpy())
    for kind in set(kinds.tolist()) - _KINDS:
        raise VectorError(
            f"{path}: an object is a {shapely.GeometryType(kind).name.lower()}",
            hint="objects are points or polygons",
            path=path,
        )
    table = frame.drop(columns=frame.geometry.name)
    names = read_names(table, path, label_field, class_name)
    if must_transform(frame.crs, crs, path):
        frame = frame.to_crs(crs)
    scenes = tuple(scenes_of_rows(table)) if "scene" in table.columns else ()
    return SceneLabels(shapely.force_2d(frame.geometry.to_numpy()), names, scenes), table


def _in_pixels(frame: Any) -> Any:
    """Place the objects of photographs in the pixels of each, of which the y are negative."""
    x1, y1, x2, y2 = (frame[side].to_numpy(np.float64) for side in PIXEL_SIDES)
    table = frame.drop(columns=frame.geometry.name)
    return geopandas.GeoDataFrame(table, geometry=shapely.box(x1, -y2, x2, -y1))


def _drop_empty(frame: Any, path: Path) -> Any:
    empty = frame.geometry.isna() | frame.geometry.is_empty
    if empty.any():
        count = int(empty.sum())
        name = shown_name(path)
        logger.warning("%s: objects without a geometry are left out: %d", name, count)
    return frame[~empty]
