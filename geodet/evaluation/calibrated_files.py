"""The files of a calibrated model: its weights, and its eight-bit form if the model has one."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch

from geodet.evaluation.calibration import ScoreScale
from geodet.files.outputs import int8_path, replacing
from geodet.models.checkpoint import save_model
from geodet.models.description import ModelDescription
from geodet.models.model import Model, hash_file
from geodet.models.retinanet import RetinaNet
from geodet.onnx.export import with_metadata
from geodet.onnx.metadata import describe
from geodet.onnx.nodes import import_onnx
from geodet.onnx.scaled_logits import scale_logits
from geodet.onnx.session import PRECISION_KEY, SOURCE_KEY

__all__ = ["as_calibrated", "write_calibrated"]

logger = logging.getLogger(__name__)


def as_calibrated(model: Model) -> Model:
    """Return a model in the forms that its calibrated files will have.

    What is fitted to the scores of one form need not fit another: without the package onnx the
    eight-bit file cannot be written again, so it is not used either.
    """
    if model.int8 is None or importlib.util.find_spec("onnx") is not None:
        return model
    logger.warning(
        "%s will have no eight-bit file, as the package onnx is not installed: "
        "python -m pip install 'geodet[onnx]'",
        model.description.name,
    )
    return replace(model, int8=None)


def write_calibrated(
    model: Model, output: Path, about: ModelDescription, scales: Sequence[ScoreScale]
) -> None:
    """Write a model with other scores, in the forms of :func:`as_calibrated`.

    Args:
        model: The model as it was.
        output: The file of its weights; the eight-bit one is beside it.
        about: The new description.
        scales: Scales of the classes, in order.

    Raises:
        OutputError: A file cannot be written.
    """
    network = deepcopy(model.network)
    with torch.no_grad():
        _scale_last_layer(network, scales)
    save_model(output, network, about)
    content = _scale_int8(model, hash_file(output), about, scales)
    beside = int8_path(output)
    if content is None:
        beside.unlink(missing_ok=True)  # it is of the weights that were there before
        return
    with replacing(beside) as temporary:
        temporary.write_bytes(content)


def _scale_int8(
    model: Model, digest: str, about: ModelDescription, scales: Sequence[ScoreScale]
) -> bytes | None:
    """Return the content of the eight-bit file; None where the model has none of its weights."""
    if model.int8 is None:
        return None
    file = import_onnx().load(model.int8)
    known = {entry.key: entry.value for entry in file.metadata_props}
    if known.get(SOURCE_KEY) != model.digest:
        return None
    factors, shifts = zip(*((one.scale, one.shift) for one in scales), strict=True)
    scale_logits(file.graph, factors, shifts)
    del file.metadata_props[:]
    keys = {PRECISION_KEY: known[PRECISION_KEY], SOURCE_KEY: digest}
    return with_metadata(file, describe(about, "plain", tile_size=0, overlap=0) | keys)


def _scale_last_layer(network: RetinaNet, scales: Sequence[ScoreScale]) -> None:
    """Fold the scales into the last convolution, whose channels are anchors and their classes."""
    last = network.classifier.last
    anchors = len(last.weight) // len(scales)
    factor = last.weight.new_tensor([scale.scale for scale in scales]).repeat(anchors)
    shift = last.weight.new_tensor([scale.shift for scale in scales]).repeat(anchors)
    last.weight.mul_(factor[:, None, None, None])
    assert last.bias is not None
    last.bias.mul_(factor).add_(shift)
