"""Evaluate a model on labelled chips, or detections against labels of chips or of a scene."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geodet.config import Config
from geodet.config.recipes import to_toml
from geodet.evaluation.chip_bands import report_chip_bands
from geodet.evaluation.evaluated_chips import read_evaluated_chips
from geodet.evaluation.evaluated_scene import read_evaluated_scene
from geodet.evaluation.evaluation_page import EvaluationNotes
from geodet.evaluation.galleries import show_image, show_scene
from geodet.evaluation.measures import Evaluation, measure
from geodet.evaluation.model_on_chips import (
    detect_images,
    lowest_threshold,
    read_split,
    tileset_thresholds,
)
from geodet.evaluation.report_files import write_evaluation
from geodet.evaluation.thresholds_in_use import choose_by_class, lowest_score, warn_of_cut_scores
from geodet.files.output_folders import check_evaluation_folder
from geodet.geometry.geobox import GeoBox
from geodet.models.model import Model
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import LabelledImage
from geodet.tilesets.splits import Part
from geodet.tilesets.tile_inputs import LabelledArea
from geodet.vector.formats import path_of

__all__ = [
    "EvaluateReport",
    "evaluate_model",
    "evaluate_results",
    "evaluate_vectors",
]

logger = logging.getLogger(__name__)

_SECTIONS = ("data", "tile", "match", "detect")  # of the settings that an evaluation reads


@dataclass(frozen=True, slots=True)
class EvaluateReport:
    """The measures of an evaluation, and what was evaluated.

    Example:
        >>> report = geodet.evaluate("urban-trees", tiles)
        >>> report.split, 0 <= report.evaluation.overall.scores.recall <= 1
        ('val', True)
    """

    title: str
    """The model or the file that was evaluated, in a few words."""
    split: Part | None
    """Part of the split that the chips are of; None for vector files."""
    images: int
    """Number of chips or scenes."""
    evaluation: Evaluation
    """All measures."""
    output: Path | None
    """Folder of the report files; None if none were written."""
    labels_not_examined: int = 0
    """Labels that were left out, because they lie outside the examined area of the detections."""


def evaluate_model(
    model: Model,
    data: Path,
    config: Config,
    *,
    split: Part = "val",
    device: str = "auto",
    output: Path | None = None,
    overwrite: bool = False,
    command: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> EvaluateReport:
    """Evaluate a model on labelled chips: detect, then match with the labels one to one.

    Args:
        model: The model.
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`.
        config: All settings; ``match`` defines when a detection matches an object.
        split: ``train``, ``val``, ``test``, or ``all`` images whatever their part.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        output: Folder for the measures, curves, errors and report.
        overwrite: Replace the files of an earlier evaluation.
        command: The command line, for the report.
        progress: Called with the number of chips done and of all.

    Raises:
        TilesetError: The part of the split is empty or the data is broken.
        ModelFileError: The data has a class that the model lacks.
        OutputError: The folder exists or cannot be written.
    """
    if output:
        check_evaluation_folder(output, overwrite=overwrite, inputs=[data])
    own = model.description.classes
    tileset, images = read_split(data, split, config, other_classes=own)
    report_chip_bands(images, config.data.bands, model.description)
    evaluated = detect_images(model, tileset, images, config, device, progress=progress)
    evaluation = measure(
        evaluated,
        tileset.classes,
        config.match,
        threshold=tileset_thresholds(model, config, tileset),
        lowest=lowest_threshold(model, config),
    )
    report = EvaluateReport(f"{len(images)} {split} images", split, len(images), evaluation, output)
    if output:
        names = {"model": model.description.name, "data": tileset.root.name}
        _write_chips(report, images, names, config, command)
    return report


def evaluate_results(
    detections: Path,
    data: Path,
    config: Config,
    *,
    split: Part = "val",
    score_field: str = "score",
    output: Path | None = None,
    overwrite: bool = False,
    command: str | None = None,
) -> EvaluateReport:
    """Evaluate detections of any program on labelled chips.

    The score threshold is ``detect.score_threshold``, or else the lowest score in the file.

    Args:
        detections: COCO results or YOLO text, written by detect or by another program. Chips are
            identified by the names of their files.
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`.
        config: All settings; ``match`` defines when a detection matches an object.
        split: ``train``, ``val``, ``test``, or ``all`` images whatever their part.
        score_field: Key of the score in COCO results; empty: every detection has score 1.
        output: Folder for the measures, curves, errors and report.
        overwrite: Replace the files of an earlier evaluation.
        command: The command line, for the report.

    Raises:
        TilesetError: The part of the split is empty or the data is broken.
        VectorError: The detections are broken or belong to other images.
        ConfigError: The detections and the labels have no class in common, or a threshold is of a
            class that neither has.
        OutputError: The folder exists or cannot be written.
    """
    if output:
        check_evaluation_folder(output, overwrite=overwrite, inputs=[detections, data])
    tileset, images = read_split(data, split, config)
    evaluated, classes, counted_as, scores = read_evaluated_chips(
        detections, tileset, images, config, score_field=score_field
    )
    chosen = config.detect.score_threshold
    lowest = lowest_score(scores)
    threshold = choose_by_class(chosen, classes, lowest, counted_as)
    warn_of_cut_scores(scores, detections)
    evaluation = measure(evaluated, classes, config.match, threshold=threshold, lowest=lowest)
    title = f"{detections.name} against {len(images)} {split} images"
    report = EvaluateReport(title, split, len(images), evaluation, output)
    if output:
        names = {"detections": detections.name, "data": tileset.root.name}
        _write_chips(report, images, names, config, command)
    return report


def evaluate_vectors(
    detections: Path,
    labels: Path,
    config: Config,
    *,
    scene: Path | None = None,
    area: LabelledArea | None = None,
    score_field: str = "score",
    output: Path | None = None,
    overwrite: bool = False,
    command: str | None = None,
) -> EvaluateReport:
    """Evaluate detections of any program against labels of a whole scene, both in vector files.

    The score threshold is ``detect.score_threshold``, or else the lowest score in the file.

    Args:
        detections: Vector file written by detect or by another program; with ``scene`` also COCO
            results or YOLO text.
        labels: Vector file with points or polygons.
        config: ``data``, ``match``, ``detect.score_threshold`` and ``tile.label_field``.
        scene: The raster that both belong to. Boxes are then compared in its pixels.
        area: The part that was labelled: only what has its centre there counts; None: everything.
        score_field: Attribute with the score; empty: every detection has score 1.
        output: Folder for the measures, curves, errors and report.
        overwrite: Replace the files of an earlier evaluation.
        command: The command line, for the report.

    Raises:
        VectorError: A file cannot be read, one of the two has no CRS, or no label lies where the
            detections were searched.
        ConfigError: The two files have no class in common, or a threshold is of a class that
            neither has.
        OutputError: The folder exists or cannot be written.
    """
    read_paths = (detections, labels, scene, None if area is None else area.aoi)
    inputs = [Path(path_of(path)) for path in read_paths if path is not None]
    if output:
        check_evaluation_folder(output, overwrite=overwrite, inputs=inputs)
    read = read_evaluated_scene(
        detections, labels, config, scene=scene, score_field=score_field, area=area
    )
    image, chosen = read.image, config.detect.score_threshold
    for count, path in ((len(image.detections), detections), (len(image.boxes), labels)):
        if not count:
            logger.warning("%s contains no object that counts", path)
    warn_of_cut_scores(read.scores, detections)
    lowest = lowest_score(read.scores)
    evaluation = measure(
        [image],
        read.classes,
        config.match,
        threshold=choose_by_class(chosen, read.classes, lowest, read.counted_as),
        lowest=lowest,
        has_boxes=read.has_boxes,
        has_pixels=read.has_pixels,
    )
    title = f"{detections.name} against {labels.name}"
    report = EvaluateReport(title, None, 1, evaluation, output, read.not_examined)
    if output:
        names = {
            "detections": detections.name,
            "labels": labels.name,
            "scene": scene.name if scene else None,
            "area": None if area is None else area.summary,
            "labels_not_examined": read.not_examined,
        }
        openers = [] if scene is None else [show_scene(scene)]
        notes = EvaluationNotes(openers, to_toml(config, sections=_SECTIONS), command)
        _write(report, [(image.name, read.geobox, image.gsd)], names, notes)
    return report


def _place(image: LabelledImage) -> tuple[str, GeoBox, float | None]:
    """Return the name, geobox and metres per pixel of a labelled image."""
    with open_image(image) as scene:
        return image.path.name, scene.geobox, image.gsd


def _write_chips(
    report: EvaluateReport,
    images: Sequence[LabelledImage],
    names: Mapping[str, str | None],
    config: Config,
    command: str | None,
) -> None:
    openers = [show_image(image, config.data.bands) for image in images]
    notes = EvaluationNotes(openers, to_toml(config, sections=_SECTIONS), command)
    _write(report, [_place(image) for image in images], names, notes)


def _write(
    report: EvaluateReport,
    places: Sequence[tuple[str, GeoBox, float | None]],
    names: Mapping[str, str | int | None],
    notes: EvaluationNotes,
) -> None:
    assert report.output is not None
    about = {**names, "split": report.split, "images": report.images}
    write_evaluation(
        report.output, report.evaluation, places, title=report.title, about=about, notes=notes
    )
