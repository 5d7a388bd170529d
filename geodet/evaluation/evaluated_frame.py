"""The frame of an evaluation: pixels of a scene, or metres on the ground."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer

from geodet.config import Config
from geodet.errors import VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.full_turns import full_turn, seam_between, within_half_turn
from geodet.geometry.geobox import GeoBox, step_lengths
from geodet.geometry.utm import has_ground_lengths, utm_at
from geodet.raster.scene import Scene
from geodet.raster.unplaced import warn_of_unplaced
from geodet.tilesets.label_crs import choose_crs
from geodet.tilesets.pixel_results import is_pixel_results
from geodet.tilesets.unplaced_labels import check_objects_have_place
from geodet.vector.vector_files import read_extent, read_frame

__all__ = ["EvaluatedFrame", "ground_frame", "scene_frame"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluatedFrame:
    """Pixel coordinates into which both files are transformed."""

    geobox: GeoBox
    """The geobox of the frame; its size matters for a scene only."""
    gsd: float | None
    """Metres per unit of the frame, None if unknown."""
    steps: Floats | None
    """(2, 2) that map a step in the frame to metres east and north, None if unknown."""
    scene: str | None
    """Name of the scene, None without one."""

    @property
    def resolution(self) -> tuple[float, float] | None:
        """Metres per unit of the frame along x and y, None if unknown."""
        if self.steps is not None:
            return step_lengths(self.steps)
        return None if self.gsd is None else (self.gsd, self.gsd)


def scene_frame(path: Path, detections: Path, labels: Path, config: Config) -> EvaluatedFrame:
    """Return the pixels of a scene as the frame of two files.

    Raises:
        SceneError: The scene cannot be read.
        VectorError: A file is in a CRS, and the scene has no geotransform to its own.
    """
    with Scene(path) as scene:
        declared = scene.unplaced_crs
        if not is_pixel_results(detections):
            check_objects_have_place(detections, scene.path, declared)
        check_objects_have_place(labels, scene.path, declared, config.tile.labels_crs)
        warn_of_unplaced({scene.name: declared})
        box = scene.geobox
        steps = box.centre_matrix if box.gsd else None
        return EvaluatedFrame(box, box.gsd or config.data.gsd, steps, scene.name)


def ground_frame(detections: Path, labels: Path, config: Config) -> EvaluatedFrame:
    """Choose a frame in metres that fits both files.

    Raises:
        VectorError: A file cannot be read, holds boxes in pixels, only one of the two has a CRS, or
            neither has an object.
    """
    if is_pixel_results(detections):
        raise VectorError(
            f"{detections} is in pixels, but neither a scene nor labelled chips are given",
            hint="give the raster as scene (--scene), or the labelled chips as data (--data)",
            path=detections,
        )
    extents = [(path, *read_extent(path)) for path in (detections, labels)]
    path, crs, extent = extents[1]
    extents[1] = (path, choose_crs(crs, config.tile.labels_crs, labels), extent)
    bare = [path for path, crs, _ in extents if crs is None]
    if len(bare) == 1:
        raise VectorError(
            f"{bare[0]} has no CRS, but {({detections, labels} - {bare[0]}).pop()} has one",
            hint="assign a CRS with ogr2ogr -a_srs, or give the raster of both as scene (--scene)",
            path=bare[0],
        )
    if bare:
        logger.warning(
            "neither file has a CRS: their coordinates are compared without transformation"
        )
        return EvaluatedFrame(GeoBox(1, 1, Affine.identity(), None), config.data.gsd, None, None)
    for path, crs, extent in extents:
        if crs is not None and np.isfinite(extent).all():
            return _metric_frame(crs, _middle(path, crs, extent), config.data.gsd)
    raise VectorError(
        f"neither {detections} nor {labels} contains an object",
        hint="check that these are the right files",
        path=detections,
    )


def _middle(path: Path, crs: CRS, extent: Floats) -> Floats:
    """Return the middle of the objects of a file, also where they lie around the antimeridian."""
    middle: Floats = (extent[:2] + extent[2:]) / 2
    turn = full_turn(crs)
    if not turn or extent[2] - extent[0] <= turn / 2:
        return middle
    bounds = read_frame(path, columns=[]).explode().bounds.to_numpy(np.float64)
    x = (bounds[:, 0] + bounds[:, 2]) / 2
    seam = seam_between(x[np.isfinite(x)], turn)
    around = within_half_turn(x, seam + turn / 2, turn)
    return np.array([(np.nanmin(around) + np.nanmax(around)) / 2, middle[1]])


def _metric_frame(crs: CRS, centre: Floats, gsd: float | None) -> EvaluatedFrame:
    if not has_ground_lengths(crs):
        crs, centre = _to_utm(crs, centre)
    around = GeoBox(2, 2, Affine.translation(centre[0] - 1, centre[1] - 1), crs)
    unit = around.gsd or 1.0  # metres on the ground; in UTM nearly those of the CRS
    scale = gsd / unit if gsd else 1.0
    steps = around.centre_matrix
    scaled = None if steps is None else steps * scale
    return EvaluatedFrame(GeoBox(1, 1, Affine.scale(scale), crs), unit * scale, scaled, None)


def _to_utm(crs: CRS, centre: Floats) -> tuple[CRS, Floats]:
    utm = utm_at(crs, centre)
    there = Transformer.from_crs(crs, utm, always_xy=True).transform(*centre)
    return utm, np.array(there)
