"""What a detection is asked to do, checked at the door: what would fail at the end fails there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS

from geodet.config import DetectConfig
from geodet.detection.scene_for_model import check_scene, report_places
from geodet.errors import ConfigError
from geodet.files.outputs import check_apart, check_destination
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.models.description import ModelDescription
from geodet.raster.scene_lists import list_files, list_scenes, scene_names
from geodet.vector.formats import check_output, choose_format
from geodet.vector.layer import Geometry
from geodet.vector.regions import Region, read_regions, region_of_bounds
from geodet.vector.styles import style_path
from geodet.vector.vector_files import path_of

__all__ = ["DetectOptions", "Job", "SceneJob", "plan_job", "styled_outputs"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """Where a detection looks and what it writes, besides the settings of the configuration."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    aoi: Path | None = None
    """Polygons in any vector format and CRS; objects with their centre outside are left out."""
    bounds: tuple[float, float, float, float] | None = None
    """xmin, ymin, xmax, ymax of such an area."""
    bounds_crs: str | None = None
    """What they are in, such as ``EPSG:4326``; None: in the CRS of the scene."""
    format: str | None = None
    """A name in :data:`geodet.vectors.FORMATS`; None goes by the extension of each output."""
    geometry: Geometry = "box"
    """Polygons, or points at the centres."""
    append: bool = False
    """Add the rows to those of GeoPackages that are there."""
    style: bool = False
    """Write a QGIS style beside the outputs that cannot hold one."""
    preview: Path | None = None
    """A PNG to draw the detections over the scene; for one scene only."""
    overwrite: bool = False
    """Replace files that are there."""
    profile: bool = False
    """Wait for the device at the end of each stage, so that its time is that of the stage."""


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
    paths = list_scenes([str(scene) for scene in scenes])
    _check_outputs(paths, outputs, options)
    _check_apart([*paths, *list_files(map(str, scenes))], outputs, options)
    geoboxes = [check_scene(path, about, config) for path in paths]
    names = scene_names(paths)
    regions = _regions(options, geoboxes)
    met = _met([SceneJob(*one) for one in zip(paths, names, geoboxes, regions, strict=True)])
    _check_names([job.name for job in met], outputs, options)
    report_places({job.name: job.geobox for job in met}, about, config)
    return Job(tuple(met), common_crs([job.footprint for job in met]))


def styled_outputs(outputs: Sequence[Path], options: DetectOptions) -> list[Path]:
    """Choose the outputs to write a style beside, if any is wanted: those that cannot hold one."""
    if not options.style:
        return []
    return [output for output in outputs if choose_format(output, options.format).takes_style]


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
        choose_format(output, options.format).check_names(output, names)


def _check_outputs(scenes: Sequence[str], outputs: Sequence[Path], options: DetectOptions) -> None:
    """Refuse what would fail at the end, or destroy a file."""
    if options.aoi is not None and options.bounds is not None:
        raise ConfigError("there are two areas of interest", hint="give one of --aoi and --bounds")
    if options.format is not None and len(outputs) > 1:
        raise ConfigError(
            f"{len(outputs)} outputs would all be {options.format}",
            hint="leave --format out: extensions tell, or write one output",
        )
    for output in outputs:
        check_output(
            output, overwrite=options.overwrite, append=options.append, format=options.format
        )
    preview = options.preview
    if preview is not None:
        check_destination(preview, (".png",), overwrite=options.overwrite)
        if len(scenes) > 1:
            raise ConfigError(
                f"a preview shows one scene, and {len(scenes)} were given",
                hint="leave --preview out, or detect scene by scene",
            )
    for output in styled_outputs(outputs, options):
        check_destination(style_path(output), (".qml",), overwrite=options.overwrite)


def _check_apart(read: Sequence[str], outputs: Sequence[Path], options: DetectOptions) -> None:
    """Refuse to write over what is read."""
    inputs = [Path(path) for path in read]
    if options.aoi is not None:
        inputs.append(Path(path_of(options.aoi)))
    styles = {style_path(output) for output in styled_outputs(outputs, options)}
    previews = [options.preview] if options.preview else []
    check_apart([*outputs, *previews, *sorted(styles)], inputs)
