"""Choose the convolutions that stay in floats beside those in eight-bit integers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodet.onnx.narrow_convolutions import split_narrow_convolutions
from geodet.onnx.quantise import Quantiser
from geodet.onnx.session import open_session

__all__ = ["LayerErrors", "QuantisedGraph", "iter_quantised"]

_SCORE_ERROR, _BOX_ERROR = 0.06, 0.01
"""Mean differences from the floats above which another layer is left in float: of scores as a share
of their standard deviation, which is wider with cross entropy than with focal loss, and of
coordinates as a share of the side of a box. Below them F1 of the bundled models is within 0.002 of
that in floats."""
_LIMITS = (1.0, 0.75)
"""Of the errors, as multiples of these: the second is tried where objects differ too much."""
_SHARE_IN_FLOAT = 0.3
"""Of the multiplications, that may be left in float to come below."""
_COMPARED = 6  # chips on which differences are measured


class LayerErrors(NamedTuple):
    """Mean differences from the graph in floats, over the anchors that may pass the threshold."""

    score: float
    """Mean difference of scores."""
    box_px: float
    """Mean difference of box coordinates, in pixels."""
    spread: float
    """Standard deviation of the scores in floats, of all classes together."""
    side_px: float
    """Mean side of the boxes in floats, in pixels."""

    @property
    def shares(self) -> tuple[float, float]:
        """Both differences, as multiples of what is allowed."""
        allowed = _SCORE_ERROR * self.spread, _BOX_ERROR * self.side_px
        return self.score / (allowed[0] or 1.0), self.box_px / (allowed[1] or 1.0)

    @property
    def relative(self) -> float:
        """The larger of the two multiples."""
        return max(self.shares)

    def excess_from(self, alone: LayerErrors, limit: float = 1.0) -> float:
        """Return how much of what is too large goes when a layer stays in float.

        Args:
            alone: The errors of a graph of which only that layer is rounded. Those of layers add
                up by their squares.
            limit: Multiple of what is allowed, above which an error is too large.
        """
        pairs = zip(self.shares, alone.shares, strict=True)
        return sum(one**2 for all_of_them, one in pairs if all_of_them > limit)


class QuantisedGraph(NamedTuple):
    """A graph in eight-bit integers."""

    graph: Any
    """The ``onnx.ModelProto``."""
    errors: LayerErrors
    """Its differences from the floats."""
    in_float: tuple[str, ...]
    """Names of the convolutions that are left in float."""


def iter_quantised(
    quantiser: Quantiser, chips: Sequence[NDArray[np.float32]], score_threshold: float
) -> Iterator[QuantisedGraph]:
    """Quantise all convolutions but those that the outputs need in float; then with more of these.

    The results of the last convolutions, of which nothing averages the rounding, stay in float, and
    so does the first one, which has too few channels to be faster in integers. While the result is
    too far from the floats, another layer joins them: the one that takes most from what is too
    large for its multiplications, until too many would. The second graph, if there is one, is
    nearer to the floats than the first.

    Args:
        quantiser: Quantiser of a graph for the reader ``plain``.
        chips: Arrays (1, C, H, W) in the units of the data.
        score_threshold: Score threshold of the model; anchors with half of it or more are compared.
    """
    comparison = _Comparison(quantiser.floats(), chips[:_COMPARED], score_threshold / 2)
    kept = quantiser.outputs | quantiser.first
    in_float = [name for name in quantiser.convolutions if name in kept]
    inner = [name for name in quantiser.convolutions if name not in kept]
    graph, alone = _rounded(quantiser, inner), dict[str, LayerErrors]()
    errors = comparison.measure(graph)
    costs = quantiser.costs
    most = _SHARE_IN_FLOAT * sum(costs.values())
    for limit in _LIMITS:
        changed = limit == _LIMITS[0]
        while errors.relative > limit:
            if not alone:
                alone = {name: comparison.measure(quantiser.quantise([name])) for name in inner}
            spent = sum(costs[name] for name in in_float)
            payable = [name for name in inner if spent + costs[name] <= most]
            if not payable:
                break
            gains = {n: errors.excess_from(alone[n], limit) / costs[n] for n in payable}
            worst = max(gains, key=gains.__getitem__)
            inner.remove(worst)
            in_float.append(worst)
            graph = _rounded(quantiser, inner)
            errors, changed = comparison.measure(graph), True
        if changed:
            yield QuantisedGraph(graph, errors, tuple(in_float))


def _rounded(quantiser: Quantiser, names: Collection[str]) -> Any:
    return split_narrow_convolutions(quantiser.quantise(names), quantiser.outputs)


class _Comparison:
    """The outputs of a graph in floats, to compare others with."""

    def __init__(self, graph: Any, chips: Sequence[NDArray[np.float32]], least: float) -> None:
        self._chips = chips
        outputs = [self._run(graph, chip) for chip in chips]
        self._counted = [scores.max(axis=-1) >= least for _, scores in outputs]
        self._boxes, self._scores = self._gather(outputs)
        sides = np.sqrt(np.abs(np.prod(self._boxes[:, 2:] - self._boxes[:, :2], axis=1)))
        self._spread = float(self._scores.std()) if self._scores.size else 0.0
        self._side_px = _mean(sides)

    def measure(self, graph: Any) -> LayerErrors:
        boxes, scores = self._gather([self._run(graph, chip) for chip in self._chips])
        differences = _mean(np.abs(scores - self._scores)), _mean(np.abs(boxes - self._boxes))
        return LayerErrors(*differences, self._spread, self._side_px)

    def _gather(
        self, outputs: Sequence[Sequence[NDArray[np.float32]]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the boxes (K, 4) and the scores (K, classes) of the counted anchors."""
        pairs = list(zip(outputs, self._counted, strict=True))
        # Of oriented boxes, what follows the first four columns is no coordinate.
        boxes = np.concatenate([found[0][use][:, :4] for found, use in pairs])
        return boxes, np.concatenate([found[1][use] for found, use in pairs])

    def _run(self, graph: Any, chip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        session = open_session(graph.SerializeToString())
        found: list[NDArray[np.float32]] = session.run(["boxes", "scores"], {"pixels": chip})
        return found


def _mean(values: NDArray[np.float32]) -> float:
    return float(values.mean()) if values.size else 0.0
