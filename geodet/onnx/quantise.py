"""Turn the convolutions of an ONNX graph into eight-bit integers.

The work is onnxruntime's own: its quantiser writes the QDQ form that all of its backends fuse, with
a scale for each channel of the weights and one for each tensor between the layers. Writing it node
by node as :mod:`geodet.onnx.graph` writes the floats would repeat its rules of which pairs each
backend fuses. Convolutions are quantised, and where the one behind them is, the enlarged maps of
the pyramid: backends then enlarge and add in integers. The grid of anchors stays in float:
coordinates of a large window do not fit into 256 steps.

An activation that follows a convolution, ReLU or ReLU6, is part of its rounding: the 256 steps of
the result cover what the activation lets through, not what it cuts off. (With steps for all of it,
the first two layers of an EfficientNet-Lite0 alone changed scores by 0.025 in place of 0.004.)

Weights have seven bits. Processors without VNNI add two products of eight bits in sixteen, which
overflow; with seven they do not, so the results are the same on every processor.

Before, channels are scaled so that the steps suit all of them
(:mod:`geodet.onnx.equalise_channels`); afterwards what rounding shifts is taken out of the biases
(:mod:`geodet.onnx.correct_biases`).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.onnx.correct_biases import add_to_biases, find_shifts
from geodet.onnx.equalise_channels import equalise_channels
from geodet.onnx.inner_results import own_constant
from geodet.onnx.nodes import import_onnx
from geodet.onnx.session import open_session

__all__ = ["Quantiser"]

_SHIFTED = 4  # chips on which shifts are measured
_ACTIVATIONS = ("Clip", "Relu")
_PASSED = ("Add", "Resize")  # between an enlarged map and the convolution that reads it


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
            self._shape = chips[0].shape
            equalise_channels(self._graph, chips, self.outputs)
            self._ranges = _calibrate(self._graph, chips, folder)
        rounded = self._round(self.convolutions)
        self._shifts = find_shifts(rounded, self._graph, chips[:_SHIFTED])

    @property
    def convolutions(self) -> list[str]:
        """Names of the convolutions, in the order of the graph."""
        return [node.name for node in self._graph.graph.node if node.op_type == "Conv"]

    @property
    def first(self) -> set[str]:
        """Names of the convolutions that read the bands, in whose integers nothing is gained."""
        bands = self._graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        return {node.name for node, weight in self._iter_weighted() if weight[1] == bands}

    @property
    def costs(self) -> Mapping[str, float]:
        """Multiplications of each convolution, for one of the chips that calibrate."""
        sizes = _sizes(self.floats(), self._shape)
        return {
            node.name: math.prod(weight) * math.prod(sizes.get(node.output[0], (1,)))
            for node, weight in self._iter_weighted()
        }

    def _iter_weighted(self) -> Iterator[tuple[Any, tuple[int, ...]]]:
        """Yield the nodes of convolutions and the shapes of their weights."""
        shapes = {one.name: tuple(one.dims) for one in self._graph.graph.initializer}
        for node in self._graph.graph.node:
            if node.op_type == "Conv":
                yield node, shapes[node.input[1]]

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
        graph = self._round(names)
        add_to_biases(graph, self._shifts, names)
        return graph

    def _round(self, names: Collection[str]) -> Any:
        """Return the graph with rounded convolutions, whose biases are those of the floats."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        quantizer = QDQQuantizer(
            self.floats(),
            True,  # a scale for each channel
            True,  # weights of seven bits
            QuantType.QInt8,
            QuantType.QUInt8,
            self._ranges,
            [*names, *self._activations(names), *self._enlargements(names)],
            [],
            ["Conv", *_PASSED, *_ACTIVATIONS],
            {"DedicatedQDQPair": False},
        )
        quantizer.quantize_model()
        return quantizer.model.model

    def _activations(self, names: Collection[str]) -> list[str]:
        """Name the activations of convolutions."""
        results = {node.output[0] for node in self._graph.graph.node if node.name in names}
        return [
            node.name
            for node in self._graph.graph.node
            if node.op_type in _ACTIVATIONS and node.input[0] in results
        ]

    def _enlargements(self, names: Collection[str]) -> list[str]:
        """Name the enlargements of maps, and their sums, that only these convolutions read."""
        nodes = self._graph.graph.node
        readers: dict[str, list[Any]] = {}
        for node in nodes:
            for name in node.input:
                readers.setdefault(name, []).append(node)

        def is_rounded(node: Any) -> bool:
            if node.op_type in _PASSED:
                return all(map(is_rounded, readers.get(node.output[0], ())))
            return node.name in names

        enlarged = {node.output[0] for node in nodes if node.op_type == "Resize"}
        of_the_pyramid = [
            node
            for node in nodes
            if node.op_type == "Resize" or (node.op_type == "Add" and enlarged & {*node.input})
        ]
        return [node.name for node in of_the_pyramid if is_rounded(node)]


def _folded(graph: Any, folder: Path) -> Any:
    """Fold norms into convolutions, as onnxruntime does when it opens a file."""
    path = folder / "folded.onnx"
    open_session(graph.SerializeToString(), folded=path)
    folded = import_onnx().load(str(path))
    for index, node in enumerate(folded.graph.node):  # those that were fused have no name
        node.name = node.name or f"{node.op_type.lower()}_of_{index}"
        if node.op_type == "Conv" and len(node.input) > 2:
            own_constant(folded, node, 2)  # what rounding shifts differs between levels
    return folded


def _sizes(graph: Any, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return the height and width of the results of a graph, which is changed."""
    onnx = import_onnx()
    for dim, length in zip(graph.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = length
    known = onnx.shape_inference.infer_shapes(graph, data_prop=True)
    return {
        one.name: tuple(dim.dim_value for dim in one.type.tensor_type.shape.dim[2:])
        for one in known.graph.value_info
    }


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
        ["Conv", "Resize", *_ACTIVATIONS],
        augmented_model_path=str(folder / "augmented.onnx"),
        calibrate_method=CalibrationMethod.MinMax,
    )
    calibrator.collect_data(Reader())
    return calibrator.compute_data()
