"""Write the eight-bit file of a model, after comparing what it finds with what the model finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geodet.config import Config, MatchConfig
from geodet.detection.predictor import Predictor, build_predictor
from geodet.errors import ModelFileError
from geodet.evaluation.int8_samples import Int8Samples, read_int8_samples
from geodet.evaluation.threshold_curves import Comparison, count_matches
from geodet.files.outputs import check_destination, replacing
from geodet.geometry.boxes import Detections
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.model import Model
from geodet.onnx.export import ExportReport, with_metadata
from geodet.onnx.graph import plain_graph
from geodet.onnx.layers_in_float import QuantisedGraph, iter_quantised
from geodet.onnx.metadata import describe
from geodet.onnx.onnx_engine import OnnxEngine
from geodet.onnx.quantise import Quantiser
from geodet.onnx.session import PRECISION_KEY, SOURCE_KEY
from geodet.tilesets.labels import Tileset

__all__ = ["export_int8"]

_LEAST_AGREEMENT = 0.95
"""F1 of the detections against those of the floats: in bfloat16 it is about 0.99."""
_MOST_LOST = 0.01
"""Largest loss of F1 against labels."""
_SAME = MatchConfig(iou=0.5)


def export_int8(
    model: Model,
    output: Path,
    source: Path | Tileset,
    config: Config,
    *,
    overwrite: bool = False,
) -> ExportReport:
    """Write a model in eight-bit integers, as an ONNX file that geodet and other programs read.

    Args:
        model: The model, with a network of PyTorch.
        output: The file, ``.onnx``. Beside the model file, with the name that
            :func:`geodet.files.outputs.int8_path` returns, ``geodet detect`` finds it.
        source: A tileset or a scene, of the imagery that the model is for: some of it calibrates,
            some checks.
        config: How a tileset is read, and when a detection matches a label.
        overwrite: Replace an existing file.

    Raises:
        ConfigError: The package onnx or onnxruntime is not installed.
        ModelFileError: The eight-bit form finds too much that the model does not, or too little.
        TilesetError: The tileset cannot be read, or has too few images.
        SceneError: The scene cannot be read.
        OutputError: The output exists already or cannot be written.
    """
    check_destination(output, [".onnx"], overwrite=overwrite)
    about = model.description
    samples = read_int8_samples(about, source, config)
    quantiser = Quantiser(plain_graph(model.network, about), samples.calibrating)
    refusal = None
    threshold = min(choose_thresholds(about, None))
    for found in iter_quantised(quantiser, samples.calibrating, threshold):
        try:
            return _write(found, output, model, samples, config)
        except ModelFileError as error:  # a graph that is nearer to the floats may pass
            refusal = error
    assert refusal is not None  # there is one graph at least
    raise refusal


def _write(
    found: QuantisedGraph, output: Path, model: Model, samples: Int8Samples, config: Config
) -> ExportReport:
    """Write a graph, if it passes the check.

    Raises:
        ModelFileError: It does not.
    """
    keys = {PRECISION_KEY: "int8", SOURCE_KEY: model.digest}
    about = describe(model.description, "plain", tile_size=0, overlap=0) | keys
    content = with_metadata(found.graph, about)
    with replacing(output) as temporary:
        temporary.write_bytes(content)
        checked = _check(model, temporary, samples, config)
    return ExportReport(
        output,
        "plain",
        len(content) / 1e6,
        found.errors.score,
        found.errors.box_px,
        precision="int8",
        layers_in_float=found.in_float,
        **checked,
    )


def _check(
    model: Model, path: Path, samples: Int8Samples, config: Config
) -> dict[str, float | None]:
    """Compare the file with the model on the chips held out.

    Raises:
        ModelFileError: It finds something else.
    """
    detect = config.detect.model_copy(update={"precision": "float32"})
    floats = build_predictor(model, detect, "cpu")
    int8 = _with_engine(floats, OnnxEngine(path))
    wanted, found = samples.detect(floats), samples.detect(int8)
    threshold = floats.score_threshold
    agreement = count_matches(_against(found, wanted), threshold).f1
    if not any(map(len, wanted)):
        raise ModelFileError(
            f"{model.description.name} finds nothing in the chips that are used for the check",
            hint="calibrate with imagery that shows what the model finds",
            name=model.description.name,
        )
    f1 = f1_of_floats = None
    if samples.compare is not None:
        f1, f1_of_floats = (
            count_matches(samples.compare(each), threshold).f1 for each in (found, wanted)
        )
    lost = 0.0 if f1 is None or f1_of_floats is None else f1_of_floats - f1
    if agreement < _LEAST_AGREEMENT or lost > _MOST_LOST:
        raise ModelFileError(
            f"{model.description.name} differs too much in eight-bit integers: F1 between the two "
            f"is {agreement:.3f}, at least {_LEAST_AGREEMENT} is required; F1 against the labels "
            f"falls by {lost:.3f}, at most {_MOST_LOST} is allowed",
            hint="calibrate with more imagery, like that of the training, or keep the float model",
            name=model.description.name,
        )
    return {"agreement": agreement, "f1": f1, "f1_of_floats": f1_of_floats}


def _with_engine(predictor: Predictor, engine: OnnxEngine) -> Predictor:
    return Predictor(
        engine,
        values=predictor.values,
        score_threshold=predictor.score_threshold,
        class_thresholds=predictor.class_thresholds,
        iou_threshold=predictor.iou_threshold,
        max_candidates=predictor.max_candidates,
        max_per_level=predictor.max_per_level,
        object_px=predictor.object_px,
        architecture=predictor.architecture,
    )


def _against(found: list[Detections], wanted: list[Detections]) -> list[Comparison]:
    """Compare detections with others, as if these were labels."""
    nothing = np.zeros((0, 4))
    return [
        Comparison.of(
            one,
            other.boxes,
            other.labels,
            ignored=nothing,
            rule=_SAME,
            gsd=None,
            oriented=other.oriented,
        )
        for one, other in zip(found, wanted, strict=True)
    ]
