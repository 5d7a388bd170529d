"""Detections in the pixels of labelled chips, with the labels of these chips."""

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
    """Read what somebody found on labelled chips; the names of their files say which is which.

    Args:
        detections: COCO results or YOLO text, see :func:`read_pixel_results`.
        tileset: The labels.
        images: Those of its images that count.
        config: ``data.one_class`` and ``data.ignore_classes``.
        score_field: Attribute with the score; empty: all are equally sure.

    Returns:
        A sample for each image, and the names of the classes.

    Raises:
        VectorError: The detections are broken, of none of the images, or two images share a name.
        ConfigError: The classes of the two have nothing in common.
    """
    if not is_pixel_results(detections):
        raise VectorError(
            f"{detections} is neither a JSON list of COCO results nor a folder of YOLO text",
            hint="compare a vector file with --labels, a vector file, too",
        )
    results = read_pixel_results(detections, score_field=score_field)
    names = [image.path.name for image in images]
    _check_names(names, results)
    found = [results.of(image.path.name, (image.width, image.height)) for image in images]
    named = sorted({name for objects in found for name in objects.names})
    classes, number_of = choose_classes(named, tileset.classes, config)
    truth = number_of(tileset.classes)
    samples = []
    for image, objects in zip(images, found, strict=True):
        labels = number_of(objects.names)
        detected = Detections(objects.boxes, objects.scores.astype(np.float32), labels)
        samples.append(
            EvaluatedImage(
                name=image.path.name,
                detections=detected.select(labels >= 0),
                boxes=image.boxes,
                labels=truth[image.labels],
                ignored=image.ignored,
                gsd=image.gsd,
            )
        )
    return samples, classes


def _check_names(names: Sequence[str], results: PixelResults) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise VectorError(
            f"two of the labelled images are called {twice}, so that nobody can tell whose the"
            f" objects in {results.path} are",
            hint="rename the images",
        )
    known = {Path(name).stem for name in names} if results.are_shares else set(names)
    others = sorted(set(results.by_image) - known)
    if others and not known & set(results.by_image):
        raise VectorError(
            f"{results.path} has objects of {others[0]}, and of none of the {len(names)} images",
            hint="images are known by the names of their files; check --split, too",
        )
    if others:
        logger.warning("%s: %d images are not of this split", results.path, len(others))
