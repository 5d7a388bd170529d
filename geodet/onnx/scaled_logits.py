"""Scale and shift the logits of a network in a finished ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from geodet.onnx.nodes import import_onnx

__all__ = ["scale_logits"]

_LOGITS = "logits"


def scale_logits(graph: Any, factors: Sequence[float], shifts: Sequence[float]) -> None:
    """Multiply the logits of each class, and add to them, before they become scores.

    Args:
        graph: The ``GraphProto`` of a file for the reader ``plain``, which may have been scaled
            before; it is changed.
        factors: Factors of the classes, in order.
        shifts: Shifts of the classes.
    """
    onnx = import_onnx()
    makers = {name: node for node in graph.node for name in node.output}
    maker, result = makers[_LOGITS], _LOGITS
    if maker.op_type == "Identity":  # the scores are made of its input
        result = maker.input[0]
        maker = makers[result]
    parts = ("unscaled", "factors", "shifts", "scaled")
    times = sum(one.name.startswith(f"{result}_factors") for one in graph.initializer) + 1
    names = {part: f"{result}_{part}_{times}" for part in parts}
    for part, values in (("factors", factors), ("shifts", shifts)):
        array = np.array(values, np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(array, names[part]))
    maker.output[list(maker.output).index(result)] = names["unscaled"]
    steps = (
        ("Mul", (names["unscaled"], names["factors"]), names["scaled"]),
        ("Add", (names["scaled"], names["shifts"]), result),
    )
    place = list(graph.node).index(maker) + 1
    for number, (kind, inputs, output) in enumerate(steps):
        name = f"{names['scaled']}_by_{kind.lower()}"
        node = onnx.helper.make_node(kind, inputs, [output], name=name)
        graph.node.insert(place + number, node)
