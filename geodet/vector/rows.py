"""The layer that detections are written to, and its rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from geodet.errors import OutputError
from geodet.geometry.arrays import Floats, Ints, shape_bounds
from geodet.geometry.ground_pairs import GroundPairs
from geodet.geometry.scene_detections import SceneDetections
from geodet.geometry.written_scores import written_scores
from geodet.geopackage.layer_metadata import MODEL_DIGEST
from geodet.photographs.photograph import Photograph, Photographs
from geodet.vector.formats import Geometry
from geodet.vector.oriented_fields import ORIENTED_FIELDS, measure_oriented
from geodet.vector.searched_scenes import SearchedScenes

__all__ = [
    "APPROXIMATE",
    "FIELDS",
    "ID",
    "LAYER",
    "PIXEL_SIDES",
    "TEXTS",
    "Appending",
    "FileLayer",
    "Rows",
    "VectorLayer",
    "crs_text",
    "iter_slices",
    "to_rows",
    "warn_of_transformation",
]

LAYER = "detections"
"""The layer's name, in formats where it has one."""


@dataclass(frozen=True, slots=True)
class Appending:
    """Options of appending to a file."""

    run: str = ""
    """An identifier that the file keeps, so that a run which goes on after it had appended does not
    append again; empty: none."""
    scenes: tuple[str, ...] = ()
    """The scenes that will come, to be refused before the first row."""
    replace_scenes: bool = False
    """Whether the rows of a scene that the file holds are removed; otherwise it is refused."""
    drop: Callable[[Iterable[GroundPairs]], tuple[Ints, Ints]] | None = None
    """Returns which boxes are duplicates, of the new ones and of those in the file; None: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorLayer:
    """Properties of a layer, wherever it is written."""

    classes: Sequence[str]
    """Names of the classes, by label."""
    crs: CRS | None
    """CRS of the coordinates."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Texts on how the layer was made, kept where the format has a place for them."""
    geometry: Geometry = "box"
    """``box``, polygons, or ``centroid``, points."""
    photographs: Photographs | None = None
    """The scenes, where they are photographs, whose objects have approximate places or none."""
    salt: str = ""
    """The model and the settings, as a text, for identifiers; see
    :func:`geodet.vector.frames.object_ids`."""
    oriented: bool = False
    """Whether the boxes stand at any angle."""

    @property
    def model(self) -> str:
        """The digest of the model that the objects are from; empty: unknown."""
        return self.metadata.get(MODEL_DIGEST, "")

    @property
    def geometry_type(self) -> str:
        """``Polygon`` or ``Point``."""
        return "Point" if self.geometry == "centroid" else "Polygon"

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns, in order."""
        last = () if self.photographs is None else (APPROXIMATE,)
        return (*FIELDS, *(ORIENTED_FIELDS if self.oriented else ()), *last)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLayer(VectorLayer):
    """A layer in a file, with what a writer needs before the first detection."""

    path: Path
    """The output."""
    append: Appending | None = None
    """Options of appending to ``path``, if it exists; None: it is replaced."""
    searched: SearchedScenes | None = None
    """The outcome for each scene, for a file to which others are added; None: unknown."""

    @classmethod
    def of(cls, layer: VectorLayer, path: Path, append: Appending | None = None) -> Self:
        """Place a layer in a file.

        Args:
            layer: The layer.
            path: The output.
            append: Options of appending to it; None: it is replaced.
        """
        same = {one.name: getattr(layer, one.name) for one in dataclass_fields(layer)}
        return cls(**same, path=path, append=append)


def crs_text(crs: CRS) -> str:
    """Return the authority's code of a CRS where that is certain, or else its WKT."""
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else str(crs.to_wkt())


PIXEL_SIDES = ("x1_px", "y1_px", "x2_px", "y2_px")
"""The columns with the sides of a box in the pixels of its scene."""
FIELDS = ("label", "score", "scene", *PIXEL_SIDES, "area_m2")
"""The columns, in order: float64 except for :data:`TEXTS`."""
TEXTS = ("label", "scene")


ID = "id"
"""A further column, before the others: an identifier of the object, in GeoParquet and frames."""

APPROXIMATE = "approximate"
"""A further column of objects in photographs: true where the place is approximate, else null."""

