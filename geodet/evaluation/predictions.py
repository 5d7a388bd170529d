"""Detections on labelled images, compared with their labels."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

from geodet.config import DetectConfig, MatchConfig
from geodet.detection.predictor import Predictor
from geodet.detection.scene_run import detect_scene
from geodet.detection.scene_statistics import iter_sample_chips, measure_chips
from geodet.detection.value_range import fit_input_values
from geodet.errors import ModelFileError
from geodet.evaluation.threshold_curves import Comparison
from geodet.geometry.boxes import Detections
from geodet.models.description import ModelDescription
from geodet.models.inputs import InputValues
from geodet.raster.scene import Chip, Scene
from geodet.tilesets.labels import LabelledImage
from geodet.tilesets.tileset import read_chip

__all__ = ["choose_input_values", "compare_images", "predict_images"]

_BATCH_PIXELS = 8 * 512 * 512  # of one forward pass, whatever the size of the images
_LOOKED_AT = 49  # images tell what the values of all mean
_WHOLE_PIXELS = 1024 * 1024  # of an image that the network sees at once

logger = logging.getLogger(__name__)


def predict_images(
    predictor: Predictor,
    images: Sequence[LabelledImage],
    bands: Sequence[int],
    config: DetectConfig | None = None,
) -> list[Detections]:
    """Detect on labelled images, at their own resolution.

    The network sees images of up to 1024 x 1024 px whole. It sees larger ones through overlapping
    windows, as :func:`geodet.detection.scene_run.detect_scene` does.

    Args:
        predictor: With a low score threshold, so that thresholds can be compared afterwards.
        images: Labelled images.
        bands: Bands to read, counted from 1; empty: all.
        config: Windows, batches and readers for large images; None: the defaults.

    Returns:
        For each image its detections, in the image's pixels.

    Raises:
        ModelFileError: An image has not as many bands as the model needs.
    """
    found: list[Detections] = []
    capped = 0
    for group in _batches(images):
        if group[0].width * group[0].height > _WHOLE_PIXELS:
            parts, lost = _predict_windows(predictor, group[0], bands, config or DetectConfig())
        else:
            parts, lost = _predict_whole(predictor, group, bands)
        found += parts
        capped += lost
    if capped:
        logger.warning("%d candidate boxes were dropped by %s", capped, predictor.caps)
    return found


def choose_input_values(
    images: Sequence[LabelledImage],
    bands: Sequence[int],
    about: ModelDescription,
    config: DetectConfig,
    *,
    name: str,
) -> InputValues | None:
    """Choose what the values of labelled images mean, one for all, as for a scene.

    Args:
        images: At least one; some are looked at, evenly spread.
        bands: Bands to read, counted from 1; empty: all.
        about: The model.
        config: ``value_range``.
        name: Of the images, for the messages.

    Returns:
        See :func:`geodet.detection.value_range.fit_input_values`.
    """
    samples: list[Chip] = []
    for image in images[:: math.ceil(len(images) / _LOOKED_AT)]:
        with Scene(image.path, bands=bands) as scene:
            samples += iter_sample_chips(scene) if len(scene.bands) == len(about.bands) else ()
    types = sorted({chip.pixels.dtype.name for chip in samples})
    if not samples:
        return None  # predict_images says what is wrong
    if len(types) > 1:
        if not isinstance(config.value_range, tuple):
            logger.warning("%s: %s values are taken as they are", name, " and ".join(types))
        return None
    return fit_input_values(measure_chips(samples), name, types[0], about, config)


def compare_images(
    found: Sequence[Detections], images: Sequence[LabelledImage], rule: MatchConfig
) -> list[Comparison]:
    """Compare detections with labels, image by image.

    Args:
        found: Detections of each image.
        images: The images.
        rule: When two boxes match.
    """
    return [
        Comparison.of(
            detections,
            image.boxes,
            image.labels,
            ignored=image.ignored,
            rule=rule,
            gsd=image.gsd,
        )
        for detections, image in zip(found, images, strict=True)
    ]


def _predict_whole(
    predictor: Predictor, images: Sequence[LabelledImage], bands: Sequence[int]
) -> tuple[list[Detections], int]:
    """Detect on images of one size in one pass; gives the number of lost candidates as well."""
    chips = [read_chip(image, bands) for image in images]
    for chip, image in zip(chips, images, strict=True):
        _check_bands(len(chip.pixels), predictor, image)
    decoded = predictor(chips)
    return [one.detections for one in decoded], sum(one.capped for one in decoded)


def _predict_windows(
    predictor: Predictor, image: LabelledImage, bands: Sequence[int], config: DetectConfig
) -> tuple[list[Detections], int]:
    with Scene(image.path, bands=bands) as scene:
        _check_bands(len(scene.bands), predictor, image)
        result = detect_scene(scene, predictor, config)
    return [result.detections], result.capped


def _check_bands(count: int, predictor: Predictor, image: LabelledImage) -> None:
    """Refuse what would broadcast: one band passes for any number of them."""
    if count != len(predictor.values.mean):
        raise ModelFileError(
            f"{image.path} has {count} bands, and the model needs {len(predictor.values.mean)}",
            hint="choose bands with data.bands, or another model",
        )


def _batches(images: Sequence[LabelledImage]) -> Iterator[Sequence[LabelledImage]]:
    """Group neighbours of one size, as many as fit into a forward pass; large ones stay alone."""
    start = 0
    while start < len(images):
        size = images[start].width, images[start].height
        area = size[0] * size[1]
        limit = start + (1 if area > _WHOLE_PIXELS else max(1, _BATCH_PIXELS // area))
        end = start + 1
        while end < min(limit, len(images)) and (images[end].width, images[end].height) == size:
            end += 1
        yield images[start:end]
        start = end
