"""What a detection is asked to do, checked at the door: what would fail at the end fails there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS

from geodet.boxes import Detections
from geodet.config import DetectConfig
from geodet.errors import ConfigError, OutputError
from geodet.fitting import check_scene
from geodet.geobox import GeoBox
from geodet.models.checkpoint import ModelDescription
from geodet.outputs import check_destination
from geodet.regions import Region, read_region, region_of_bounds
from geodet.scene_lists import list_scenes, scene_names
from geodet.vectors import Geometry, SceneDetections, check_output, common_crs

__all__ = ["DetectOptions", "Job", "SceneJob", "plan_job"]


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
        scenes: See :func:`geodet.scene_lists.list_scenes`.
        outputs: Files to write.
        about: The model.
        config: The settings.
        options: The rest.

    Raises:
        SceneError: A scene cannot be opened, or has no CRS and must have one.
        ModelFileError: A scene has not the bands that the model needs.
        OutputError: An output cannot be written, or only some scenes have a CRS.
        VectorError: The area of interest cannot be read, or meets no scene.
        ConfigError: The options contradict each other.
    """
    paths = list_scenes([str(scene) for scene in scenes])
    _check_outputs(paths, outputs, options)
    geoboxes = [check_scene(path, about, config) for path in paths]
    names = scene_names(paths)
    jobs = [
        SceneJob(path, name, geobox, _region(options, geobox))
        for path, name, geobox in zip(paths, names, geoboxes, strict=True)
    ]
    met = [job for job in jobs if job.region is None or not job.region.is_empty]
    if not met and jobs[0].region is not None:
        jobs[0].region.check_meets_scene()
    return Job(tuple(met), common_crs([job.footprint for job in met]))


def _region(options: DetectOptions, geobox: GeoBox) -> Region | None:
    if options.aoi is not None:
        return read_region(options.aoi, geobox)
    if options.bounds is not None:
        return region_of_bounds(options.bounds, geobox, options.bounds_crs)
    return None


def _check_outputs(scenes: Sequence[str], outputs: Sequence[Path], options: DetectOptions) -> None:
    """Refuse what would fail at the end, or destroy a scene."""
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
    inputs = {Path(scene).resolve() for scene in scenes}
    written = [path.resolve() for path in (*outputs, *([preview] if preview else []))]
    for path in written:
        if path in inputs or written.count(path) > 1:
            raise OutputError(
                f"{path} would be written over a scene, or twice", hint="name another file"
            )
