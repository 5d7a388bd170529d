"""The public functions evaluate and export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from geodet.api.call_arguments import check_choice, to_path
from geodet.api.training_tools import to_labelled_area
from geodet.config import Config
from geodet.config.recipes import Settings, label_flags, resolve_config
from geodet.errors import ConfigError
from geodet.evaluation.evaluate import (
    EvaluateReport,
    evaluate_model,
    evaluate_results,
    evaluate_vectors,
)
from geodet.evaluation.int8_export import export_int8
from geodet.models.model import Model
from geodet.onnx.backend import load_model
from geodet.onnx.export import ExportReport, export_model
from geodet.onnx.metadata import Reader
from geodet.tilesets.splits import Part

__all__ = ["evaluate", "export"]


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
        label_field: The attribute with the class of ``labels``, as for :func:`tile`, or of a vector
            file beside chips, or of VIA.
        labels_crs: CRS of labels whose file has none, as for :func:`tile`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        output: A folder for the figures, the curves, a report and a GeoPackage of the errors.
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
    check_choice("split", split, get_args(Part))
    area = to_labelled_area(aoi, bounds, bounds_crs)
    found, truth = to_path("detections", detections), to_path("labels", labels)
    if model is not None and found is not None:
        raise ConfigError(
            "both a model and detections are given",
            hint="pass one of them: no model runs when detections are compared with labels",
        )
    if scene is not None and data is not None:
        raise ConfigError(
            "both a scene and data are given",
            hint="pass the scene with detections and labels: the chips of data are images already",
        )
    flags = label_flags(label_field, labels_crs, of_chips=data is not None)
    chosen = resolve_config(config, flags=flags, settings=settings)
    folder = None if output is None else Path(output)
    if found is not None and truth is not None and data is None:
        return evaluate_vectors(
            found,
            truth,
            chosen,
            scene=to_path("scene", scene),
            area=area,
            score_field=score_field,
            output=folder,
            overwrite=overwrite,
        )
    if area.summary is not None:
        raise ConfigError(
            "an area is given without vector files of detections and labels",
            hint="pass detections and labels; give the area of chips to geodet.tile",
        )
    if found is not None and data is not None and truth is None:
        return evaluate_results(
            found,
            Path(data),
            chosen,
            split=split,
            score_field=score_field,
            output=folder,
            overwrite=overwrite,
        )
    if model is not None and data is not None and truth is None:
        return evaluate_model(
            load_model(model),
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
    reader: Reader | None = None,
    precision: Literal["float32", "int8"] = "float32",
    calibrate: str | Path | None = None,
    config: Config | str | Path | None = None,
    settings: Settings = (),
    chip_size: int = 512,
    overlap: int = 64,
    overwrite: bool = False,
) -> ExportReport:
    """Write a model as an ONNX file, after comparing it with PyTorch.

    Args:
        model: A bundled model's name, a model file, or a loaded model.
        output: The file, ``.onnx``. geodet finds the 8-bit file of ``mine.safetensors`` by itself
            if it lies beside it and is called ``mine.int8.onnx``.
        reader: The program that reads it: ``deepness``, ``geodeep``, or ``plain`` for any other and
            for :func:`load_model`; None: ``deepness``, and ``plain`` with ``int8``.
        precision: ``float32``, or ``int8`` for convolutions in 8-bit integers.
        calibrate: With ``int8``, a tileset or a scene of the imagery that the model is for.
        config: With ``int8``, how the tileset is read: a configuration, a recipe's name or a TOML
            file.
        settings: Other keys.
        chip_size: Side of the tiles of Deepness and GeoDeep, in pixels.
        overlap: Pixels that neighbouring tiles share.
        overwrite: Replace a file that exists.

    Raises:
        ConfigError: The packages onnx and onnxruntime are not installed, the overlap is too large,
            or the options contradict each other.
        ModelFileError: The reader cannot run the model, or its eight-bit form finds other objects.
        OutputError: The output exists, or cannot be written.

    Example:
        >>> export("urban-trees", folder / "trees.onnx", reader="plain").output.name
        'trees.onnx'
    """
    check_choice("precision", precision, ("float32", "int8"))
    if reader is not None:
        check_choice("reader", reader, get_args(Reader))
    if precision == "float32" and calibrate is not None:
        raise ConfigError(
            f"precision is float32, and calibrate={calibrate} is given",
            hint="pass precision='int8' as well, or leave calibrate out",
        )
    if precision == "int8":
        if calibrate is None or reader not in (None, "plain"):
            raise ConfigError(
                f"precision is int8, with calibrate={calibrate} and reader={reader}",
                hint="pass a tileset or a scene as calibrate, and leave reader out",
            )
        chosen = resolve_config(config, settings=settings)
        return export_int8(
            load_model(model), Path(output), Path(calibrate), chosen, overwrite=overwrite
        )
    return export_model(
        load_model(model),
        Path(output),
        reader=reader or "deepness",
        chip_size=chip_size,
        overlap=overlap,
        overwrite=overwrite,
    )
