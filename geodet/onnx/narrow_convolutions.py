"""Convolutions of few outputs in two steps, which processors compute faster.

Libraries compute some 16 outputs of a convolution at once, and a detector with one anchor has one
logit and four deltas: most of that work is for nothing. A kernel of 3 x 3 is nine products with the
input, each moved by a pixel, and added. So a first convolution of 1 x 1 computes the nine products
as outputs of their own, and a second one moves and adds them.

On two cores with AVX-512, the last convolutions of ``urban-trees`` take a third of their time.
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


def split_narrow_convolutions(graph: Any, names: Collection[str]) -> Any:
    """Return a graph with convolutions of few outputs in two steps.

    Args:
        graph: An ``onnx.ModelProto``; it is changed.
        names: Convolutions of 3 x 3 that keep the size; those in integers, with strides or groups,
            or with many outputs stay as they are.
    """
    stored = {one.name: one for one in graph.graph.initializer}
    nodes = []
    for node in graph.graph.node:
        weight = stored.get(node.input[1]) if node.name in names else None
        nodes += [node] if weight is None else _split(graph, node, weight)
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    left = [one for one in graph.graph.initializer if one.name in used]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(left)
    return graph


def _split(graph: Any, node: Any, weight: Any) -> list[Any]:
    """Return the two nodes of a convolution, or itself; their weights are added to the graph."""
    onnx = import_onnx()
    outputs, inputs, *sides = weight.dims
    about = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    is_plain = about.get("group", 1) == 1 and list(about.get("strides", [])) in _STRIDES
    is_same = list(about.get("pads", [])) == [1] * 4 and set(about.get("dilations", [1])) == {1}
    products = 9 * outputs
    if sides != [3, 3] or products > _MOST_PRODUCTS or not (is_plain and is_same):
        return [node]
    kernels = onnx.numpy_helper.to_array(weight)  # (O, I, 3, 3)
    taps = kernels.transpose(0, 2, 3, 1).reshape(products, inputs, 1, 1)
    named = {f"{node.name}_taps": taps, f"{node.name}_sum": _sum_of_taps(outputs)}
    graph.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in named.items()
    )
    first, second = named
    product = f"{node.name}_products"
    rest = [second, *node.input[2:]]
    return [
        onnx.helper.make_node("Conv", [node.input[0], first], [product], name=first),
        onnx.helper.make_node(
            "Conv", [product, *rest], list(node.output), name=node.name, pads=[1] * 4
        ),
    ]


def _sum_of_taps(outputs: int) -> NDArray[np.float32]:
    """Return the weights that move and add nine products for each output: (O, 9 O, 3, 3)."""
    of_one = np.eye(9, dtype=np.float32).reshape(9, 3, 3)
    weights = np.zeros((outputs, outputs, 9, 3, 3), np.float32)
    weights[np.arange(outputs), np.arange(outputs)] = of_one
    return weights.reshape(outputs, 9 * outputs, 3, 3)
