"""What a detection is asked to do, checked at the door: what would fail at the end fails there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS

from geodet.config import DetectConfig
from geodet.detection.detect_options import DetectOptions, check_paths
from geodet.detection.scene_for_model import check_scene, report_places
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.models.description import ModelDescription
from geodet.raster.scene_lists import scene_names
from geodet.vector.regions import Region, read_regions, region_of_bounds
from geodet.vector.write_detections import check_output, check_scene_names

__all__ = ["Job", "SceneJob", "plan_job"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SceneJob:
    """One scene."""

    path: str
    """As GDAL takes it."""
    name: str
    """Tells it apart from the others."""
    geobox: GeoBox
    """Its own."""
    region: Region | None
    """Where to look; None: everywhere."""

    def part(self, detections: Detections) -> SceneDetections:
        """Say of detections where they are from."""
        return SceneDetections(self.name, self.geobox, detections)

    @property
    def footprint(self) -> SceneDetections:
        """Give the scene itself as a detection."""
        sides = (self.geobox.width, self.geobox.height)
        return self.part(Detections([[0, 0, *sides]], [1.0], [0]))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Job:
    """All scenes, and what they have in common."""

    scenes: tuple[SceneJob, ...]
    """In their order; those without a point in the area of interest are left out."""
    crs: CRS | None
    """Of the layer."""


def plan_job(
    scenes: Sequence[str | Path],
    outputs: Sequence[Path],
    about: ModelDescription,
    config: DetectConfig,
    options: DetectOptions,
) -> Job:
    """Look at everything that a detection needs, before it begins.

    Args:
        scenes: See :func:`geodet.raster.scene_lists.list_scenes`.
        outputs: Files to write.
        about: The model.
        config: The settings.
        options: The rest.

    Raises:
        SceneError: A scene cannot be opened, has no CRS and must have one, or has pixels of a size
            that is out of the model's reach.
        ModelFileError: A scene has not the bands that the model needs.
        OutputError: An output cannot be written, or only some scenes have a CRS.
        VectorError: The area of interest cannot be read, or meets no scene.
        ConfigError: The options contradict each other.
    """
    paths = check_paths(scenes, outputs, options)
    for output in outputs:
        check_output(
            output, overwrite=options.overwrite, append=options.append, format=options.format
        )
    geoboxes = [check_scene(path, about, config) for path in paths]
    names = scene_names(paths)
    regions = _regions(options, geoboxes)
    met = _met([SceneJob(*one) for one in zip(paths, names, geoboxes, regions, strict=True)])
    _check_names([job.name for job in met], outputs, options)
    report_places({job.name: job.geobox for job in met}, about, config)
    return Job(tuple(met), common_crs([job.footprint for job in met]))


def _regions(options: DetectOptions, geoboxes: Sequence[GeoBox]) -> Sequence[Region | None]:
    if options.aoi is not None:
        return read_regions(options.aoi, geoboxes)
    if options.bounds is not None:
        return [region_of_bounds(options.bounds, box, options.bounds_crs) for box in geoboxes]
    return [None] * len(geoboxes)


def _met(jobs: Sequence[SceneJob]) -> list[SceneJob]:
    """Leave out the scenes without a point in the area of interest."""
    met = [job for job in jobs if job.region is None or not job.region.is_empty]
    if not met and jobs[0].region is not None:
        jobs[0].region.check_meets_scene()
    if len(met) < len(jobs):
        away = len(jobs) - len(met)
        logger.info("%d of %d scenes lie outside of the area: left out", away, len(jobs))
    return met


def _check_names(names: Sequence[str], outputs: Sequence[Path], options: DetectOptions) -> None:
    for output in outputs:
        check_scene_names(output, names, format=options.format)
