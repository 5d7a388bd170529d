"""What trainings on chosen places share: train on some images of a tileset, trace F1 on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import geodet.training.train as training
from geodet.config import Config, DataConfig
from geodet.detection.predictor import build_predictor
from geodet.evaluation.evaluated_chips import compare_images, predict_images
from geodet.evaluation.threshold_curves import trace_curve
from geodet.models.checkpoint import load_checkpoint
from geodet.tilesets.labels import LabelledImage, Tileset

THRESHOLDS = [i / 50 for i in range(5, 46)]

Curve = dict[str, list[float]]
"""F1, precision and recall at each of the thresholds."""


def train_on(
    whole: Tileset, images: Sequence[LabelledImage], config: Config, output: Path
) -> float:
    """Train on images of a tileset, whatever their part of its split, and keep the last weights.

    Args:
        whole: The tileset.
        images: What trains.
        config: Of the training.
        output: The model file.

    Returns:
        The seconds.
    """
    shown = tuple(replace(image, split="train") for image in images)

    def only_these(_path: Path, _config: DataConfig) -> Tileset:
        return Tileset(whole.root, whole.classes, shown)

    # Without validation images training does not validate, and keeps its last weights.
    training.read_tileset = only_these
    report = training.run_training(whole.root, output, config, device="cpu", overwrite=True)
    return report.seconds


def trace_f1(model: Path, images: Sequence[LabelledImage], config: Config) -> Curve:
    """Return F1, precision and recall of a model file on images, at all thresholds."""
    predictor = build_predictor(
        load_checkpoint(model), config.detect, "cpu", score_threshold=THRESHOLDS[0]
    )
    found = predict_images(predictor, images, config.data.bands, config.detect)
    curve = trace_curve(compare_images(found, images, config.match))
    points = [curve.at(threshold) for threshold in THRESHOLDS]
    return {
        name: [round(float(getattr(point, name)), 4) for point in points]
        for name in ("f1", "precision", "recall")
    }


def best_index(curve: Curve) -> int:
    """Return the index of the threshold with the best F1."""
    return int(max(range(len(THRESHOLDS)), key=curve["f1"].__getitem__))


def count_epochs(images: Sequence[Any], chips: int, chip_size: int) -> int:
    """Return the passes over images that show about so many chips.

    Raises:
        SystemExit: That is less than one pass.
    """
    crops = sum(max(1, round(one.width * one.height / chip_size**2)) for one in images)
    if chips < crops:
        raise SystemExit(f"{chips} chips are less than an epoch of {crops}")
    return round(chips / crops)
