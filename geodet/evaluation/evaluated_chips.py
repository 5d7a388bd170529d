"""Read detections in the pixels of labelled chips, together with the labels of these chips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geodet.config import Config
from geodet.errors import VectorError
from geodet.evaluation.evaluated_scene import choose_classes
from geodet.evaluation.measures import EvaluatedImage
from geodet.geometry.boxes import Detections
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.pixel_results import PixelResults, is_pixel_results, read_pixel_results

__all__ = ["read_evaluated_chips"]

logger = logging.getLogger(__name__)


def read_evaluated_chips(
    detections: Path,
    tileset: Tileset,
    images: Sequence[LabelledImage],
    config: Config,
    *,
    score_field: str = "score",
) -> tuple[list[EvaluatedImage], tuple[str, ...]]:
    """Read detections on labelled chips, which are identified by the names of their files.

    Args:
        detections: COCO results or YOLO text, see :func:`read_pixel_results`.
        tileset: The labels.
        images: Images of the tileset to evaluate.
        config: ``data.class_map``, ``data.one_class`` and ``data.ignore_classes``.
        score_field: Key of the score in COCO results; empty: every detection has score 1.

    Returns:
        The detections and labels of each image, and the names of the classes.

    Raises:
        VectorError: The detections are broken, belong to none of the images, or two images share a
            name.
        ConfigError: The detections and the labels have no class in common.
    """
    if not is_pixel_results(detections):
        raise VectorError(
            f"{detections} is neither a JSON list of COCO results nor a folder of YOLO text",
            hint="to evaluate a vector file, give the labels as a vector file, too: --labels",
            path=detections,
        )
    results = read_pixel_results(detections, score_field=score_field)
    names = [image.path.name for image in images]
    _check_names(names, results)
    found = [results.of(image.path.name, (image.width, image.height)) for image in images]
    mapped = config.data.class_map
    names_of = [[mapped.get(name, name) for name in objects.names] for objects in found]
    named = sorted({name for listed in names_of for name in listed})
    classes, number_of = choose_classes(named, tileset.classes, config)
    truth = number_of(tileset.classes)
    evaluated = []
    for image, objects, listed in zip(images, found, names_of, strict=True):
        labels = number_of(listed)
        detected = Detections(objects.boxes, objects.scores.astype(np.float32), labels)
        evaluated.append(
            EvaluatedImage(
                name=image.path.name,
                detections=detected.select(labels >= 0),
                boxes=image.boxes,
                labels=truth[image.labels],
                ignored=image.ignored,
                gsd=image.gsd,
            )
        )
    return evaluated, classes


def _check_names(names: Sequence[str], results: PixelResults) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise VectorError(
            f"two labelled images have the name {twice}, by which {results.path} identifies images",
            hint="rename one of them",
        )
    stems = [Path(name).stem for name in names]
    if results.are_shares and len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise VectorError(
            f"two labelled images have the name {twice} but for the suffix, and {results.path} has"
            f" one {twice}.txt",
            hint="rename one of them, or evaluate COCO results",
        )
    known = set(stems) if results.are_shares else set(names)
    others = sorted(set(results.by_image) - known)
    if others and not known & set(results.by_image):
        raise VectorError(
            f"{results.path} has objects of {others[0]}, but of none of the {len(names)} images",
            hint="the names of the image files must agree; check --split, too",
            path=results.path,
        )
    if others:
        logger.warning(
            "%s: %d images are not in this split and are left out", results.path, len(others)
        )
