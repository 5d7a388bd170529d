"""Run the demonstration: paint a town with known trees, detect them, and count the matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from geodet.config import DetectConfig, MatchConfig
from geodet.demo.town import paint_town
from geodet.detection.detect import DetectOptions, DetectProgress, detect_to_files
from geodet.errors import OutputError
from geodet.evaluation.threshold_curves import Comparison, count_matches
from geodet.files.output_folders import DEMO_FILES, check_demo_folder
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.models.model import Model
from geodet.raster.geotiff import write_raster
from geodet.vector.read_detections import read_detections
from geodet.vector.write_detections import write_detections

__all__ = ["DemoReport", "run_demo"]

_SEED = 7
_GSD = 0.6  # metres per pixel
_ORIGIN = Affine(
    _GSD, 0.0, 447_000.0, 0.0, -_GSD, 5_411_000.0
)  # in UTM zone 33N; the place has no meaning
_CRS = CRS.from_epsg(32633)
_WITHIN = MatchConfig(by="distance", distance_m=6.0)  # as in the model card


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Numbers of painted, detected and matched trees."""

    painted: int
    """Trees in the scene."""
    detected: int
    """Detections."""
    matched: int
    """Detections matched one to one with painted trees within 6 m."""
    files: tuple[Path, ...]
    """The scene, the painted trees, the detections in two formats, and the preview."""

    @property
    def recall(self) -> float:
        """Share of the painted trees that were detected."""
        return self.matched / self.painted if self.painted else 0.0

    @property
    def precision(self) -> float:
        """Share of the detections that are painted trees."""
        return self.matched / self.detected if self.detected else 0.0


def run_demo(
    folder: Path,
    model: Model,
    *,
    size: int = 4096,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[DetectProgress], None] = lambda _: None,
) -> DemoReport:
    """Paint a georeferenced scene, detect its trees, and compare with what was painted.

    Args:
        folder: Gets ``scene.tif``, ``truth.gpkg``, ``trees.gpkg``, ``trees.geojson`` and
            ``preview.png``; made if missing.
        model: A model for trees.
        size: Side of the scene in pixels of 0.6 m.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        overwrite: Replace the files of an earlier demonstration.
        progress: Called after each batch.

    Raises:
        OutputError: A file is there already or cannot be written.
    """
    scene, truth, found, copy, preview = files = tuple(folder / name for name in DEMO_FILES)
    check_demo_folder(folder, overwrite=overwrite)
    _make_folder(folder)
    painting = paint_town(size, size, seed=_SEED, gsd=_GSD)
    geobox = GeoBox(size, size, _ORIGIN, _CRS)
    write_raster(scene, painting.pixels, geobox)
    trees = _to_boxes(painting.centres, painting.radii).clipped(size, size)
    painted = [SceneDetections(scene.name, geobox, trees)]
    about = {"software": "painted by geodet demo"}
    write_detections(truth, painted, ["tree"], metadata=about, overwrite=overwrite)
    report = detect_to_files(
        [scene],
        [found, copy],
        model,
        DetectConfig(),
        DetectOptions(device=device, overwrite=overwrite, preview=preview),
        progress=progress,
    )
    detections = read_detections(found, model.description.classes)
    return _compare(detections, trees, sum(report.labels.values()), files)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error}", hint="choose another folder", path=folder
        ) from error


def _to_boxes(centres: np.ndarray, radii: np.ndarray) -> Detections:
    """Put a box around each crown."""
    boxes = np.hstack([centres - radii[:, None], centres + radii[:, None]])
    return Detections(boxes, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int64))


def _compare(
    found: Detections, trees: Detections, detected: int, files: tuple[Path, ...]
) -> DemoReport:
    """Match all classes that the model finds with the painted trees."""
    as_trees = Detections(found.boxes, found.scores, np.zeros(len(found), np.int64))
    result = Comparison.of(
        as_trees, trees.boxes, trees.labels, ignored=np.zeros((0, 4)), rule=_WITHIN, gsd=_GSD
    )
    counts = count_matches([result], 0.0)
    return DemoReport(len(trees), detected, counts.matched, files)
