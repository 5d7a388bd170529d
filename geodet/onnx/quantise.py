"""Turn the convolutions of an ONNX graph into eight-bit integers.

The work is onnxruntime's own: its quantiser writes the QDQ form that all of its backends fuse, with
a scale for each channel of the weights and one for each tensor between the layers. Writing it node
by node as :mod:`geodet.onnx.graph` writes the floats would repeat its rules of which pairs each
backend fuses. Only convolutions are quantised. Additions, the resizing of the pyramid and the grid
of anchors stay in float: coordinates of a large window do not fit into 256 steps.

An activation that follows a convolution, ReLU or ReLU6, is part of its rounding: the 256 steps of
the result cover what the activation lets through, not what it cuts off. (With steps for all of it,
the first two layers of an EfficientNet-Lite0 alone changed scores by 0.025 in place of 0.004.)

Weights have seven bits. Processors without VNNI add two products of eight bits in sixteen, which
overflow; with seven they do not, so the results are the same on every processor.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodet.onnx.narrow_convolutions import split_narrow_convolutions
from geodet.onnx.nodes import import_onnx
from geodet.onnx.session import open_session

__all__ = ["LayerErrors", "Quantiser", "quantise_within"]

_SCORE_ERROR, _BOX_ERROR_PX = 0.005, 0.1
"""Mean differences from the floats above which another layer is left in float."""
_SHARE_IN_FLOAT = 0.3
"""Of the layers, that may be left in float to come below."""
_COMPARED = 6  # chips on which differences are measured
_ACTIVATIONS = ("Clip", "Relu")


class LayerErrors(NamedTuple):
    """Mean differences from the graph in floats, over the anchors that may pass the threshold."""

    score: float
    """Of scores."""
    box_px: float
    """Of box coordinates, in pixels."""

    @property
    def shares(self) -> tuple[float, float]:
        """Both, as multiples of what is allowed."""
        return self.score / _SCORE_ERROR, self.box_px / _BOX_ERROR_PX

    @property
    def relative(self) -> float:
        """The larger of the two multiples."""
        return max(self.shares)

    def excess_from(self, alone: LayerErrors) -> float:
        """Return how much of what is too large goes when a layer stays in float.

        Args:
            alone: The errors of a graph of which only that layer is rounded. Those of layers add
                up by their squares.
        """
        pairs = zip(self.shares, alone.shares, strict=True)
        return sum(one**2 for all_of_them, one in pairs if all_of_them > 1)


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
            self._ranges = _calibrate(self._graph, chips, folder)

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
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        quantizer = QDQQuantizer(
            self.floats(),
            True,  # a scale for each channel
            True,  # weights of seven bits
            QuantType.QInt8,
            QuantType.QUInt8,
            self._ranges,
            [*names, *self._activations(names)],
            [],
            ["Conv", *_ACTIVATIONS],
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


def quantise_within(
    quantiser: Quantiser, chips: Sequence[NDArray[np.float32]], score_threshold: float
) -> tuple[Any, LayerErrors, tuple[str, ...]]:
    """Quantise all convolutions but those that the outputs need in float.

    The last convolutions, of which nothing averages the rounding, stay in float, and so does the
    first one, which has too few channels to be faster in integers. While the result is too far from
    the floats, another layer joins them: the one that takes most from what is too large for its
    multiplications.

    Args:
        quantiser: Of a graph for the reader ``plain``.
        chips: Arrays (1, C, H, W) in the units of the data.
        score_threshold: Of the model; anchors with half of it or more are compared.

    Returns:
        The graph, its differences from the floats, and the layers that are left in float.
    """
    comparison = _Comparison(quantiser.floats(), chips[:_COMPARED], score_threshold / 2)
    kept = quantiser.outputs | quantiser.first
    in_float = [name for name in quantiser.convolutions if name in kept]
    inner = [name for name in quantiser.convolutions if name not in kept]
    graph = quantiser.quantise(inner)
    errors, alone = comparison.measure(graph), dict[str, LayerErrors]()
    costs = quantiser.costs
    while errors.relative > 1 and len(in_float) < _SHARE_IN_FLOAT * len(quantiser.convolutions):
        if not alone:
            alone = {name: comparison.measure(quantiser.quantise([name])) for name in inner}
        worst = max(inner, key=lambda name: errors.excess_from(alone[name]) / costs[name])
        inner.remove(worst)
        in_float.append(worst)
        graph = quantiser.quantise(inner)
        errors = comparison.measure(graph)
    return split_narrow_convolutions(graph, quantiser.outputs), errors, tuple(in_float)


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
            # Of oriented boxes, what follows the first four columns is no coordinate.
            boxes.append(np.abs(found[0] - wanted[0])[counted][:, :4].ravel())
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
        ["Conv", *_ACTIVATIONS],
        augmented_model_path=str(folder / "augmented.onnx"),
        calibrate_method=CalibrationMethod.MinMax,
    )
    calibrator.collect_data(Reader())
    return calibrator.compute_data()
