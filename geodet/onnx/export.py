"""Export a model to ONNX for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geodet.errors import ConfigError, ModelFileError
from geodet.files.outputs import check_destination, replacing
from geodet.models.box_coding import DELTAS, decode_boxes, decode_oriented
from geodet.models.engine import Outputs
from geodet.models.input_values import trained_bounds
from geodet.models.inputs import standardise
from geodet.models.model import Model
from geodet.onnx.graph import plain_graph, tile_graph
from geodet.onnx.metadata import Reader, describe, tile_format
from geodet.onnx.session import open_session

__all__ = ["LEAST_TILE", "ExportReport", "export_model", "with_metadata"]

LEAST_TILE = 32
"""Side of the smallest tiles in pixels."""
_TOLERANCE = 1e-3
_SIDES = (70, 99)  # of the compared images, no multiples of a stride


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Result of an export.

    Example:
        >>> report = geodet.export("urban-trees", folder / "trees.onnx", reader="geodeep")
        >>> report.reader
        'geodeep'
    """

    output: Path
    """The ONNX file."""
    reader: Reader
    """The program that the file is for."""
    megabytes: float
    """Size of the file."""
    score_difference: float
    """Largest difference of a score from PyTorch's, over all anchors of two images of noise."""
    box_difference_px: float
    """Largest difference of a box coordinate from PyTorch's likewise, in pixels."""
    precision: str = "float32"
    """Numeric precision of the file: ``float32`` or ``int8``.

    In eight-bit integers the two differences are means over the anchors that pass the threshold, in
    the chips of the calibration.
    """
    agreement: float | None = None
    """F1 of the eight-bit detections against those of the floats, on chips held out."""
    f1: float | None = None
    """F1 of the eight-bit detections against labels, where there are any."""
    f1_of_floats: float | None = None
    """F1 of the detections of the floats likewise."""
    layers_in_float: tuple[str, ...] = ()
    """Convolutions that were left in float."""


def export_model(
    model: Model,
    output: Path,
    *,
    reader: Reader = "deepness",
    chip_size: int = 512,
    overlap: int = 64,
    overwrite: bool = False,
) -> ExportReport:
    """Write a model as an ONNX file, after comparing its outputs with PyTorch's.

    Args:
        model: The model to export.
        output: The file, ``.onnx``.
        reader: The program that the file is for. ``deepness`` (QGIS) and ``geodeep`` read a scene
            tile by tile; a ``plain`` file takes any number of images of any size, and geodet reads
            it.
        chip_size: Side of the tiles in pixels.
        overlap: Pixels that neighbouring tiles share.
        overwrite: Replace an existing file.

    Raises:
        ConfigError: The package onnx or onnxruntime is not installed, or ``chip_size`` and
            ``overlap`` make no tiles.
        ModelFileError: The reader cannot read the bands or the type that the model needs, or the
            outputs of the file differ from the model's.
        OutputError: The output exists already or cannot be written.
    """
    check_destination(output, [".onnx"], overwrite=overwrite)
    if chip_size < LEAST_TILE or overlap < 0:
        raise ConfigError(
            f"chip_size {chip_size} and overlap {overlap} make no tiles",
            hint=f"give a chip_size of at least {LEAST_TILE} px, and an overlap of at least 0",
        )
    if overlap > chip_size // 2:
        raise ConfigError(
            f"overlap {overlap} is more than half of chip_size {chip_size}",
            hint="choose a smaller --overlap or a larger --chip-size",
        )
    plain = plain_graph(model.network, model.description)
    differences = _compare(plain, model)
    graph = plain
    if reader != "plain":
        form = tile_format(model.description, reader, chip_size)
        graph = tile_graph(model.network, model.description, form)
    about = describe(model.description, reader, tile_size=chip_size, overlap=overlap)
    content = with_metadata(graph, about)
    with replacing(output) as temporary:
        temporary.write_bytes(content)
    return ExportReport(output, reader, len(content) / 1e6, *differences)


def _boxes(outputs: Outputs) -> Tensor:
    """Return what the output ``boxes`` of :func:`geodet.onnx.graph.plain_graph` holds."""
    deltas, anchors = outputs.deltas, outputs.anchors
    if deltas.shape[-1] != DELTAS["oriented"]:
        boxes: Tensor = decode_boxes(deltas, anchors)
        return boxes
    return torch.cat([decode_oriented(deltas, anchors)[..., :4], deltas[..., 4:]], dim=-1)


def with_metadata(graph: Any, about: dict[str, str]) -> bytes:
    """Return the bytes of a file with a graph and metadata."""
    for key, value in about.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = graph.SerializeToString()
    return content


def _compare(graph: Any, model: Model) -> tuple[float, float]:
    """Return the largest differences of scores and of coordinates from PyTorch's.

    Raises:
        ModelFileError: A difference is too large.
    """
    about = model.description
    shape = (2, len(about.bands), *_SIDES)
    middle, spread = (np.reshape(v, (1, -1, 1, 1)) for v in (about.mean, about.std))
    pixels = np.random.default_rng(0).normal(middle, spread, shape).astype(np.float32)
    given = torch.from_numpy(pixels)
    valid = torch.ones((shape[0], *_SIDES), dtype=torch.bool)
    with torch.inference_mode():
        bounds = trained_bounds(about.dtype, about.low, about.high)
        scaled = standardise(given, valid, about.mean, about.std, *bounds)
        outputs = model.network(scaled)
    wanted = _boxes(outputs), outputs.logits.sigmoid()
    session = open_session(graph.SerializeToString(), threads=torch.get_num_threads())
    found = session.run(["boxes", "scores"], {"pixels": pixels})
    boxes, scores = (
        float(np.abs(there - here.numpy()).max()) for there, here in zip(found, wanted, strict=True)
    )
    if not np.all(np.array([boxes, scores]) <= _TOLERANCE):  # or is not a number
        raise ModelFileError(
            f"the ONNX graph of {about.name} differs from PyTorch by {scores:.2g} in scores and "
            f"{boxes:.2g} px in boxes",
            hint="this is a defect of geodet: please report it",
            name=about.name,
        )
    return scores, boxes
