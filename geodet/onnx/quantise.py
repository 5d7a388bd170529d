"""Turn the convolutions of an ONNX graph into eight-bit integers.

The work is onnxruntime's own: its quantiser writes the QDQ form that all of its backends fuse, with
a scale for each channel of the weights and one for each tensor between the layers. Writing it node
by node as :mod:`geodet.onnx.graph` writes the floats would repeat its rules of which pairs each
backend fuses. Only convolutions are quantised. Additions, the resizing of the pyramid and the grid
of anchors stay in float: coordinates of a large window do not fit into 256 steps.

Weights have seven bits. Processors without VNNI add two products of eight bits in sixteen, which
overflow; with seven they do not, so the results are the same on every processor.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodet.onnx.nodes import import_onnx
from geodet.onnx.session import open_session

__all__ = ["LayerErrors", "Quantiser", "quantise_within"]

_SCORE_ERROR, _BOX_ERROR_PX = 0.005, 0.1
"""Mean differences from the floats above which another layer is left in float."""
_SHARE_IN_FLOAT = 0.3
"""Of the layers, that may be left in float to come below."""
_COMPARED = 6  # chips on which differences are measured


class LayerErrors(NamedTuple):
    """Mean differences from the graph in floats, over the anchors that may pass the threshold."""

    score: float
    """Of scores."""
    box_px: float
    """Of box coordinates, in pixels."""

    @property
    def relative(self) -> float:
        """The larger of both, as a multiple of what is allowed."""
        return max(self.score / _SCORE_ERROR, self.box_px / _BOX_ERROR_PX)


class Quantiser:
    """Quantises a graph any number of times, after one calibration.

    Args:
        graph: An ``onnx.ModelProto`` with the input ``pixels``.
        chips: Arrays (N, C, H, W) float32, in the units of the data: what the layers pass on while
            they are computed decides the scales.

    Raises:
        ConfigError: The package onnxruntime is not installed.
    """

    def __init__(self, graph: Any, chips: Sequence[NDArray[np.float32]]) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self._graph = _folded(graph, folder)
            self._ranges = _calibrate(self._graph, chips, folder)

    @property
    def convolutions(self) -> list[str]:
        """Names of the convolutions, in the order of the graph."""
        return [node.name for node in self._graph.graph.node if node.op_type == "Conv"]

    @property
    def outputs(self) -> set[str]:
        """Names of the convolutions whose results no other layer reads: logits and deltas."""
        of = {name: node for node in self._graph.graph.node for name in node.output}
        found = set()
        for output in ("logits", "deltas"):
            waiting = [output]
            while waiting:
                node = of.get(waiting.pop())
                if node is None:
                    continue
                if node.op_type == "Conv":
                    found.add(node.name)
                else:
                    waiting += list(node.input)
        return found

    def floats(self) -> Any:
        """Return the graph in floats, with the norms folded into the convolutions."""
        copy = import_onnx().ModelProto()
        copy.CopyFrom(self._graph)
        return copy

    def quantise(self, names: Collection[str]) -> Any:
        """Return the graph with these convolutions in eight-bit integers."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        quantizer = QDQQuantizer(
            self.floats(),
            True,  # a scale for each channel
            True,  # weights of seven bits
            QuantType.QInt8,
            QuantType.QUInt8,
            self._ranges,
            list(names),
            [],
            ["Conv"],
            {"DedicatedQDQPair": False},
        )
        quantizer.quantize_model()
        return quantizer.model.model


def quantise_within(
    quantiser: Quantiser, chips: Sequence[NDArray[np.float32]], score_threshold: float
) -> tuple[Any, LayerErrors, tuple[str, ...]]:
    """Quantise all convolutions but those that the outputs need in float.

    The last convolutions, of which nothing averages the rounding, stay in float. While the result
    is too far from the floats, the layer whose rounding alone changes it most joins them.

    Args:
        quantiser: Of a graph for the reader ``plain``.
        chips: Arrays (1, C, H, W) in the units of the data.
        score_threshold: Of the model; anchors with half of it or more are compared.

    Returns:
        The graph, its differences from the floats, and the layers that are left in float.
    """
    comparison = _Comparison(quantiser.floats(), chips[:_COMPARED], score_threshold / 2)
    in_float = [name for name in quantiser.convolutions if name in quantiser.outputs]
    inner = [name for name in quantiser.convolutions if name not in quantiser.outputs]
    graph = quantiser.quantise(inner)
    errors, ranking = comparison.measure(graph), list[str]()
    while errors.relative > 1 and len(in_float) < _SHARE_IN_FLOAT * len(quantiser.convolutions):
        if not ranking:
            alone = {name: comparison.measure(quantiser.quantise([name])) for name in inner}
            ranking = sorted(inner, key=lambda name: alone[name].relative)
        worst = ranking.pop()
        inner.remove(worst)
        in_float.append(worst)
        graph = quantiser.quantise(inner)
        errors = comparison.measure(graph)
    return graph, errors, tuple(in_float)


class _Comparison:
    """The outputs of a graph in floats, to compare others with."""

    def __init__(self, graph: Any, chips: Sequence[NDArray[np.float32]], least: float) -> None:
        self._chips = chips
        self._wanted = [self._run(graph, chip) for chip in chips]
        self._counted = [scores.max(axis=-1) >= least for _, scores in self._wanted]

    def measure(self, graph: Any) -> LayerErrors:
        session = open_session(graph.SerializeToString())
        boxes, scores = [np.zeros(1)], [np.zeros(1)]
        for chip, wanted, counted in zip(self._chips, self._wanted, self._counted, strict=True):
            found = session.run(["boxes", "scores"], {"pixels": chip})
            boxes.append(np.abs(found[0] - wanted[0])[counted].ravel())
            scores.append(np.abs(found[1] - wanted[1])[counted].ravel())
        return LayerErrors(*(float(np.concatenate(part).mean()) for part in (scores, boxes)))

    def _run(self, graph: Any, chip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        session = open_session(graph.SerializeToString())
        found: list[NDArray[np.float32]] = session.run(["boxes", "scores"], {"pixels": chip})
        return found


def _folded(graph: Any, folder: Path) -> Any:
    """Fold norms into convolutions, as onnxruntime does when it opens a file."""
    path = folder / "folded.onnx"
    open_session(graph.SerializeToString(), folded=path)
    folded = import_onnx().load(str(path))
    for index, node in enumerate(folded.graph.node):  # those that were fused have no name
        node.name = node.name or f"{node.op_type.lower()}_of_{index}"
    return folded


def _calibrate(graph: Any, chips: Sequence[NDArray[np.float32]], folder: Path) -> Any:
    """Return the least and the largest value of each tensor that a convolution reads or writes."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._fed: Iterator[dict[str, NDArray[np.float32]]] = ({"pixels": c} for c in chips)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._fed, None)

    path = folder / "calibrated.onnx"
    import_onnx().save(graph, str(path))
    calibrator = create_calibrator(
        path,
        ["Conv", "Relu"],
        augmented_model_path=str(folder / "augmented.onnx"),
        calibrate_method=CalibrationMethod.MinMax,
    )
    calibrator.collect_data(Reader())
    return calibrator.compute_data()
