"""Detections on labelled images, compared with their labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from geodet.boxes import Detections
from geodet.config import MatchConfig
from geodet.errors import ModelFileError
from geodet.inference import Predictor
from geodet.metrics import ChipResult
from geodet.sampling import read_chip
from geodet.tilesets.tileset import LabelledImage

__all__ = ["compare_images", "predict_images"]

_BATCH_PIXELS = 8 * 512 * 512  # of one forward pass, whatever the size of the images

logger = logging.getLogger(__name__)


def predict_images(
    predictor: Predictor, images: Sequence[LabelledImage], bands: Sequence[int]
) -> list[Detections]:
    """Detect on whole labelled images, at their own resolution.

    Args:
        predictor: With a low score threshold, so that thresholds can be compared afterwards.
        images: Labelled images.
        bands: Bands to read, counted from 1; empty: all.

    Returns:
        For each image its detections, in the image's pixels.

    Raises:
        ModelFileError: An image has not as many bands as the model needs.
    """
    found: list[Detections] = []
    capped = 0
    for group in _batches(images):
        chips = [read_chip(image, bands) for image in group]
        for chip, image in zip(chips, group, strict=True):
            _check_bands(len(chip.pixels), len(predictor.mean), image)
        decoded = predictor(chips)
        found += [one.detections for one in decoded]
        capped += sum(one.capped for one in decoded)
    if capped:
        logger.warning(
            "%d candidate boxes were dropped by detect.max_candidates=%d",
            capped,
            predictor.max_candidates,
        )
    return found


def compare_images(
    found: Sequence[Detections],
    images: Sequence[LabelledImage],
    rule: MatchConfig,
    *,
    label: int | None = None,
) -> list[ChipResult]:
    """Compare detections with labels, image by image.

    Args:
        found: Detections of each image.
        images: The images.
        rule: When two boxes match.
        label: Compare this class alone.
    """
    results = []
    for detections, image in zip(found, images, strict=True):
        boxes, labels = image.boxes, image.labels
        if label is not None:
            detections = detections.select(detections.labels == label)  # noqa: PLW2901
            boxes, labels = boxes[labels == label], labels[labels == label]
        results.append(
            ChipResult.compare(
                detections, boxes, labels, ignored=image.ignored, rule=rule, gsd=image.gsd
            )
        )
    return results


def _check_bands(count: int, needed: int, image: LabelledImage) -> None:
    """Refuse what would broadcast: one band passes for any number of them."""
    if count != needed:
        raise ModelFileError(
            f"{image.path} has {count} bands, and the model needs {needed}",
            hint="choose bands with data.bands, or another model",
        )


def _batches(images: Sequence[LabelledImage]) -> Iterator[Sequence[LabelledImage]]:
    """Group neighbours of one size, as many as fit into a forward pass."""
    start = 0
    while start < len(images):
        size = images[start].width, images[start].height
        limit = start + max(1, _BATCH_PIXELS // (size[0] * size[1]))
        end = start + 1
        while end < min(limit, len(images)) and (images[end].width, images[end].height) == size:
            end += 1
        yield images[start:end]
        start = end
