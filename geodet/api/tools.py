"""The public functions for models of your own: tile, train, evaluate, export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from geodet.config import Config
from geodet.config.recipes import Settings, resolve_config
from geodet.errors import ConfigError
from geodet.evaluation.evaluate import (
    EvaluateReport,
    evaluate_model,
    evaluate_results,
    evaluate_vectors,
)
from geodet.models.checkpoint import Model
from geodet.onnx.backend import as_model
from geodet.onnx.export import ExportReport, export_model
from geodet.onnx.metadata import Reader
from geodet.tilesets.splits import Part
from geodet.tilesets.tile import LabelledArea, TileReport, tile_scene
from geodet.training.train import EpochReport, TrainReport, run_training

__all__ = ["evaluate", "export", "tile", "train"]


def tile(
    scene: str | Path | Sequence[str | Path],
    labels: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    config: Config | str | Path | None = None,
    settings: Settings = (),
    chip_size: int | None = None,
    overlap: int | None = None,
    gsd: float | None = None,
    label_field: str | None = None,
    labels_crs: str | None = None,
    aoi: str | Path | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TileReport:
    """Cut labelled chips from scenes: a tileset to train on.

    Args:
        scene: A raster, or several; also folders, quoted patterns and lists, as for :func:`detect`.
        labels: Points or polygons, in any vector file that GDAL reads and in any CRS: a file for
            all scenes, one for each in their order, or a folder with a file of each scene's name.
        output: The folder of the tileset. It appears when it is complete.
        config: A configuration, a recipe's name or a TOML file.
        settings: Other keys, such as ``{"tile.val_fraction": 0.3}``.
        chip_size: Side of a chip in pixels of the scene.
        overlap: Pixels that neighbouring chips share.
        gsd: Metres per pixel of the chips; None: those of each scene.
        label_field: Attribute of the labels with the class; None: ``label``, ``class`` or ``name``;
            empty: all objects are of one class.
        labels_crs: CRS of labels whose file has none, such as a CSV; None: that of the scene.
        aoi: A vector file of polygons in any CRS: only this part was labelled, and what lies
            outside is neither object nor background.
        bounds: xmin, ymin, xmax, ymax: only this part was labelled.
        bounds_crs: The CRS of ``bounds``; None: that of each scene.
        overwrite: Replace a tileset that exists.
        progress: Called with the number of windows done and the number to do.

    Raises:
        SceneError: A scene cannot be read, or its metres per pixel are needed and unknown.
        VectorError: The labels or the area cannot be read, or the area meets no scene.
        TilesetError: No label lies in a scene, or they cannot be split by place.
        OutputError: The folder exists, or cannot be written.

    Example:
        >>> report = tile(scene, labels, folder / "tiles", chip_size=128)
        >>> report.train > report.val > 0
        True
    """
    flags = {
        "tile": {
            "chip_size": chip_size,
            "overlap": overlap,
            "gsd": gsd,
            "label_field": label_field,
            "labels_crs": labels_crs,
        }
    }
    chosen = resolve_config(config, flags=flags, settings=settings)
    return tile_scene(
        scene,
        _to_paths(labels),
        Path(output),
        chosen.tile,
        chosen.data,
        area=_labelled_area(aoi, bounds, bounds_crs),
        overwrite=overwrite,
        progress=progress,
    )


def _to_paths(labels: str | Path | Sequence[str | Path]) -> Path | list[Path]:
    if isinstance(labels, str | Path):
        return Path(labels)
    return [Path(label) for label in labels]


def _labelled_area(
    aoi: str | Path | None, bounds: Sequence[float] | None, bounds_crs: str | None
) -> LabelledArea:
    """Return the part that was labelled, after checking the number of bounds."""
    if bounds is not None and len(bounds) != 4:
        raise ConfigError(f"bounds has {len(bounds)} numbers", hint="pass (xmin, ymin, xmax, ymax)")
    corners = None if bounds is None else (bounds[0], bounds[1], bounds[2], bounds[3])
    return LabelledArea(None if aoi is None else Path(aoi), corners, bounds_crs)


def train(
    data: str | Path,
    output: str | Path,
    *,
    config: Config | str | Path | None = None,
    settings: Settings = (),
    epochs: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[EpochReport], None] | None = None,
) -> TrainReport:
    """Train a model on a tileset.

    Args:
        data: A tileset: COCO, YOLO, Pascal VOC, CSV, or what :func:`tile` wrote.
        output: The model file, ``.safetensors``; the log and the state lie beside it in a folder
            that ends in ``.run``.
        config: A configuration, a recipe's name or a TOML file.
        settings: Other keys, such as ``{"train.init": "urban-trees"}``.
        epochs: Passes over the training chips.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: Continue an interrupted run.
        overwrite: Replace a model that exists.
        progress: Called after each epoch.

    Raises:
        TilesetError: The tileset is broken or has nothing to train on.
        ConfigError: A setting does not fit.
        OutputError: The output exists, or cannot be written.
        TrainingError: The run cannot be resumed, or its loss is not finite.
        DeviceError: The device is not there, or has too little memory.

    Example:
        >>> small = {"model.channels": 16, "train.chip_size": 64, "train.batch_size": 4}
        >>> report = train(tiles, folder / "mine.safetensors", epochs=1, settings=small)
        >>> report.epochs
        1
    """
    flags = {"train": {"epochs": epochs}}
    return run_training(
        Path(data),
        Path(output),
        resolve_config(config, flags=flags, settings=settings),
        device=device,
        resume=resume,
        overwrite=overwrite,
        progress=progress or (lambda _: None),
    )


def evaluate(
    model: str | Path | Model | None = None,
    data: str | Path | None = None,
    *,
    detections: str | Path | None = None,
    labels: str | Path | None = None,
    scene: str | Path | None = None,
    aoi: str | Path | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    split: Part = "val",
    config: Config | str | Path | None = None,
    settings: Settings = (),
    score_field: str = "score",
    label_field: str | None = None,
    labels_crs: str | None = None,
    device: str = "auto",
    output: str | Path | None = None,
    overwrite: bool = False,
) -> EvaluateReport:
    """Measure a model on labelled chips, or detections of any program against labels.

    Pass one of: a model and ``data``; ``detections`` and ``data``; ``detections`` and ``labels``.

    Args:
        model: A bundled model's name, a model file, or a loaded model.
        data: A tileset.
        detections: A vector file, or COCO results or a folder of YOLO text with ``data``.
        labels: A vector file of points or polygons.
        scene: The raster that detections and labels belong to; they are then compared in its
            pixels, else in metres.
        aoi: A vector file of polygons, with ``labels``: only this part was labelled.
        bounds: xmin, ymin, xmax, ymax in place of ``aoi``.
        bounds_crs: The CRS of ``bounds``; None: that of the scene, or of the detections.
        split: The part of the tileset: ``train``, ``val``, ``test``, or ``all`` of its images.
        config: A configuration, a recipe's name or a TOML file; ``match`` says when a detection
            counts as right.
        settings: Other keys, such as ``{"match.by": "distance"}``.
        score_field: The attribute with the scores of the detections.
        label_field: The attribute with the class of ``labels``, as for :func:`tile`.
        labels_crs: CRS of labels whose file has none, as for :func:`tile`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        output: A folder for the figures, the curves and a GeoPackage of the errors.
        overwrite: Replace an evaluation that exists.

    Raises:
        ConfigError: The arguments do not go together.
        TilesetError: The tileset is broken, or the split is empty.
        VectorError: The detections or the labels cannot be read.
        ModelFileError: The tileset has a class that the model lacks.
        OutputError: The folder exists, or cannot be written.

    Example:
        >>> trees = geodet.detect(scene, output=folder / "trees.gpkg")
        >>> report = evaluate(detections=folder / "trees.gpkg", labels=labels, scene=scene)
        >>> 0 < report.evaluation.overall.scores.f1 < 1
        True
    """
    flags = {"tile": {"label_field": label_field, "labels_crs": labels_crs}}
    chosen = resolve_config(config, flags=flags, settings=settings)
    folder = None if output is None else Path(output)
    if detections is not None and labels is not None and data is None:
        return evaluate_vectors(
            Path(detections),
            Path(labels),
            chosen,
            scene=None if scene is None else Path(scene),
            area=None
            if aoi is None and bounds is None
            else _labelled_area(aoi, bounds, bounds_crs),
            score_field=score_field,
            output=folder,
            overwrite=overwrite,
        )
    if aoi is not None or bounds is not None:
        raise ConfigError(
            "an area is given without vector files of detections and labels",
            hint="pass detections and labels; give the area of chips to geodet.tile",
        )
    if detections is not None and data is not None and labels is None:
        return evaluate_results(
            Path(detections),
            Path(data),
            chosen,
            split=split,
            score_field=score_field,
            output=folder,
            overwrite=overwrite,
        )
    if model is not None and data is not None and detections is None and labels is None:
        return evaluate_model(
            as_model(model),
            Path(data),
            chosen,
            split=split,
            device=device,
            output=folder,
            overwrite=overwrite,
        )
    raise ConfigError(
        "evaluate needs two things to compare",
        hint="pass a model and data, detections and data, or detections and labels",
    )


def export(
    model: str | Path | Model,
    output: str | Path,
    *,
    reader: Reader = "deepness",
    chip_size: int = 512,
    overlap: int = 64,
    overwrite: bool = False,
) -> ExportReport:
    """Write a model as an ONNX file, after comparing it with PyTorch.

    Args:
        model: A bundled model's name, a model file, or a loaded model.
        output: The file, ``.onnx``.
        reader: The program that reads it: ``deepness``, ``geodeep``, or ``plain`` for any other and
            for :func:`load_model`.
        chip_size: Side of the tiles of Deepness and GeoDeep, in pixels.
        overlap: Pixels that neighbouring tiles share.
        overwrite: Replace a file that exists.

    Raises:
        ConfigError: The packages onnx and onnxruntime are not installed, or the overlap is too
            large.
        ModelFileError: The reader cannot run the model.
        OutputError: The output exists, or cannot be written.

    Example:
        >>> export("urban-trees", folder / "trees.onnx", reader="plain").output.name
        'trees.onnx'
    """
    return export_model(
        as_model(model),
        Path(output),
        reader=reader,
        chip_size=chip_size,
        overlap=overlap,
        overwrite=overwrite,
    )