_MEASURED = {"area_m2", *ORIENTED_FIELDS}  # columns whose values may be unknown

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rows:
    """N rows of a layer."""

    fields: Mapping[str, NDArray[Any]]
    """N values of each field of a layer; NaN where the area is unknown."""
    coordinates: Floats
    """(N, 4, 2) corners of boxes, counter-clockwise, or (N, 1, 2) points; NaN where unknown."""

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def bounds(self) -> Floats:
        """(N, 4) least x and y, greatest x and y."""
        return shape_bounds(self.coordinates)

    @property
    def is_placed(self) -> NDArray[np.bool_]:
        """Whether each row has a place: (N,)."""
        return np.asarray(~np.isnan(self.coordinates[:, 0, 0]), np.bool_)

    @property
    def columns(self) -> list[list[Any]]:
        """The columns as lists of Python values, None where a value is unknown."""
        columns = {name: values.tolist() for name, values in self.fields.items()}
        for name in _MEASURED & columns.keys():
            if np.isnan(self.fields[name]).any():
                columns[name] = [None if math.isnan(value) else value for value in columns[name]]
        if APPROXIMATE in columns:
            columns[APPROXIMATE] = [value or None for value in columns[APPROXIMATE]]
        return list(columns.values())

    @staticmethod
    def concatenate(parts: Sequence[Rows]) -> Rows:
        """Join the rows of at least one part, in order."""
        names = parts[0].fields
        fields = {name: np.concatenate([part.fields[name] for part in parts]) for name in names}
        return Rows(fields, np.concatenate([part.coordinates for part in parts]))


def iter_slices(part: SceneDetections, size: int) -> Iterator[SceneDetections]:
    """Split detections into parts of at most ``size``; no detections are one empty part."""
    for start in range(0, max(len(part.detections), 1), size):
        few = part.detections.select(slice(start, start + size))
        yield SceneDetections(part.scene, part.geobox, few)


def to_rows(part: SceneDetections, layer: VectorLayer) -> Rows:
    """Compute the rows of detections, in their order.

    The coordinates are those of the four corners, or of the centre of each box. Of photographs they
    are in WGS 84 where the pose of the camera is known, and NaN where it is not.

    Args:
        part: The detections of a scene.
        layer: The layer; without a CRS coordinates are in the scene's own.

    Raises:
        OutputError: A box lies where the CRS of the layer is not defined.
    """
    if layer.photographs is not None:
        return _photographed_rows(part, layer, layer.photographs[part.scene])
    found, geobox, crs = part.detections, part.geobox, layer.crs
    if layer.geometry == "centroid":
        coordinates = geobox.to_world(found.centres[:, None], crs)
    else:
        coordinates = geobox.to_world(found.corners, crs)
    if crs is not None and geobox.needs_transformation(crs) and not np.isfinite(coordinates).all():
        raise OutputError(
            f"{part.scene} lies where {crs.name}, the CRS of the output, is not defined",
            hint="write scenes that are far apart to a file each",
        )
    if layer.geometry == "box":
        coordinates = _counter_clockwise(coordinates)
    fields = _to_fields(part, layer.classes, _areas(part))
    if layer.oriented:
        fields |= measure_oriented(found, geobox)
    return Rows(fields, coordinates)


def _photographed_rows(part: SceneDetections, layer: VectorLayer, photograph: Photograph) -> Rows:
    """Compute the rows of detections in a photograph."""
    found, view = part.detections, photograph.view
    gsd = math.nan if photograph.gsd_m is None else photograph.gsd_m
    areas = gsd**2 * found.areas
    is_point = layer.geometry == "centroid"
    coordinates = np.full((len(found), 1 if is_point else 4, 2), np.nan)
    if view is not None and is_point:
        coordinates, areas = view.to_degrees(found.centres[:, None]), view.quad_areas(found.corners)
    elif view is not None:
        coordinates = _counter_clockwise(view.to_degrees(found.corners))
        areas = view.quad_areas(found.corners)
    fields = _to_fields(part, layer.classes, areas)
    if layer.oriented:
        fields |= measure_oriented(found, part.geobox, photograph)
    fields[APPROXIMATE] = np.full(len(found), view is not None)
    return Rows(fields, coordinates)


def warn_of_transformation(part: SceneDetections, crs: CRS | None) -> None:
    """Log a warning where a scene is in another CRS than the layer."""
    own = part.geobox.crs
    if own is not None and crs is not None and part.geobox.needs_transformation(crs):
        _logger.warning("%s is transformed from %s to %s", part.scene, own.name, crs.name)


def _counter_clockwise(world: Floats) -> Floats:
    """Reverse the rings that run clockwise: (N, 4, 2)."""
    ahead, back = world[:, 1] - world[:, 0], world[:, 3] - world[:, 0]
    clockwise = ahead[:, 0] * back[:, 1] < ahead[:, 1] * back[:, 0]
    world[clockwise] = world[clockwise][:, [0, 3, 2, 1]]
    return world


def _to_fields(
    part: SceneDetections, classes: Sequence[str], areas: Floats
) -> dict[str, NDArray[Any]]:
    """Compute the columns, in order: (N,) values each."""
    found = part.detections
    values = (
        np.array(classes, dtype=object)[found.labels],
        written_scores(found.scores),
        np.full(len(found), part.scene, dtype=object),
        *found.boxes.T,
        areas,
    )
    return dict(zip(FIELDS, values, strict=True))


def _areas(part: SceneDetections) -> Floats:
    """Measure each box on the ground in square metres: (N,), NaN without a CRS."""
    found = part.detections
    return found.areas * part.geobox.pixel_area(found.centres)
