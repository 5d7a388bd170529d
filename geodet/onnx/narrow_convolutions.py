"""Convolutions of few outputs in three steps, which processors compute faster.

Libraries compute some 16 outputs of a convolution at once, and a detector with one anchor has one
logit and four deltas: most of that work is for nothing. A kernel of 3 x 3 is nine products with the
input, each moved by a pixel, and added. So a first step computes the nine products as outputs of
their own, a second one, of each channel alone, moves them, and a third one adds them.

The first step is a product of matrices in eight-bit integers, where the input is one of integers,
and a convolution of 1 x 1 in floats elsewhere. The sums of the integers become floats without
another rounding, and no map of all channels does: on one core with VNNI the products of the deltas
of ``urban-trees`` take a fifth of the time of those in floats.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.onnx.nodes import import_onnx

__all__ = ["split_narrow_convolutions"]

_MOST_PRODUCTS = 64  # more outputs than that: one step is as fast
_STRIDES: tuple[list[int], ...] = ([], [1, 1])
_LARGEST_WEIGHT = 63  # of seven bits, see geodet.onnx.quantise


def split_narrow_convolutions(graph: Any, names: Collection[str]) -> Any:
    """Return a graph with convolutions of few outputs in three steps.

    Args:
        graph: An ``onnx.ModelProto``; it is changed.
        names: Convolutions of 3 x 3 that keep the size; those in integers, with strides or groups,
            or with many outputs stay as they are.
    """
    stored = {one.name: one for one in graph.graph.initializer}
    makers = {name: node for node in graph.graph.node for name in node.output}
    nodes = []
    for node in graph.graph.node:
        weight = stored.get(node.input[1]) if node.name in names else None
        source = makers.get(node.input[0]) if node.input else None
        nodes += [node] if weight is None else _split(graph, node, weight, source)
    _replace(graph.graph.node, _used(nodes, {one.name for one in graph.graph.output}))
    used = {name for node in graph.graph.node for name in node.input}
    _replace(graph.graph.initializer, [one for one in graph.graph.initializer if one.name in used])
    return graph


def _split(graph: Any, node: Any, weight: Any, source: Any) -> list[Any]:
    """Return the nodes of three steps, or a convolution itself; weights are added to the graph."""
    onnx = import_onnx()
    outputs, inputs, *sides = weight.dims
    about = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    is_plain = about.get("group", 1) == 1 and list(about.get("strides", [])) in _STRIDES
    is_same = list(about.get("pads", [])) == [1] * 4 and set(about.get("dilations", [1])) == {1}
    products = 9 * outputs
    if sides != [3, 3] or products > _MOST_PRODUCTS or not (is_plain and is_same):
        return [node]
    kernels = onnx.numpy_helper.to_array(weight)  # (O, I, 3, 3)
    taps = kernels.transpose(0, 2, 3, 1).reshape(products, inputs)
    moves = np.tile(np.eye(9), (outputs, 1)).reshape(products, 1, 3, 3)
    sums = np.kron(np.eye(outputs), np.ones((1, 9))).reshape(outputs, products, 1, 1)
    second, third = f"{node.name}_moves", f"{node.name}_sum"
    product, moved = f"{node.name}_products", f"{node.name}_moved"
    _store(graph, {second: moves.astype(np.float32), third: sums.astype(np.float32)})
    make = onnx.helper.make_node
    is_integer = source is not None and source.op_type == "DequantizeLinear"
    first = (
        _products_of_integers(graph, source, taps, product)
        if is_integer
        else _products_of_floats(graph, node.input[0], taps, product)
    )
    return [
        *first,
        make("Conv", [product, second], [moved], name=second, pads=[1] * 4, group=products),
        make("Conv", [moved, third, *node.input[2:]], list(node.output), name=node.name),
    ]


def _products_of_floats(graph: Any, x: str, taps: NDArray[np.float32], result: str) -> list[Any]:
    weight = f"{result}_taps"
    _store(graph, {weight: taps[:, :, None, None]})
    return [import_onnx().helper.make_node("Conv", [x, weight], [result], name=weight)]


def _products_of_integers(
    graph: Any, source: Any, taps: NDArray[np.float32], result: str
) -> list[Any]:
    """Return the nodes of a product of matrices, cells by channels times channels by products.

    Runtimes compute it in integers, since both of its factors are read from integers.

    Args:
        graph: The weights are added to it.
        source: The node that turns the integers of the input into floats.
        taps: (P, I) weights of the products.
        result: Name of the map of the products.
    """
    steps = np.abs(taps).max(axis=1) / _LARGEST_WEIGHT
    steps[steps == 0] = 1.0
    rounded = np.rint(taps / steps[:, None]).astype(np.int8)
    factor = {"taps": rounded.T, "steps": steps, "zeros": np.zeros(len(taps), np.int8)}
    named = {f"{result}_{part}": array for part, array in factor.items()}
    _store(graph, named)
    steps_of = [f"{result}_{part}" for part in ("cells", "cell_values", "weights", "by_cell")]
    cells, values, weights, by_cell = steps_of
    make = import_onnx().helper.make_node
    return [
        make("Transpose", source.input[:1], [cells], name=cells, perm=[0, 2, 3, 1]),
        make("DequantizeLinear", [cells, *source.input[1:]], [values], name=values),
        make("DequantizeLinear", list(named), [weights], name=weights, axis=1),
        make("MatMul", [values, weights], [by_cell], name=by_cell),
        make("Transpose", [by_cell], [result], name=result, perm=[0, 3, 1, 2]),
    ]


def _store(graph: Any, arrays: dict[str, NDArray[Any]]) -> None:
    graph.graph.initializer.extend(
        import_onnx().numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in arrays.items()
    )


def _used(nodes: list[Any], outputs: set[str]) -> list[Any]:
    """Leave out the nodes whose results nothing reads any more."""
    read = outputs | {name for node in nodes for name in node.input}
    return [node for node in nodes if read & {*node.output}]


def _replace(field: Any, values: list[Any]) -> None:
    """Set a repeated field of a message."""
    del field[:]
    field.extend(values)
