"""Plan a detection: open the scenes, and check everything before the search begins."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyproj import CRS

from geodet.config import DetectConfig
from geodet.detection.detect_options import (
    DetectOptions,
    check_paths,
    is_new_folder,
    may_replace,
    read_written_before,
)
from geodet.detection.detect_report import SceneRecord
from geodet.detection.open_scenes import OpenScenes
from geodet.detection.photographed_scenes import (
    are_placed_by_cameras,
    photograph_of,
    report_photographs,
)
from geodet.detection.scene_files import expand_outputs, is_per_scene
from geodet.detection.scene_for_model import (
    summarise_names,
    warn_of_missing_georeference,
)
from geodet.documents.text import as_utf8
from geodet.errors import SceneError
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import WGS_84, GeoBox
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.geometry.windows import WindowLimits
from geodet.models.description import ModelDescription
from geodet.photographs.photograph import Photographs
from geodet.raster.scene import Scene
from geodet.raster.scene_lists import is_gdal_path
from geodet.raster.scene_names import scene_names
from geodet.raster.unplaced import PLACING_HINT, describe_unplaced, warn_of_unplaced
from geodet.vector.area_of_interest import AreaOfInterest, aoi_of_bounds, read_aoi
from geodet.vector.exchange_formats import check_driver
from geodet.vector.formats import choose_format
from geodet.vector.write_detections import check_output, check_scene_names

__all__ = ["DetectionPlan", "PlannedScene", "check_files", "plan_detection"]

logger = logging.getLogger(__name__)

_MOST_SAMPLED = 16
"""Scenes that are sampled for the value range, and kept open until they are detected in."""


@dataclass(frozen=True, slots=True)
class PlannedScene:
    """A scene to detect in."""

    path: str
    """The path that GDAL opens."""
    name: str
    """A name that no other scene of the plan has."""
    geobox: GeoBox
    """Geobox of the scene's own pixels."""
    dtype: str
    """Data type of the bands that are read, as numpy names it."""
    grid: tuple[int, int]
    """Columns and rows at the resolution of detection."""
    limits: WindowLimits
    """See :attr:`geodet.raster.scene.Scene.window_limits`."""
    aoi: AreaOfInterest | None = None
    """Area of interest in the scene's own pixels; None: all of the scene."""

    def part(self, detections: Detections) -> SceneDetections:
        """Label detections with the scene that they are from."""
        return SceneDetections(self.name, self.geobox, detections)

    @property
    def scale(self) -> tuple[float, float]:
        """The scene's own pixels per pixel of the grid, along x and y."""
        return self.geobox.width / self.grid[0], self.geobox.height / self.grid[1]

    @property
    def first_cell(self) -> tuple[int, int]:
        """Column and row of the first cell of the grid, counted from the origin of the CRS."""
        return self.geobox.first_cell(self.grid)

    @property
    def footprint(self) -> SceneDetections:
        """The extent of the scene, as one detection."""
        sides = (self.geobox.width, self.geobox.height)
        return self.part(Detections([[0, 0, *sides]], [1.0], [0]))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DetectionPlan:
    """The scenes of a detection, and the CRS of its output."""

    scenes: tuple[PlannedScene, ...]
    """In the order given, without those that do not meet the area of interest."""
    crs: CRS | None
    """CRS of the layer: that of the first scene."""
    records: tuple[SceneRecord, ...]
    """The record of each given scene, in the order given; so far only of those that
    cannot be opened or do not meet the area of interest."""
    failed: dict[str, SceneError]
    """Errors of the scenes that cannot be opened, by name."""
    images: Photographs = field(default_factory=dict)
    """Metadata of the scenes without a georeference, by name."""
    are_placed: bool = False
    """Whether all are photographs that go to one layer, each in its own place or in none."""

    @property
    def photographs(self) -> Photographs | None:
        """The photographs of the layer; None of other scenes, and of files for each scene."""
        return self.images if self.are_placed else None

    @property
    def sampled(self) -> tuple[PlannedScene, ...]:
        """At most 16 scenes, evenly spread, from which the value range of all is chosen."""
        return self.scenes[:: math.ceil(len(self.scenes) / _MOST_SAMPLED)]


