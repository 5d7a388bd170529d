"""Scale the channels between convolutions so that 256 steps suit all of them.

The steps of a result are as wide as its largest channel needs. In a network that has few objects to
learn from, the largest of a layer can reach 600 times the median one, and what the others say is
lost: of ``thermal`` the boxes moved by 3 px. A ReLU, a sum or an enlargement passes factors on, so
the convolutions before are divided by a factor for each channel and those behind multiplied; the
outputs stay the same. The factors are those of SmoothQuant (Xiao et al. 2023, arXiv:2211.10438,
section 4), which share the range between results and weights; Nagel et al. 2019 (arXiv:1906.04721,
section 4.1) do so from weights alone. A ReLU6, which cuts off at 6, passes no factors on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.onnx.inner_results import iter_inner_results, own_constant
from geodet.onnx.nodes import import_onnx

__all__ = ["equalise_channels"]

_PASSING = ("Add", "MaxPool", "Relu", "Resize")
_SHARE_OF_RESULTS = 0.5  # of the range: the rest goes to the weights
_LEAST = 1e-6  # of the largest channel: one that is always 0 is scaled as if it reached this


@dataclass
class _Stream:
    """Results of layers whose channels can be scaled together only."""

    results: set[str] = field(default_factory=set)
    writers: list[Any] = field(default_factory=list)
    """Convolutions whose outputs are among the results."""
    readers: list[Any] = field(default_factory=list)
    """Convolutions that read one of them."""
    is_free: bool = True
    """Nothing else writes or reads them."""


def equalise_channels(
    graph: Any, chips: Sequence[NDArray[np.float32]], in_float: Collection[str]
) -> None:
    """Scale channels in a graph.

    Args:
        graph: An ``onnx.ModelProto`` without norms; it is changed, its outputs are not.
        chips: Arrays (1, C, H, W) in the units of the data: their largest values count.
        in_float: Names of the convolutions that stay in float: their weights take the whole range.
    """
    streams = list(_iter_streams(graph))
    # What a ReLU cuts off needs no steps.
    cut = {node.input[0] for node in graph.graph.node if node.op_type == "Relu"}
    largest = _largest(graph, {name for one in streams for name in one.results} - cut, chips)
    for stream in streams:
        of_results = np.max([_relative(largest[name]) for name in stream.results - cut], axis=0)
        weights = [_read(own_constant(graph, node, 1)) for node in stream.readers]
        of_weights = np.max([_of_inputs(values) for values in weights], axis=0)
        share = 1.0 if {one.name for one in stream.readers} <= set(in_float) else _SHARE_OF_RESULTS
        factors = of_results**share / of_weights ** (1 - share)
        factors /= np.exp(np.log(factors).mean())
        for node in stream.writers:
            for index in range(1, len(node.input)):  # weights (O, I, H, W) and, if any, biases (O)
                constant = own_constant(graph, node, index)
                shape = (-1, *[1] * (len(constant.dims) - 1))
                _write(constant, _read(constant) / factors.reshape(shape))
        for node, values in zip(stream.readers, weights, strict=True):
            _write(own_constant(graph, node, 1), values * factors[:, None, None])


def _iter_streams(graph: Any) -> Iterator[_Stream]:
    """Yield the streams that can be scaled, in the order of the graph."""
    streams: dict[str, _Stream] = {}
    constants = {one.name for one in graph.graph.initializer}

    def stream_of(name: str) -> _Stream:
        if name not in streams:
            streams[name] = _Stream({name}, is_free=name not in constants)
        return streams[name]

    for one in (*graph.graph.input, *graph.graph.output):
        stream_of(one.name).is_free = False
    for node in graph.graph.node:
        if node.op_type == "Conv":
            stream_of(node.input[0]).readers.append(node)
            stream_of(node.input[0]).is_free &= not _is_grouped(node)
            stream_of(node.output[0]).writers.append(node)
            stream_of(node.output[0]).is_free &= not _is_grouped(node)
        elif node.op_type in _PASSING:
            count = 2 if node.op_type == "Add" else 1  # the others are sizes of an enlargement
            for name in node.input[:count]:
                _join(stream_of(name), stream_of(node.output[0]), streams)
        elif node.op_type != "Shape":  # sizes do not change
            for name in (*node.input, *node.output):
                stream_of(name).is_free = False
    seen: list[_Stream] = []
    for stream in streams.values():
        if not any(stream is one for one in seen):
            seen.append(stream)
            if stream.is_free and stream.writers and stream.readers:
                yield stream


def _join(one: _Stream, other: _Stream, streams: dict[str, _Stream]) -> None:
    if one is other:
        return
    one.results |= other.results
    one.writers += other.writers
    one.readers += other.readers
    one.is_free &= other.is_free
    streams.update(dict.fromkeys(other.results, one))


def _largest(
    graph: Any, names: Collection[str], chips: Sequence[NDArray[np.float32]]
) -> Mapping[str, NDArray[np.float64]]:
    """Return the largest absolute value of each channel of some results."""
    largest = {name: np.zeros(1) for name in names}
    for results in iter_inner_results(graph, names, chips):
        for name, values in results.items():
            largest[name] = np.maximum(largest[name], np.abs(values).max(axis=(0, 2, 3)))
    return largest


def _of_inputs(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest weight of each input, as a share of the largest of an output.

    Weights have steps of their own for each output.
    """
    sizes = np.abs(weights).max(axis=(2, 3))  # (O, I)
    return np.max([_relative(of_one) for of_one in sizes], axis=0)  # type: ignore[no-any-return]


def _relative(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sizes of channels as shares of the largest."""
    shares: NDArray[np.float64] = np.maximum(sizes / (sizes.max() or 1.0), _LEAST)
    return shares


def _is_grouped(node: Any) -> bool:
    return any(one.name == "group" and one.i > 1 for one in node.attribute)


def _read(constant: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = import_onnx().numpy_helper.to_array(constant).astype(float)
    return values


def _write(constant: Any, values: NDArray[np.float64]) -> None:
    stored = np.ascontiguousarray(values, dtype=np.float32)
    constant.CopyFrom(import_onnx().numpy_helper.from_array(stored, constant.name))
