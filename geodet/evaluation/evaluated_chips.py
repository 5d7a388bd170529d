"""Labelled chips with detections: a model's, or those that a file holds."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from geodet.config import Config, DetectConfig, MatchConfig
from geodet.detection.predictor import Predictor
from geodet.detection.scene_run import detect_scene
from geodet.detection.scene_statistics import iter_sample_chips, measure_chips
from geodet.detection.value_range import fit_input_values
from geodet.errors import ModelFileError, VectorError
from geodet.evaluation.evaluated_classes import choose_classes, renamed_classes
from geodet.evaluation.measures import EvaluatedImage
from geodet.evaluation.threshold_curves import Comparison
from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import Detections
from geodet.models.description import ModelDescription
from geodet.models.engine import Outputs
from geodet.models.input_values import InputValues
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene
from geodet.tilesets.displayed_images import open_image, read_chip
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.pixel_results import (
    PixelResults,
    is_pixel_results,
    note_doubtful_results,
    read_pixel_results,
)

__all__ = [
    "check_band_count",
    "choose_input_values",
    "compare_images",
    "predict_images",
    "read_evaluated_chips",
    "sample_images",
]

_BATCH_PIXELS = 8 * 512 * 512  # pixels of one forward pass, whatever the size of the images
_SAMPLED = 49  # images at most that are read to choose the value range of all
_WHOLE_PIXELS = 1024 * 1024  # pixels of an image that the network takes whole

logger = logging.getLogger(__name__)


def predict_images(
    predictor: Predictor,
    images: Sequence[LabelledImage],
    bands: Sequence[int],
    config: DetectConfig | None = None,
    *,
    wanted: Sequence[str] = (),
    watch: Callable[[Sequence[LabelledImage], Outputs], None] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Detections]:
    """Detect on labelled images, at their own resolution.

    The network takes images of up to 1024 x 1024 px whole. It takes larger ones in overlapping
    windows, as :func:`geodet.detection.scene_run.detect_scene` does.

    Args:
        predictor: The model, with a low score threshold, so that thresholds can be compared.
        images: Labelled images.
        bands: Bands to read, counted from 1; empty: all, or the wanted ones.
        wanted: Names of the model's bands, see :func:`geodet.tilesets.displayed_images.open_image`.
        config: Windows, batches and reader threads for large images; None: the defaults.
        watch: Called with the images that the network takes whole, and its outputs.
        progress: Called with the number of images done and of all.

    Returns:
        The detections of each image, in its pixels.

    Raises:
        ModelFileError: The number of bands of an image is not that of the model.
    """
    found: list[Detections] = []
    capped = 0
    progress(0, len(images))
    for group in _batches(images):
        if group[0].width * group[0].height > _WHOLE_PIXELS:
            with open_image(group[0], bands, wanted=wanted) as scene:
                parts, lost = _predict_windows(predictor, group[0], scene, config)
        else:
            chips = [read_chip(image, bands, wanted=wanted) for image in group]
            parts, lost = _predict_whole(predictor, group, chips, watch)
        found += parts
        progress(len(found), len(images))
        capped += lost
    if capped:
        # Each epoch of a training would repeat it.
        logger.log(
            logging.DEBUG if watch is not None else logging.INFO,
            "%d candidate boxes with the lowest scores were dropped by %s; AP may be slightly "
            "low, precision and recall at the score threshold are usually unaffected",
            capped,
            predictor.caps,
        )
    return found


def choose_input_values(
    images: Sequence[LabelledImage],
    bands: Sequence[int],
    about: ModelDescription,
    config: DetectConfig,
    *,
    name: str,
) -> InputValues | None:
    """Choose the value range of labelled images, one for all of them.

    Args:
        images: At least one; up to 49 are read, evenly spread.
        bands: Bands to read, counted from 1; empty: those that the model needs.
        about: The model.
        config: ``value_range``.
        name: Name of the images, for the log.

    Returns:
        See :func:`geodet.detection.value_range.fit_input_values`.
    """
    samples: list[Chip] = []
    for image in sample_images(images):
        with open_image(image, bands, wanted=about.bands) as scene:
            samples += iter_sample_chips(scene) if len(scene.bands) == len(about.bands) else ()
    types = sorted({chip.pixels.dtype.name for chip in samples})
    if not samples:
        return None  # predict_images reports the wrong number of bands
    if len(types) > 1:
        if not isinstance(config.value_range, tuple):
            logger.warning(
                "%s: the images hold %s values, which are not rescaled", name, " and ".join(types)
            )
        return None
    return fit_input_values(measure_chips(samples), name, types[0], about, config)


def sample_images(images: Sequence[LabelledImage]) -> Sequence[LabelledImage]:
    """Choose up to 49 of at least one image, evenly spread."""
    return images[:: math.ceil(len(images) / _SAMPLED)]


def compare_images(
    found: Sequence[Detections], images: Sequence[LabelledImage], rule: MatchConfig
) -> list[Comparison]:
    """Compare detections with labels, image by image.

    Args:
        found: Detections of each image, in its pixels.
        images: The labelled images, in the same order.
        rule: When two boxes match.
    """
    return [
        Comparison.of(
            detections,
            image.boxes,
            image.labels,
            ignored=image.ignored,
            rule=rule,
            gsd=image.gsd if image.steps is None else image.steps,
            oriented=image.oriented,
        )
        for detections, image in zip(found, images, strict=True)
    ]


def _predict_whole(
    predictor: Predictor,
    images: Sequence[LabelledImage],
    chips: Sequence[Chip],
    watch: Callable[[Sequence[LabelledImage], Outputs], None] | None,
) -> tuple[list[Detections], int]:
    """Detect on images of one size in one pass; return the number of dropped candidates as well."""
    for chip, image in zip(chips, images, strict=True):
        check_band_count(len(chip.pixels), len(predictor.values.mean), image.path)
    started = predictor.start(predictor.stack(chips))
    if watch is not None:
        watch(images, started.outputs)
    decoded = predictor.finish(started)
    return [one.detections for one in decoded], sum(one.capped for one in decoded)


def _predict_windows(
    predictor: Predictor, image: LabelledImage, scene: Scene, config: DetectConfig | None
) -> tuple[list[Detections], int]:
    """Detect on a large image in windows; return the number of dropped candidates as well."""
    check_band_count(len(scene.bands), len(predictor.values.mean), image.path)
    result = detect_scene(scene, predictor, config or DetectConfig())
    return [result.detections], result.capped


def check_band_count(count: int, needed: int, path: Path) -> None:
    """Check the number of bands: a single band would be broadcast to any number.

    Args:
        count: Bands that are read of an image.
        needed: Bands of the model.
        path: The image.

    Raises:
        ModelFileError: They differ.
    """
    if count != needed:
        raise ModelFileError(
            f"{path} has {count} bands, and the model needs {needed}",
            hint="choose the bands with data.bands, or use another model",
            path=path,
        )


def _batches(images: Sequence[LabelledImage]) -> Iterator[Sequence[LabelledImage]]:
    """Yield runs of images of one size, as many as fit into a forward pass; large ones alone."""
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


def read_evaluated_chips(
    detections: Path,
    tileset: Tileset,
    images: Sequence[LabelledImage],
    config: Config,
    *,
    score_field: str = "score",
) -> tuple[list[EvaluatedImage], tuple[str, ...], dict[str, int], Floats]:
    """Read detections on labelled chips, which are identified by the names of their files.

    Args:
        detections: COCO results or YOLO text, see :func:`read_pixel_results`.
        tileset: The labels.
        images: Images of the tileset to evaluate.
        config: ``data.class_map``, ``data.one_class`` and ``data.ignore_classes``.
        score_field: Key of the score in COCO results; empty: every detection has score 1.

    Returns:
        The detections and labels of each image, the names of the classes, the index of the class
        that each class of the detections counts as, -1 for one that does not count, and all scores
        that count as the file has them, not in float32.

    Raises:
        VectorError: The detections are broken, belong to none of the images, or two images share a
            name.
        ConfigError: The detections and the labels have no class in common.
    """
    if not is_pixel_results(detections):
        raise VectorError(
            f"{detections} is neither a JSON list of COCO results nor a folder of YOLO text",
            hint="to evaluate a vector file, give the labels as a vector file, too: labels "
            "(--labels)",
            path=detections,
        )
    results = read_pixel_results(detections, score_field=score_field)
    names = [image.path.name for image in images]
    _check_names(names, results)
    found = [results.of(image.path.name, (image.width, image.height)) for image in images]
    for note in note_doubtful_results(results, found, images):
        logger.warning("%s", note)
    own = sorted({name for objects in found for name in objects.names})
    new_names = renamed_classes(own, config)
    classes, number_of = choose_classes(new_names, tileset.classes, config)
    counted_as = dict(zip(own, number_of(new_names).tolist(), strict=True))
    truth = number_of(tileset.classes)
    evaluated, kept = [], [np.zeros(0)]
    for image, objects in zip(images, found, strict=True):
        labels = np.array([counted_as[name] for name in objects.names], np.int64)
        scores, turned = objects.scores.astype(np.float32), objects.oriented
        detected = (
            Detections(objects.boxes, scores, labels)
            if turned is None
            else Detections.of_oriented(turned, scores, labels)
        )
        kept.append(objects.scores[labels >= 0])
        evaluated.append(
            EvaluatedImage(
                name=image.path.name,
                detections=detected.select(labels >= 0),
                boxes=image.boxes,
                labels=truth[image.labels],
                ignored=image.ignored,
                gsd=image.gsd,
                oriented=image.oriented,
                steps=image.steps,
            )
        )
    return evaluated, classes, counted_as, np.concatenate(kept)


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
            f"two labelled images are called {twice}, with different extensions, but "
            f"{results.path} has only one {twice}.txt",
            hint="rename one of them, or evaluate COCO results",
        )
    known = set(stems) if results.are_shares else set(names)
    others = sorted(set(results.by_image) - known)
    if others and not known & set(results.by_image):
        raise VectorError(
            f"{results.path} has objects of {others[0]}, but of none of the {len(names)} images",
            hint="the names of the image files must agree; check the split (--split), too",
            path=results.path,
        )
    if others:
        logger.warning(
            "%s: %d images are not in this split and are left out", results.path, len(others)
        )
