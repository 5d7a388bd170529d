"""Take what rounding shifts out of the biases of convolutions in integers.

Rounding moves the results of a channel to one side, as a rule by a fraction of a step, and a
network adds up what its layers move. Nagel et al. 2019 (arXiv:1906.04721, section 4.2) subtract the
mean error of each channel. Here it is the median of each chip: where a few objects give values a
thousand times those of the ground, their errors decide the mean, and boxes of ``thermal`` moved by
2 px more. The error of a layer is measured with its inputs as the floats are, so all of them in one
pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.onnx.inner_results import iter_inner_results
from geodet.onnx.nodes import import_onnx

__all__ = ["add_to_biases", "find_shifts"]

_FLOATS = "float/"  # before the names of the graph in floats


def find_shifts(
    rounded: Any, floats: Any, chips: Sequence[NDArray[np.float32]]
) -> Mapping[str, NDArray[np.float32]]:
    """Return how far each convolution is below the floats, for each channel of its result.

    Args:
        rounded: The graph in integers, QDQ.
        floats: The same graph in floats.
        chips: Arrays (1, C, H, W) in the units of the data.
    """
    here, there = _results_of_convolutions(rounded), _results_of_convolutions(floats)
    asked = [*here.values(), *(_FLOATS + name for name in there.values())]
    shifts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in here}
    for found in iter_inner_results(_side_by_side(rounded, floats), asked, chips):
        for name, of_chips in shifts.items():
            difference = found[_FLOATS + there[name]] - found[here[name]]  # (1, C, H, W)
            of_chips.append(np.median(difference, axis=(0, 2, 3)))
    return {name: np.mean(of_chips, axis=0) for name, of_chips in shifts.items()}


def add_to_biases(
    rounded: Any, shifts: Mapping[str, NDArray[np.float32]], names: Collection[str]
) -> None:
    """Add shifts to the biases of convolutions.

    Args:
        rounded: The graph in integers, QDQ; it is changed.
        shifts: For each convolution, by channel.
        names: Names of the convolutions; one without a bias stays as it is.
    """
    numpy_helper = import_onnx().numpy_helper
    makers = {name: node for node in rounded.graph.node for name in node.output}
    stored = {one.name: one for one in rounded.graph.initializer}
    for node in rounded.graph.node:
        if node.name not in names or len(node.input) < 3:
            continue
        steps = numpy_helper.to_array(stored[makers[node.input[2]].input[1]])
        bias = stored[makers[node.input[2]].input[0]]
        values = numpy_helper.to_array(bias) + np.rint(shifts[node.name] / steps)
        bias.CopyFrom(numpy_helper.from_array(values.astype(np.int32), bias.name))


def _side_by_side(rounded: Any, floats: Any) -> Any:
    """Return a graph of both, whose integers round what passes between the layers of the floats."""
    both = import_onnx().ModelProto()
    both.CopyFrom(floats)
    outside = {one.name for one in both.graph.input}
    for node in both.graph.node:
        node.name = _FLOATS + node.name
        for index, name in enumerate(node.input):
            if name and name not in outside:
                node.input[index] = _FLOATS + name
        for index, name in enumerate(node.output):
            node.output[index] = _FLOATS + name
    for one in (*both.graph.initializer, *both.graph.output, *both.graph.value_info):
        one.name = _FLOATS + one.name
    made = {name for node in both.graph.node for name in node.output}
    both.graph.initializer.extend(rounded.graph.initializer)
    for node in rounded.graph.node:
        added = both.graph.node.add()
        added.CopyFrom(node)
        if node.op_type == "QuantizeLinear" and _FLOATS + node.input[0] in made:
            added.input[0] = _FLOATS + node.input[0]
    del both.opset_import[:]
    both.opset_import.extend(rounded.opset_import)
    return both


def _results_of_convolutions(graph: Any) -> Mapping[str, str]:
    return {node.name: node.output[0] for node in graph.graph.node if node.op_type == "Conv"}
