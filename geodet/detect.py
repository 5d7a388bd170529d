"""Detect objects in scenes and write them to a GIS file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import geodet
from geodet.boxes import Detections
from geodet.config import DetectConfig
from geodet.errors import ConfigError, OutputError
from geodet.fitting import check_scene, open_for_model
from geodet.inference import build_predictor
from geodet.models.checkpoint import Model, ModelDescription
from geodet.outputs import check_destination
from geodet.preview import draw_preview
from geodet.vectors import SceneDetections, check_output, common_crs, write_detections
from geodet.windowed import DetectProgress, SceneResult, detect_scene

__all__ = ["DetectProgress", "DetectReport", "SceneResult", "detect", "detect_scene"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectReport:
    """What a run found and how."""

    outputs: tuple[Path, ...]
    """The files written."""
    detections: dict[str, int]
    """Objects by scene."""
    labels: dict[str, int]
    """Objects by class."""
    chips: int
    """Windows looked at."""
    empty_chips: int
    """Windows without a valid pixel, which were skipped."""
    capped: int
    """Candidates lost to the caps of the configuration; 0 unless one binds."""
    megapixels: float
    """Of all scenes, at the resolution of detection."""
    seconds: float
    """From opening the first scene to the last byte written."""
    device: str
    """Where the network ran."""


def detect(
    scenes: Sequence[str | Path],
    outputs: Sequence[Path],
    model: Model,
    config: DetectConfig,
    *,
    device: str = "auto",
    overwrite: bool = False,
    preview: Path | None = None,
    progress: Callable[[DetectProgress], None] = lambda _: None,
) -> DetectReport:
    """Detect objects in scenes and write them, all scenes to one layer.

    Args:
        scenes: Rasters, anything that GDAL opens.
        outputs: Files with the same objects, ``.gpkg`` or ``.geojson``.
        model: What to look for.
        config: How.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        overwrite: Replace files that are there.
        preview: A PNG to draw the detections over the scene; for one scene only.
        progress: Called after each batch.

    Raises:
        SceneError: A scene cannot be read.
        ModelFileError: A scene has not the bands that the model needs.
        OutputError: An output is there already or cannot be written.
    """
    started = time.monotonic()
    _check_outputs(scenes, outputs, preview, overwrite=overwrite)
    _check_scenes(scenes, model.description, config)
    predictor = build_predictor(model, config, device)
    results: list[SceneResult] = []
    parts: list[SceneDetections] = []
    classes = model.description.classes
    for path in scenes:
        with open_for_model(path, model.description, config) as scene:
            result = detect_scene(scene, predictor, config, progress)
            results.append(result)
            parts.append(SceneDetections(scene.name, scene.geobox, result.detections))
            if preview:
                draw_preview(preview, scene, result.detections, classes, overwrite=overwrite)
    metadata = _provenance(model, config)
    for output in outputs:
        write_detections(output, parts, classes, metadata=metadata, overwrite=overwrite)
    capped = sum(result.capped for result in results)
    if capped:
        logger.warning(
            "%d candidate boxes were dropped by %s; raise it, or the score threshold",
            capped,
            predictor.caps,
        )
    return DetectReport(
        outputs=tuple(outputs),
        detections=_count_by_scene(parts),
        labels=_count_by_class(parts, classes),
        chips=sum(result.chips for result in results),
        empty_chips=sum(result.empty_chips for result in results),
        capped=capped,
        megapixels=sum(result.pixels for result in results) / 1e6,
        seconds=time.monotonic() - started,
        device=str(predictor.device),
    )


def _count_by_scene(parts: Sequence[SceneDetections]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in parts:  # scenes of two folders may share a name
        counts[part.scene] = counts.get(part.scene, 0) + len(part.detections)
    return counts


def _count_by_class(parts: Sequence[SceneDetections], classes: Sequence[str]) -> dict[str, int]:
    labels = Detections.concatenate([part.detections for part in parts]).labels
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return dict(zip(classes, counts, strict=True))


def _check_outputs(
    scenes: Sequence[str | Path], outputs: Sequence[Path], preview: Path | None, *, overwrite: bool
) -> None:
    """Refuse at the door what would fail at the end, or destroy a scene."""
    for output in outputs:
        check_output(output, overwrite=overwrite)
    if preview is not None:
        check_destination(preview, (".png",), overwrite=overwrite)
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


def _check_scenes(
    scenes: Sequence[str | Path], about: ModelDescription, config: DetectConfig
) -> None:
    """Refuse before the work begins what would lose the work on the scenes before."""
    boxes = [check_scene(path, about, config) for path in scenes]
    nothing = Detections.empty()
    common_crs(
        [SceneDetections(str(p), box, nothing) for p, box in zip(scenes, boxes, strict=True)]
    )


def _provenance(model: Model, config: DetectConfig) -> dict[str, str]:
    """Say in the output what made it."""
    return {
        "software": f"geodet {geodet.__version__}",
        "torch": torch.__version__,
        "model": model.description.name,
        "model_sha256": model.digest,
        "configuration": config.model_dump_json(exclude_none=True),
    }
