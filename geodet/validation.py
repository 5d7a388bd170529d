"""Detections on labelled images, compared with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from geodet.boxes import Detections
from geodet.config import MatchConfig
from geodet.errors import ModelFileError
from geodet.inference import Predictor
from geodet.metrics import ChipResult
from geodet.sampling import read_chip
from geodet.tilesets.tileset import LabelledImage

__all__ = ["compare_images", "predict_images"]

_BATCH = 8


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
    for group in _batches(images):
        chips = [read_chip(image, bands) for image in group]
        for chip, image in zip(chips, group, strict=True):
            _check_bands(len(chip.pixels), len(predictor.mean), image)
        found += [one.detections for one in predictor(chips)]
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
    for start in range(0, len(images), _BATCH):
        yield images[start : start + _BATCH]
