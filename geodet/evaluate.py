"""Measure a model on labelled chips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodet.boxes import Detections
from geodet.config import Config, MatchConfig
from geodet.errors import ModelFileError, TilesetError
from geodet.inference import build_predictor
from geodet.metrics import Scores, best_scores, score
from geodet.models.checkpoint import Model
from geodet.tilesets.splits import Split
from geodet.tilesets.tileset import Tileset, read_tileset
from geodet.validation import compare_images, predict_images

__all__ = ["EvaluateReport", "evaluate"]

logger = logging.getLogger(__name__)

_LOWEST_SCORE = 0.05  # of the detections among which the best threshold is sought


@dataclass(frozen=True, slots=True)
class EvaluateReport:
    """How good a model is on the chips of one split."""

    split: Split
    """Which chips."""
    images: int
    """Number of chips."""
    rule: MatchConfig
    """When a detection counted as found."""
    overall: Scores
    """All classes, at the threshold that detect would use."""
    by_class: dict[str, Scores]
    """Each class at that threshold."""
    best: Scores
    """All classes, at the threshold that is best on these very chips."""


def evaluate(
    model: Model, data: Path, config: Config, *, split: Split = "val", device: str = "auto"
) -> EvaluateReport:
    """Detect on labelled chips and compare, matching one to one.

    Args:
        model: What to measure.
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`.
        config: All settings; ``match`` says when a detection counts.
        split: ``val`` or ``train``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        TilesetError: The split is empty or the data is broken.
        ModelFileError: The data has a class that the model lacks.
    """
    tileset = read_tileset(data, config.data)
    images = tileset.split(split)
    if not images:
        raise TilesetError(f"{data} has no {split} images", hint="choose the other --split")
    label_of = _match_classes(model, tileset)
    lowest = min(_LOWEST_SCORE, _threshold(model, config))
    predictor = build_predictor(model, config.detect, device, score_threshold=lowest)
    found = predict_images(predictor, images, config.data.bands)
    found = [_relabelled(detections, label_of) for detections in found]
    threshold = _threshold(model, config)
    results = compare_images(found, images, config.match)
    by_class = {
        name: score(compare_images(found, images, config.match, label=label), threshold)
        for label, name in enumerate(tileset.classes)
    }
    return EvaluateReport(
        split=split,
        images=len(images),
        rule=config.match,
        overall=score(results, threshold),
        by_class=by_class,
        best=best_scores(results, lowest=lowest),
    )


def _threshold(model: Model, config: Config) -> float:
    chosen = config.detect.score_threshold
    return model.description.score_threshold if chosen is None else chosen


def _match_classes(model: Model, tileset: Tileset) -> list[int]:
    """Give the tileset's index of each class of the model; -1 for one that is not labelled.

    With one class on either side the names do not matter: a tree is a tree.
    """
    own = model.description.classes
    if len(own) == len(tileset.classes) == 1:
        if own != tileset.classes:
            logger.warning("taking the labels %r for %r", tileset.classes[0], own[0])
        return [0]
    for name in tileset.classes:
        if name not in own:
            raise ModelFileError(
                f"{tileset.root} has the class {name!r}, which {model.description.name} lacks",
                hint=f"it knows {', '.join(own)}; leave a class out with data.ignore_classes",
            )
    return [tileset.classes.index(name) if name in tileset.classes else -1 for name in own]


def _relabelled(detections: Detections, label_of: Sequence[int]) -> Detections:
    """Number the labels as the tileset does; drop those that it does not have."""
    labels = np.asarray(label_of, np.int64)[detections.labels]
    return Detections(detections.boxes, detections.scores, labels).select(labels >= 0)
