"""Adapt the scores and thresholds of a model to labels of a place, without training."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geodet.config import Config, DetectConfig, MatchConfig
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.errors import ModelFileError, TilesetError
from geodet.evaluation.calibrated_files import as_calibrated, write_calibrated
from geodet.evaluation.calibration import (
    ScoreScale,
    collect_outcomes,
    fit_scale,
    measure_reliability,
)
from geodet.evaluation.chip_bands import report_chip_bands
from geodet.evaluation.counts_in_use import (
    count_held_out,
    count_in_use,
    with_best_thresholds,
)
from geodet.evaluation.evaluated_classes import number_in_model
from geodet.evaluation.evaluated_scene import read_evaluated_scene
from geodet.evaluation.measures import EvaluatedImage
from geodet.evaluation.model_on_chips import detect_images, read_split
from geodet.evaluation.threshold_curves import Comparison, MatchCounts
from geodet.files.outputs import check_apart, check_destination, int8_path
from geodet.geometry.arrays import Ints
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.description import ModelDescription
from geodet.models.model import Model
from geodet.models.retinanet import RetinaNet
from geodet.tilesets.splits import Part
from geodet.tilesets.tile_inputs import LabelledArea

__all__ = ["CalibrateReport", "calibrate_on_chips", "calibrate_on_scene"]

_LOWEST_SCORE = 0.02  # of the detections that are calibrated
_FEW = 30  # right and wrong detections of a class below which it shares the scale of all
_FOLDS = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CalibrateReport:
    """A calibrated model, and what to expect of it.

    Example:
        >>> report = geodet.calibrate("urban-trees", folder / "here.safetensors", data=tiles)
        >>> report.error_after < report.error_before
        True
    """

    output: Path
    """The model file."""
    threshold: float
    """Score threshold with the best F1 on all labels and classes; it applies to classes without
    their own.
    """
    expected: MatchCounts
    """Counts of the calibrated model at the thresholds that :func:`detect` and :func:`evaluate`
    apply: those of the classes, or those of the settings. With several images, they are counted on
    labels that were not used to choose the scale and the threshold."""
    is_held_out: bool
    """Whether the expected counts are of labels that were not used to choose the scale and the
    threshold."""
    before: MatchCounts
    """The same counts for the model before the calibration."""
    error_before: float
    """Expected calibration error of the scores as they were, 0 to 1."""
    error_after: float
    """Expected calibration error of the calibrated scores, on the labels of ``expected``."""
    scales: dict[str, ScoreScale]
    """The change of the scores of each class."""
    thresholds: dict[str, float]
    """Best score threshold of each class, where several have enough labels; else empty."""


def calibrate_on_chips(
    model: Model,
    output: Path,
    data: Path,
    config: Config,
    *,
    split: Part = "all",
    device: str = "auto",
    overwrite: bool = False,
) -> CalibrateReport:
    """Calibrate a model on labelled chips and write it to a new file.

    Args:
        model: A model with PyTorch weights; it is not changed.
        output: The new model file, ``.safetensors``.
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`.
        config: All settings; ``match`` defines when a detection is right, and
            ``detect.score_threshold`` which detections the counts before and after are of.
        split: ``train``, ``val``, ``test``, or ``all`` images whatever their part.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        overwrite: Replace an existing file.

    Raises:
        TilesetError: The part of the split is empty, the data is broken or has no object.
        ModelFileError: The data has a class that the model lacks, the model is an ONNX file, or its
            scores do not tell right from wrong.
        ConfigError: A threshold of the settings is of a class that the model lacks.
        OutputError: The output exists, is the model itself, or cannot be written.
    """
    _check(model, output, [data], overwrite=overwrite)
    own = model.description.classes
    tileset, images = read_split(data, split, config, other_classes=own)
    report_chip_bands(images, config.data.bands, model.description)
    detect = _down_to_low_scores(model, config)
    low = config.model_copy(update={"detect": detect})
    model = as_calibrated(model)
    evaluated = detect_images(model, tileset, images, low, device)
    return _calibrate(model, output, evaluated, tileset.classes, config, source=data.name)


def calibrate_on_scene(
    model: Model,
    output: Path,
    scene: Path,
    labels: Path,
    config: Config,
    *,
    area: LabelledArea | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> CalibrateReport:
    """Calibrate a model on a scene whose objects are labelled, and write it to a new file.

    Args:
        model: A model with PyTorch weights; it is not changed.
        output: The new model file, ``.safetensors``.
        scene: A raster.
        labels: A vector file with points or polygons.
        config: All settings; ``match`` defines when a detection is right.
        area: The part that was labelled; None: the whole scene.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        overwrite: Replace an existing file.

    Raises:
        SceneError: The scene cannot be read.
        VectorError: The labels cannot be read.
        TilesetError: No object is labelled.
        ModelFileError: As for :func:`calibrate_on_chips`.
        ConfigError: A threshold of the settings is of a class that the model lacks.
        OutputError: The output exists, is the model itself, or cannot be written.
    """
    _check(model, output, [scene, labels], overwrite=overwrite)
    detect = _down_to_low_scores(model, config)
    model = as_calibrated(model)
    with tempfile.TemporaryDirectory(prefix="geodet-calibrate-") as folder:
        found = Path(folder) / "found.gpkg"
        detect_to_files([scene], [found], model, detect, DetectOptions(device=device))
        read = read_evaluated_scene(
            found,
            labels,
            config,
            scene=scene,
            score_field="score",
            area=area,
            model=model.description,
        )
    return _calibrate(model, output, [read.image], read.classes, config, source=labels.name)


def _down_to_low_scores(model: Model, config: Config) -> DetectConfig:
    """Return the settings that find all detections to calibrate and to count."""
    return config.detect.model_copy(update={"score_threshold": _lowest_score(model, config)})


def _lowest_score(model: Model, config: Config) -> float:
    limits = choose_thresholds(model.description, config.detect.score_threshold)
    return min(_LOWEST_SCORE, *limits)


def _check(model: Model, output: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    check_destination(output, [".safetensors"], overwrite=overwrite)
    check_destination(int8_path(output), [".onnx"], overwrite=overwrite)
    check_apart([output], [*inputs, *([model.path] if model.path else [])])
    if not isinstance(model.network, RetinaNet):
        raise ModelFileError(
            f"{model.description.name} is an ONNX file, whose scores cannot be changed",
            hint="calibrate the .safetensors file and export it again",
            name=model.description.name,
        )


def _calibrate(
    model: Model,
    output: Path,
    images: Sequence[EvaluatedImage],
    classes: Sequence[str],
    config: Config,
    *,
    source: str,
) -> CalibrateReport:
    own = model.description.classes
    number = number_in_model(model.description, classes, source, config)
    results = [_compared(image, number, config.match) for image in images]
    labelled = sum(len(one.boxes) for one in results)
    if not labelled or not _has_outcomes(results):
        found = f"{labelled} labelled objects, and the model finds none of them"
        raise TilesetError(
            f"{source} has {found if labelled else 'no labelled objects'}",
            hint="label more objects, or train on them",
        )
    if labelled < _FEW:
        logger.warning(
            "%s has only %d labelled objects: the threshold is a guess, and detections of objects "
            "that are not labelled count as wrong; label all objects there, 50 or more",
            source,
            labelled,
        )
    scales = _fit_scales(results, len(own))
    calibrated = [_rescored(one, scales) for one in results]
    folds = min(_FOLDS, len(results))
    held_out = folds > 1
    pooled = _held_out(results, len(own), folds) if held_out else calibrated
    given, about = config.detect.score_threshold, model.description
    lowest = _calibrated_floor(scales, _lowest_score(model, config))
    by_class = _classes_of_enough(results, own)
    chosen = with_best_thresholds(about, calibrated, by_class, lowest=lowest)

    def count(given: float | Mapping[str, float] | None) -> MatchCounts:
        if held_out:
            return count_held_out(chosen, pooled, given, folds, lowest=lowest)
        return count_in_use(chosen, calibrated, given)

    report = CalibrateReport(
        output=output,
        threshold=chosen.score_threshold,
        expected=count(given),
        is_held_out=held_out,
        before=count_in_use(about, results, given),
        error_before=measure_reliability(*collect_outcomes(results))[1],
        error_after=measure_reliability(*collect_outcomes(pooled))[1],
        scales=dict(zip(own, scales, strict=True)),
        thresholds=chosen.score_thresholds,
    )
    _save(model, chosen, report, count(None), source)
    return report


def _calibrated_floor(scales: Sequence[ScoreScale], lowest: float) -> list[float]:
    """Return what the lowest score becomes for each class, rounded up to six decimals."""
    return [math.ceil(float(scale(np.array([lowest]))[0]) * 1e6) / 1e6 for scale in scales]


def _compared(image: EvaluatedImage, number: Ints, rule: MatchConfig) -> Comparison:
    return Comparison.of(
        replace(image.detections, labels=number[image.detections.labels]),
        image.boxes,
        number[image.labels],
        ignored=image.ignored,
        rule=rule,
        gsd=image.gsd if image.steps is None else image.steps,
        oriented=image.oriented,
    )


def _has_outcomes(results: Sequence[Comparison]) -> bool:
    return any(one.counting().any() for one in results)


def _fit_scales(results: Sequence[Comparison], classes: int) -> list[ScoreScale]:
    """Fit a scale for each class; those with few detections share that of all."""
    together = fit_scale(*collect_outcomes(results))
    scales = []
    for label in range(classes):
        scores, right = collect_outcomes(results, label=label)
        is_enough = min(right.sum(), (~right).sum()) >= _FEW
        scales.append(fit_scale(scores, right) if classes > 1 and is_enough else together)
    if any(scale.scale <= 0 for scale in scales):
        raise ModelFileError(
            "right detections do not score higher than wrong ones on these labels",
            hint="check that the labels and `match` fit the model; or train on them: geodet train "
            "--init MODEL",
        )
    return scales


def _rescored(one: Comparison, scales: Sequence[ScoreScale]) -> Comparison:
    """Return a comparison with calibrated scores, in which the same detections match."""
    found = one.detections
    scores = found.scores.astype(np.float64)
    for label, scale in enumerate(scales):
        here = found.labels == label
        scores[here] = scale(scores[here])
    changed = replace(found, scores=scores.astype(np.float32))
    return replace(one, detections=changed)


def _held_out(results: Sequence[Comparison], classes: int, folds: int) -> list[Comparison]:
    """Calibrate each image by scales that were fitted to the other folds."""
    found: dict[int, Comparison] = {}
    for fold in range(folds):
        others = [one for i, one in enumerate(results) if i % folds != fold]
        if not _has_outcomes(others):
            others = list(results)
        scales = _fit_scales(others, classes)
        found |= {i: _rescored(results[i], scales) for i in range(fold, len(results), folds)}
    return [found[i] for i in range(len(results))]


def _classes_of_enough(results: Sequence[Comparison], classes: Sequence[str]) -> list[str]:
    """Return the classes with enough labels for a threshold; none of a single class."""
    if len(classes) < 2:
        return []
    counts = [sum(int((one.labels == i).sum()) for one in results) for i in range(len(classes))]
    return [name for name, count in zip(classes, counts, strict=True) if count >= _FEW]


def _save(
    model: Model,
    chosen: ModelDescription,
    report: CalibrateReport,
    counts: MatchCounts,
    source: str,
) -> None:
    """Write the model with its new thresholds, and with the counts at these."""
    figures = {
        "f1": counts.f1,
        "precision": counts.precision,
        "recall": counts.recall,
        "score_threshold": counts.threshold,
    }
    about = {"calibrated_on": source, "calibrated_objects": counts.labelled}
    updated = {"figures": figures, "training": chosen.training | about}
    written = chosen.model_copy(update=updated)
    write_calibrated(model, report.output, written, list(report.scales.values()))