def plan_detection(
    scenes: Sequence[str | Path],
    outputs: Sequence[Path],
    about: ModelDescription,
    config: DetectConfig,
    options: DetectOptions,
    opened: OpenScenes,
    *,
    is_one_layer: bool = True,
) -> DetectionPlan:
    """Open every scene and check everything that a detection needs.

    Args:
        scenes: See :func:`geodet.raster.scene_lists.list_scenes`.
        outputs: Files to write.
        about: The model.
        config: The settings.
        options: Area of interest, formats, and what else the settings do not hold.
        opened: Opens the scenes. Those that the plan samples stay open, as far as the area of
            interest leaves them in; the others are closed.
        is_one_layer: Whether all scenes go to one layer, unless the outputs say otherwise.

    Raises:
        SceneError: A scene cannot be opened, has no CRS and must have one, or has pixels of a size
            that cannot be resampled to the model's.
        ModelFileError: A scene lacks bands that the model needs.
        OutputError: An output cannot be written, or only some scenes have a CRS.
        VectorError: The area of interest cannot be read, or meets no scene.
        ConfigError: The options contradict each other.
    """
    paths = check_paths(scenes, outputs, options, config)
    check_files(outputs, paths, options)
    records = [
        SceneRecord(path=as_utf8(_whole_path(path)), scene=as_utf8(name))
        for path, name in zip(paths, scene_names(paths), strict=True)
    ]
    found, failed = _open_scenes(paths, records, config, opened)
    areas = _read_areas(options, [scene.geobox for scene in found])
    planned = [replace(scene, aoi=aoi) for scene, aoi in zip(found, areas, strict=True)]
    met = _select_in_area(planned, records)
    for output in outputs:
        check_scene_names(output, [scene.name for scene in met], format=options.format)
    has_own_files = any(map(is_per_scene, outputs))
    pictures = {one.name: one.path for one in met if one.geobox.is_in_pixels}
    images = {name: photograph_of(path, name, config) for name, path in pictures.items()}
    geoboxes = {scene.name: scene.geobox for scene in met}
    are_placed = not has_own_files and are_placed_by_cameras(geoboxes, images)
    warn_of_missing_georeference(geoboxes, about, config, images, in_pixels=not are_placed)
    report_photographs(images, about, config, are_placed=are_placed)
    is_one = is_one_layer and not has_own_files
    crs = common_crs([scene.footprint for scene in met]) if is_one else met[0].geobox.crs
    plan = DetectionPlan(
        tuple(met), WGS_84 if are_placed else crs, tuple(records), failed, images, are_placed
    )
    opened.keep_only([scene.path for scene in plan.sampled])
    return plan


def check_files(outputs: Sequence[Path], paths: Sequence[str], options: DetectOptions) -> None:
    """Check that the files of a run can be written.

    Args:
        outputs: Files, or patterns of a file for each scene.
        paths: All scenes.
        options: Formats, and whether files are replaced or appended to.

    Raises:
        OutputError: One of them cannot be written, or GDAL here cannot write the format.
    """
    before = read_written_before(outputs, options)
    for output in outputs:
        check_driver(output, choose_format(output, options.format))
    for file in expand_outputs(outputs, paths):
        if not is_new_folder(file, outputs):
            overwrite = may_replace(file, options, before)
            check_output(file, overwrite=overwrite, append=options.append, format=options.format)


def _open_scenes(
    paths: Sequence[str],
    records: Sequence[SceneRecord],
    config: DetectConfig,
    opened: OpenScenes,
) -> tuple[list[PlannedScene], dict[str, SceneError]]:
    """Open each scene; leave open those that may be sampled.

    Returns:
        The scenes that can be opened, and the errors of the others by name: they are left out,
        unless none is left.
    """
    kept = set(paths[:: math.ceil(len(paths) / _MOST_SAMPLED)])
    found, turned, failed = list[PlannedScene](), [], dict[str, SceneError]()
    unplaced: dict[str, CRS | None] = {}
    with closing(opened.iter_opened(paths)) as scenes:
        for path, record, scene in zip(paths, records, scenes, strict=True):
            if isinstance(scene, SceneError):
                failed[record.scene] = scene
                record.status, record.reason = "failed", str(scene)
                if len(failed) == len(paths):
                    raise scene
                logger.error("%s is left out: %s", record.scene, scene)
                continue
            turned += [] if scene.turn.is_none else [scene.name]
            _check_crs(scene, config)
            unplaced[scene.name] = scene.unplaced_crs
            about = scene.geobox, scene.dtype.name, scene.grid, scene.window_limits
            found.append(PlannedScene(path, record.scene, *about))
            if path not in kept:
                opened.close_scene(path)
    warn_of_unplaced(unplaced)
    if turned:
        logger.info(
            "rotated by EXIF orientation: %s; pixel coordinates in the output are those of the "
            "displayed picture, but GDAL and QGIS show the stored one",
            summarise_names(turned),
        )
    return found, failed


def _check_crs(scene: Scene, config: DetectConfig) -> None:
    if scene.geobox.crs is not None or not config.require_crs:
        return
    if scene.unplaced_crs is not None:
        raise SceneError(
            describe_unplaced(scene.path, scene.unplaced_crs),
            hint=f"{PLACING_HINT}, or leave out --require-crs (detect.require_crs)",
            path=scene.path,
        )
    raise SceneError(
        f"{scene.path} has no CRS",
        hint="assign one with gdal_edit, or leave out --require-crs (detect.require_crs)",
        path=scene.path,
    )


def _read_areas(
    options: DetectOptions, geoboxes: Sequence[GeoBox]
) -> Sequence[AreaOfInterest | None]:
    if options.aoi is not None:
        return read_aoi(options.aoi, geoboxes)
    if options.bounds is not None:
        return [aoi_of_bounds(options.bounds, box, options.bounds_crs) for box in geoboxes]
    return [None] * len(geoboxes)


def _select_in_area(
    scenes: Sequence[PlannedScene], records: Sequence[SceneRecord]
) -> list[PlannedScene]:
    """Leave out the scenes that share no point with the area of interest."""
    met = [scene for scene in scenes if scene.aoi is None or not scene.aoi.is_empty]
    if not met and scenes[0].aoi is not None:
        scenes[0].aoi.check_meets_scene()
    if len(met) < len(scenes):
        away = len(scenes) - len(met)
        logger.info("%d of %d scenes are outside the area of interest", away, len(scenes))
    names = {scene.name for scene in scenes} - {scene.name for scene in met}
    for record in records:
        if record.scene in names:
            record.reason = "it is outside the area of interest"
    return met


def _whole_path(path: str) -> str:
    return path if is_gdal_path(path) else str(Path(path).absolute())
