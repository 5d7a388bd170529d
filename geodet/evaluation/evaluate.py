"""Evaluate a model on labelled chips, or detections against labels of chips or of a scene."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodet.config import Config
from geodet.detection.predictor import build_predictor, with_input_values
from geodet.errors import ModelFileError, TilesetError
from geodet.evaluation.evaluated_chips import (
    choose_input_values,
    predict_images,
    read_evaluated_chips,
)
from geodet.evaluation.evaluated_scene import read_evaluated_scene
from geodet.evaluation.measures import EvaluatedImage, Evaluation, measure
from geodet.evaluation.report_files import write_evaluation
from geodet.evaluation.thresholds_in_use import (
    LOWEST_SCORE,
    choose_by_class,
    lowest_score,
    warn_of_cut_scores,
)
from geodet.files.output_folders import check_evaluation_folder
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.model import Model
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.splits import Part
from geodet.tilesets.tile_inputs import LabelledArea
from geodet.tilesets.tileset import read_tileset

__all__ = [
    "EvaluateReport",
    "detect_images",
    "evaluate_model",
    "evaluate_results",
    "evaluate_vectors",
    "read_split",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluateReport:
    """The measures of an evaluation, and what was evaluated.

    Example:
        >>> report = geodet.evaluate("urban-trees", tiles)
        >>> report.split, 0 <= report.evaluation.overall.scores.recall <= 1
        ('val', True)
    """

    title: str
    """What was evaluated, in a few words."""
    split: Part | None
    """Part of the split that the chips are of; None for vector files."""
    images: int
    """Number of chips or scenes."""
    evaluation: Evaluation
    """All measures."""
    output: Path | None
    """Folder of the report files; None if none were written."""


def evaluate_model(
    model: Model,
    data: Path,
    config: Config,
    *,
    split: Part = "val",
    device: str = "auto",
    output: Path | None = None,
    overwrite: bool = False,
) -> EvaluateReport:
    """Evaluate a model on labelled chips: detect, then match with the labels one to one.

    Args:
        model: The model.
        data: A tileset, see :func:`geodet.tilesets.tileset.read_tileset`.
        config: All settings; ``match`` defines when a detection matches an object.
        split: ``train``, ``val``, ``test``, or ``all`` images whatever their part.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        output: Folder for the measures, curves and errors.
        overwrite: Replace the files of an earlier evaluation.

    Raises:
        TilesetError: The part of the split is empty or the data is broken.
        ModelFileError: The data has a class that the model lacks.
        OutputError: The folder exists or cannot be written.
    """
    if output:
        check_evaluation_folder(output, overwrite=overwrite, inputs=[data])
    own = model.description.classes
    tileset, images = read_split(data, split, config, other_classes=own)
    evaluated = detect_images(model, tileset, images, config, device)
    evaluation = measure(
        evaluated,
        tileset.classes,
        config.match,
        threshold=_thresholds(model, config, tileset),
        lowest=_lowest(model, config),
    )
    report = EvaluateReport(f"{len(images)} {split} images", split, len(images), evaluation, output)
    if output:
        places = [_place(image) for image in images]
        _write(report, places, {"model": model.description.name, "data": tileset.root.name})
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
        output: Folder for the measures, curves and errors.
        overwrite: Replace the files of an earlier evaluation.

    Raises:
        TilesetError: The part of the split is empty or the data is broken.
        VectorError: The detections are broken or belong to other images.
        ConfigError: The detections and the labels have no class in common.
        OutputError: The folder exists or cannot be written.
    """
    if output:
        check_evaluation_folder(output, overwrite=overwrite, inputs=[detections, data])
    tileset, images = read_split(data, split, config)
    evaluated, classes = read_evaluated_chips(
        detections, tileset, images, config, score_field=score_field
    )
    chosen = config.detect.score_threshold
    found = Detections.concatenate([image.detections for image in evaluated])
    threshold = choose_by_class(chosen, classes, lowest_score(found))
    warn_of_cut_scores(found, detections)
    evaluation = measure(evaluated, classes, config.match, threshold=threshold)
    title = f"{detections.name} against {len(images)} {split} images"
    report = EvaluateReport(title, split, len(images), evaluation, output)
    if output:
        places = [_place(image) for image in images]
        _write(report, places, {"detections": detections.name, "data": tileset.root.name})
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
        output: Folder for the measures, curves and errors.
        overwrite: Replace the files of an earlier evaluation.

    Raises:
        VectorError: A file cannot be read, or one of the two has no CRS.
        ConfigError: The two files have no class in common.
        OutputError: The folder exists or cannot be written.
    """
    inputs = [detections, labels, *([scene] if scene else [])]
    if output:
        check_evaluation_folder(output, overwrite=overwrite, inputs=inputs)
    read = read_evaluated_scene(
        detections, labels, config, scene=scene, score_field=score_field, area=area
    )
    image, chosen = read.image, config.detect.score_threshold
    for count, path in ((len(image.detections), detections), (len(image.boxes), labels)):
        if not count:
            logger.warning("%s contains no object that counts", path)
    warn_of_cut_scores(image.detections, detections)
    evaluation = measure(
        [image],
        read.classes,
        config.match,
        threshold=choose_by_class(chosen, read.classes, lowest_score(image.detections)),
        has_boxes=read.has_boxes,
        has_pixels=read.has_pixels,
    )
    title = f"{detections.name} against {labels.name}"
    report = EvaluateReport(title, None, 1, evaluation, output)
    if output:
        names = {
            "detections": detections.name,
            "labels": labels.name,
            "scene": scene.name if scene else None,
            "area": None if area is None else area.summary,
        }
        _write(report, [(image.name, read.geobox, image.gsd)], names)
    return report


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
            hint=f"choose another part with --split: {', '.join(parts)}, or all",
            path=data,
        )
    return tileset, images


def detect_images(
    model: Model, tileset: Tileset, images: Sequence[LabelledImage], config: Config, device: str
) -> list[EvaluatedImage]:
    """Detect on labelled images, down to low scores, with the classes of the tileset.

    Raises:
        ModelFileError: The tileset has a class that the model lacks.
    """
    about, label_of = model.description, _match_classes(model, tileset, config)
    lowest = _lowest(model, config)
    predictor = build_predictor(model, config.detect, device, score_threshold=lowest)
    chosen = choose_input_values(
        images, config.data.bands, about, config.detect, name=str(tileset.root)
    )
    predictor = with_input_values(predictor, chosen)
    found = predict_images(predictor, images, config.data.bands, config.detect)
    return [
        EvaluatedImage(
            name=image.path.name,
            detections=_relabelled(detections, label_of),
            boxes=image.boxes,
            labels=image.labels,
            ignored=image.ignored,
            gsd=image.gsd,
        )
        for detections, image in zip(found, images, strict=True)
    ]


def _thresholds(model: Model, config: Config, tileset: Tileset) -> list[float]:
    """Return the score threshold of each class of a tileset."""
    own = choose_thresholds(model.description, config.detect.score_threshold)
    label_of = _match_classes(model, tileset, config)
    of_label = [
        [threshold for threshold, one in zip(own, label_of, strict=True) if one == label]
        for label in range(len(tileset.classes))
    ]
    return [min(thresholds) for thresholds in of_label]  # several classes may have become one


def _lowest(model: Model, config: Config) -> float:
    return min(LOWEST_SCORE, *choose_thresholds(model.description, config.detect.score_threshold))


def _place(image: LabelledImage) -> tuple[str, GeoBox, float | None]:
    """Return the name, geobox and metres per pixel of a labelled image."""
    with open_image(image) as scene:
        return image.path.name, scene.geobox, image.gsd


def _write(
    report: EvaluateReport,
    places: Sequence[tuple[str, GeoBox, float | None]],
    names: dict[str, str | None],
) -> None:
    assert report.output is not None
    about = {**names, "split": report.split, "images": report.images}
    write_evaluation(report.output, report.evaluation, places, title=report.title, about=about)


def _match_classes(model: Model, tileset: Tileset, config: Config) -> list[int]:
    """Return the tileset's index of each class of the model, -1 for a class without labels.

    ``data.class_map`` renames the classes of both.

    If the model and the tileset have a single class each, their names may differ.
    """
    renamed = config.data.class_map
    own = tuple(renamed.get(name, name) for name in model.description.classes)
    if len(set(own)) == len(tileset.classes) == 1:
        if own[0] != tileset.classes[0]:
            logger.warning(
                "detections of the class %r are compared with labels of the class %r",
                own[0],
                tileset.classes[0],
            )
        return [0] * len(own)
    for name in tileset.classes:
        if name not in own:
            raise ModelFileError(
                f"{tileset.root} has the class {name!r}, which {model.description.name} lacks",
                hint=f"the model has {', '.join(own)}; leave a class out with data.ignore_classes, "
                "or rename it with data.class_map",
                name=model.description.name,
            )
    return [tileset.classes.index(name) if name in tileset.classes else -1 for name in own]


def _relabelled(detections: Detections, label_of: Sequence[int]) -> Detections:
    """Renumber the classes as in the tileset, and drop detections of classes that it lacks."""
    labels = np.asarray(label_of, np.int64)[detections.labels]
    return Detections(detections.boxes, detections.scores, labels).select(labels >= 0)
