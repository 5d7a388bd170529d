"""Detections as polygons in the files that GIS programs open: GeoPackage and GeoJSON."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS, Transformer

from geodet.boxes import Detections
from geodet.errors import OutputError, VectorError
from geodet.geobox import GeoBox
from geodet.outputs import check_destination, replacing

__all__ = [
    "SceneDetections",
    "check_output",
    "common_crs",
    "read_detections",
    "write_detections",
]

Floats = NDArray[np.float64]

LAYER = "detections"
_READ = ("label", "score", "x1_px", "y1_px", "x2_px", "y2_px")
_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON"}
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SceneDetections:
    """What was found in one scene."""

    scene: str
    """The file's name."""
    geobox: GeoBox
    """Of the scene itself, not of a resampled grid."""
    detections: Detections
    """Boxes in the scene's own pixels."""


def write_detections(
    path: Path,
    parts: Sequence[SceneDetections],
    classes: Sequence[str],
    *,
    metadata: Mapping[str, str],
    overwrite: bool = False,
) -> None:
    """Write the boxes of one or more scenes as one layer of polygons, ``detections``.

    A row has ``label``, ``score`` (six decimals), ``scene``, ``x1_px``, ``y1_px``, ``x2_px``,
    ``y2_px`` (the scene's own pixels) and ``area_m2`` (on the ground; null without a CRS). Rows
    keep the order of ``parts`` and of their detections. A polygon is the box's four corners
    through the scene's transform in float64: exact under rotation and shear, counter-clockwise.

    The layer has the first scene's CRS; other scenes are transformed to it, with a warning. GeoJSON
    is WGS 84 to 1e-9 degrees (0.1 mm) after RFC 7946, which also splits what crosses the
    antimeridian. Without a CRS, or with a local grid in GeoJSON, coordinates stay as they are.

    Args:
        path: Ends in ``.gpkg``, ``.geojson`` or ``.json``; appears only when complete.
        parts: At least one scene; its detections may be empty.
        classes: Names of the classes, by label.
        metadata: Texts on how the layer was made: the layer's metadata in a GeoPackage, the member
            ``metadata`` of a GeoJSON collection.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: The file exists or cannot be written, or only some scenes have a CRS. A file
            that was there before is unharmed.
        ValueError: There are no scenes, or a label has no class.
    """
    check_output(path, overwrite=overwrite)
    crs = common_crs(parts)
    corners = np.concatenate([_to_corners(part, crs) for part in parts])
    fields = _to_fields(parts, classes)
    if _driver(path) == "GeoJSON" and not _is_on_earth(crs):
        _logger.warning(
            "%s has no degrees: GeoJSON readers will misplace what has no CRS; write .gpkg", path
        )
    with replacing(path) as temporary:
        _write_layer(temporary, corners, fields, crs, metadata)
        _check_written(temporary, len(corners))


def common_crs(parts: Sequence[SceneDetections]) -> CRS | None:
    """Choose the layer's CRS: the first scene's.

    Raises:
        OutputError: Only some scenes have a CRS.
        ValueError: There are no scenes.
    """
    if not parts:
        raise ValueError("there are no scenes to write detections of")
    bare = [part.scene for part in parts if part.geobox.crs is None]
    if bare and len(bare) < len(parts):
        raise OutputError(
            f"{len(bare)} of {len(parts)} scenes have no CRS, such as {bare[0]}",
            hint="write the scenes without a CRS to a file of their own",
        )
    return parts[0].geobox.crs


def read_detections(path: Path, classes: Sequence[str]) -> Detections:
    """Read back what :func:`write_detections` wrote, in the pixels of each scene.

    Args:
        path: The file.
        classes: Names that become labels by their place.

    Raises:
        VectorError: The file cannot be read, or was written by another program.
    """
    try:
        _, _, _, columns = pyogrio.raw.read(str(path), columns=list(_READ), read_geometry=False)
    except (DataSourceError, DataLayerError) as error:
        raise VectorError(
            f"cannot read detections from {path}: {error}", hint="geodet detect writes such files"
        ) from error
    if len(columns) != len(_READ):
        raise VectorError(
            f"{path} lacks one of the fields {', '.join(_READ)}",
            hint="geodet detect writes such files",
        )
    names, scores, *sides = columns
    labels = [list(classes).index(name) for name in names]
    return Detections(np.stack(sides, axis=-1), scores, np.array(labels, np.int64))


def check_output(path: Path, *, overwrite: bool) -> None:
    """Check that detections can be written to a path, before the hours that it takes to find them.

    Raises:
        OutputError: The extension is not one of a GeoPackage or a GeoJSON, the folder is missing or
            read-only, or the file exists and may not be replaced.
    """
    check_destination(path, tuple(_DRIVERS), overwrite=overwrite)


def _driver(path: Path) -> str:
    return _DRIVERS[path.suffix.lower()]


def _is_on_earth(crs: CRS | None) -> bool:
    """Tell whether coordinates have a longitude and a latitude; a local grid has not."""
    return crs is not None and crs.geodetic_crs is not None


