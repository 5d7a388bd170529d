"""Read the values that pass between the layers of an ONNX graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.onnx.nodes import import_onnx
from geodet.onnx.session import open_session

__all__ = ["iter_inner_results", "own_constant"]


def iter_inner_results(
    graph: Any, names: Collection[str], chips: Sequence[NDArray[np.float32]]
) -> Iterator[Mapping[str, NDArray[np.float32]]]:
    """Yield results of layers, chip by chip.

    Args:
        graph: An ``onnx.ModelProto`` with the input ``pixels``.
        names: Names of the results.
        chips: Arrays (1, C, H, W) float32.
    """
    shown = import_onnx().ModelProto()
    shown.CopyFrom(graph)
    for name in sorted(set(names) - {one.name for one in shown.graph.output}):
        shown.graph.output.add().name = name
    session = open_session(shown.SerializeToString())
    wanted = list(names)
    for chip in chips:
        # Without names a session returns all outputs.
        found = session.run(wanted, {"pixels": chip}) if wanted else []
        yield dict(zip(wanted, found, strict=True))


def own_constant(graph: Any, node: Any, index: int) -> Any:
    """Return the constant that is an input of a node; one that others read too is copied first.

    Args:
        graph: An ``onnx.ModelProto``; it is changed.
        node: One of its nodes.
        index: Place among the inputs of the node.
    """
    name = node.input[index]
    found = next(one for one in graph.graph.initializer if one.name == name)
    if sum(name in one.input for one in graph.graph.node) == 1:
        return found
    copy = graph.graph.initializer.add()
    copy.CopyFrom(found)
    copy.name = node.input[index] = f"{name}_of_{node.name}"
    return copy
