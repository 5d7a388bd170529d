"""Detect on the labelled chips of a tileset, with the classes that the chips are labelled with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from geodet.config import Config
from geodet.detection.predictor import build_predictor, with_input_values
from geodet.errors import TilesetError
from geodet.evaluation.evaluated_chips import choose_input_values, predict_images
from geodet.evaluation.evaluated_classes import match_classes, renamed_classes
from geodet.evaluation.measures import EvaluatedImage
from geodet.evaluation.thresholds_in_use import LOWEST_SCORE
from geodet.geometry.boxes import Detections
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.model import Model
from geodet.tilesets.class_names import join_names
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.splits import Part
from geodet.tilesets.tileset import read_tileset

__all__ = ["detect_images", "lowest_threshold", "read_split", "tileset_thresholds"]

logger = logging.getLogger(__name__)


def read_split(
    data: Path, split: Part, config: Config, *, other_classes: Sequence[str] = ()
) -> tuple[Tileset, Sequence[LabelledImage]]:
    """Read a tileset and return it with the images of one part of its split.

    Args:
        data: The tileset.
        split: The part.
        config: ``data``.
        other_classes: Classes of a model, which ``data.class_map`` may rename as well.

    Raises:
        TilesetError: The part is empty or the data is broken.
    """
    tileset = read_tileset(data, config.data, part=split, other_classes=other_classes)
    images = tileset.split(split)
    if not images:
        parts = [name for name in ("train", "val", "test") if tileset.split(name)]
        raise TilesetError(
            f"{data} has no {split} images",
            hint=f"choose another part with split (--split): {', '.join(parts)}, or all",
            path=data,
        )
    return tileset, images


def detect_images(
    model: Model,
    tileset: Tileset,
    images: Sequence[LabelledImage],
    config: Config,
    device: str,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[EvaluatedImage]:
    """Detect on labelled images, down to low scores, with the classes of the tileset.

    Args:
        model: Weights and description.
        tileset: The tileset, whose classes the detections get.
        images: Images of the tileset to search.
        config: Settings of the detection, and how the labels were read.
        device: Such as ``cpu`` or ``cuda:0``.
        progress: Called with the number of images done and to do.

    Returns:
        The images in their order, with boxes in the pixels of the chips.

    Raises:
        ModelFileError: The tileset has a class that the model lacks.
    """
    about = model.description
    label_of = match_classes(about, tileset.classes, tileset.root, config)
    own = renamed_classes(about.classes, config)
    _report_other_name(own, tileset.classes)
    _report_not_counted(own, label_of, config)
    lowest = lowest_threshold(model, config)
    predictor = build_predictor(model, config.detect, device, score_threshold=lowest)
    chosen = choose_input_values(
        images, config.data.bands, about, config.detect, name=str(tileset.root)
    )
    predictor = with_input_values(predictor, chosen)
    bands = config.data.bands
    found = predict_images(
        predictor, images, bands, config.detect, wanted=about.bands, progress=progress
    )
    return [
        EvaluatedImage(
            name=image.path.name,
            detections=_relabelled(detections, label_of),
            boxes=image.boxes,
            labels=image.labels,
            ignored=image.ignored,
            gsd=image.gsd,
            oriented=image.oriented,
            steps=image.steps,
        )
        for detections, image in zip(found, images, strict=True)
    ]


def tileset_thresholds(model: Model, config: Config, tileset: Tileset) -> list[float]:
    """Return the score threshold of each class of a tileset."""
    own = choose_thresholds(model.description, config.detect.score_threshold)
    label_of = match_classes(model.description, tileset.classes, tileset.root, config)
    of_label = [
        [threshold for threshold, one in zip(own, label_of, strict=True) if one == label]
        for label in range(len(tileset.classes))
    ]
    return [min(thresholds) for thresholds in of_label]  # several classes may have become one


def lowest_threshold(model: Model, config: Config) -> float:
    """Return the score threshold that detections need for every measure."""
    return min(LOWEST_SCORE, *choose_thresholds(model.description, config.detect.score_threshold))


def _report_other_name(own: Sequence[str], labelled: Sequence[str]) -> None:
    """Warn where the only class of a model is compared with labels of another name."""
    if len(set(own)) == len(labelled) == 1 and not join_names(own, labelled):
        logger.warning(
            "detections of the class %r are compared with labels of the class %r",
            own[0],
            labelled[0],
        )


def _report_not_counted(own: Sequence[str], label_of: Sequence[int], config: Config) -> None:
    """Warn of the classes of a model that the labels lack, unless they are left out on purpose."""
    for name, label in sorted(set(zip(own, label_of, strict=True))):
        if label < 0 and name not in config.data.ignore_classes:
            logger.warning("detections of the class %r do not count: no label has this class", name)


def _relabelled(detections: Detections, label_of: Sequence[int]) -> Detections:
    """Renumber the classes as in the tileset, and drop detections of classes that it lacks."""
    labels = np.asarray(label_of, np.int64)[detections.labels]
    return replace(detections, labels=labels).select(labels >= 0)