def _to_corners(part: SceneDetections, crs: CRS | None) -> Floats:
    """Map boxes to rings of four corners in the layer's CRS, counter-clockwise: (N, 4, 2)."""
    x1, y1, x2, y2 = part.detections.boxes.T
    corners = np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=-1).reshape(-1, 4, 2)
    world = part.geobox.to_world(corners)
    if crs is not None and part.geobox.crs is not None:
        world = _transformed(world, part, part.geobox.crs, crs)
    ahead, back = world[:, 1] - world[:, 0], world[:, 3] - world[:, 0]
    clockwise = ahead[:, 0] * back[:, 1] < ahead[:, 1] * back[:, 0]
    world[clockwise] = world[clockwise][:, [0, 3, 2, 1]]
    return world


def _transformed(xy: Floats, part: SceneDetections, source: CRS, target: CRS) -> Floats:
    """Transform (N, 4, 2) coordinates from a scene's CRS to the layer's, where they differ."""
    if source.equals(target, ignore_axis_order=True):
        return xy
    _logger.warning("%s is transformed from %s to %s", part.scene, source.name, target.name)
    transformer = Transformer.from_crs(source, target, always_xy=True)
    moved: Floats = np.stack(transformer.transform(xy[..., 0], xy[..., 1]), axis=-1)
    if not np.isfinite(moved).all():
        raise OutputError(
            f"{part.scene} lies outside of {target.name}, the CRS of the first scene",
            hint="write scenes that are far apart to a file each",
        )
    return moved


def _to_fields(parts: Sequence[SceneDetections], classes: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Make the layer's columns, in order; each has one value a detection."""
    found = Detections.concatenate([part.detections for part in parts])
    unknown = (found.labels < 0) | (found.labels >= len(classes))
    if unknown.any():
        raise ValueError(f"label {found.labels[unknown][0]} of {len(classes)} classes")
    scenes = np.array([part.scene for part in parts], dtype=object)
    return {
        "label": np.array(classes, dtype=object)[found.labels],
        "score": found.scores.astype(np.float64).round(6),
        "scene": scenes.repeat([len(part.detections) for part in parts]),
        "x1_px": found.boxes[:, 0],
        "y1_px": found.boxes[:, 1],
        "x2_px": found.boxes[:, 2],
        "y2_px": found.boxes[:, 3],
        "area_m2": np.concatenate([_areas(part) for part in parts]),
    }


def _areas(part: SceneDetections) -> Floats:
    """Measure each box on the ground in square metres: (N,), NaN without a CRS."""
    boxes = part.detections.boxes
    sides = boxes[:, 2:] - boxes[:, :2]
    areas: Floats = sides[:, 0] * sides[:, 1] * part.geobox.pixel_area(part.detections.centres)
    return areas


def _write_layer(
    path: Path,
    corners: Floats,
    fields: Mapping[str, NDArray[Any]],
    crs: CRS | None,
    metadata: Mapping[str, str],
) -> None:
    """Write the layer with GDAL, from arrays: types hold even where there are no rows."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            pyogrio.raw.write(
                str(path),
                shapely.to_wkb(shapely.polygons(corners)),
                list(fields.values()),
                list(fields),
                layer=LAYER,
                driver=_driver(path),
                geometry_type="Polygon",
                crs=None if crs is None else _crs_text(crs),
                **_layer_options(path, crs, metadata),
            )
    except (DataSourceError, DataLayerError) as error:
        raise OSError(_shortened(str(error))) from error


def _shortened(message: str, length: int = 160) -> str:
    """Keep the end of a message, where GDAL names the cause after pages of SQL."""
    return message if len(message) <= length else f"... {message[-length:].lstrip()}"


def _crs_text(crs: CRS) -> str:
    """Name a CRS for GDAL, by its authority where that is certain."""
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else crs.to_wkt()


def _layer_options(path: Path, crs: CRS | None, metadata: Mapping[str, str]) -> dict[str, Any]:
    if _driver(path) == "GPKG":
        # -1 is the format's "undefined Cartesian"; GDAL's own choice may be read as degrees.
        options = {} if crs is not None else {"SRID": "-1"}
        return {"layer_options": options, "layer_metadata": dict(metadata) or None}
    return {
        "layer_options": {
            "RFC7946": "YES" if _is_on_earth(crs) else "NO",
            "COORDINATE_PRECISION": "9",  # GDAL's 7 decimals are 1 cm
            "SIGNIFICANT_FIGURES": "15",  # of the fields; GDAL's 17 show 0.1 as 0.10000000000000001
            "NATIVE_DATA": json.dumps({"metadata": dict(metadata)}),
            "NATIVE_MEDIA_TYPE": "application/vnd.geo+json",
        }
    }


def _check_written(path: Path, count: int) -> None:
    """Check the finished file: on a full disk GDAL can lose its end, or its index, silently."""
    try:
        info = pyogrio.read_info(str(path))
    except (DataSourceError, DataLayerError) as error:
        raise OSError(_shortened(str(error))) from error
    indexed = _driver(path) != "GPKG" or info["capabilities"]["fast_spatial_filter"]
    if info["features"] != count or not indexed:
        raise OSError(f"the file came out incomplete, with {info['features']} of {count} objects")
