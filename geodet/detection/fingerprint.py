"""The fingerprint of a run: everything that its rows depend on; only an equal run may continue."""

from __future__ import annotations

import hashlib
from pathlib import Path

from geodet.config import DetectConfig
from geodet.config.reading_config import ReadingConfig
from geodet.detection.detect_options import DetectOptions
from geodet.detection.detection_plan import DetectionPlan
from geodet.detection.journal import scene_key
from geodet.detection.predictor import PredictorFacts
from geodet.files.version import __version__
from geodet.models.model import Model
from geodet.raster.scene_identity import identify_scene
from geodet.vector.formats import path_of

__all__ = ["fingerprint_run"]

_NO_EFFECT = {"workers", "require_crs", *ReadingConfig.model_fields}
"""Settings that change no row."""


def fingerprint_run(
    plan: DetectionPlan,
    model: Model,
    config: DetectConfig,
    options: DetectOptions,
    predictor: PredictorFacts,
) -> dict[str, str]:
    """Return the scenes, model, settings, area and software of a run, as texts by name.

    Args:
        plan: The scenes.
        model: What to look for.
        config: The settings; those that are None are chosen by rules of this version of geodet.
        options: The area of interest. What is written, and where, changes no row.
        predictor: The network and its device, of which only the kind counts.
    """
    settings = config.model_dump(mode="json", exclude=_NO_EFFECT)
    texts = {
        "geodet": __version__,
        **predictor.software,
        "device": predictor.device.type,
        "precision": predictor.precision,
        "model": f"{model.description.name} {model.digest}",
        **{f"detect.{name}": str(value) for name, value in settings.items()},
        "bounds": str(options.bounds and (*options.bounds, options.bounds_crs)),
        "aoi": str(options.aoi and _hash_area(options.aoi)),
        "scenes": str(len(plan.scenes)),
    }
    for number, scene in enumerate(plan.scenes, start=1):
        texts[scene_key(number)] = f"{scene.path}, {identify_scene(scene.path)}"
        texts[f"pixels of scene {number}"] = f"{scene.dtype}, {scene.geobox!r}"
    return texts


def _hash_area(path: Path) -> str:
    """Return the path of an area of interest, with a hash of its file."""
    file = Path(path_of(path))
    if not file.is_file():
        return str(path)
    return f"{path} {hashlib.sha256(file.read_bytes()).hexdigest()}"
