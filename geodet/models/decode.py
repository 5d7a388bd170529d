"""Decode the network's outputs to detections in chip pixels.

The arrays may be NumPy's, as on a CPU, or PyTorch's on a CUDA device: the rules are written once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import with_longer_side_first
from geodet.merging.merger import suppress
from geodet.models.box_coding import DELTAS, decode_boxes, decode_oriented
from geodet.models.device_suppression import DeviceCandidates, suppress_on_device
from geodet.models.engine import AnyArray, Outputs

__all__ = ["Decoded", "decode"]

_LARGEST = 700.0  # whose exponential is a finite float64


class Decoded(NamedTuple):
    """The detections of one chip."""

    detections: Detections
    """Detections in chip pixels, strongest first."""
    capped: int
    """Candidates that were dropped by a cap; 0 unless a cap takes effect."""


class _Candidates(NamedTuple):
    """Anchors and classes whose scores pass, ordered by image, anchor and class."""

    image: AnyArray
    """(R,)."""
    anchor: AnyArray
    label: AnyArray
    scores: AnyArray
    """(R,) float32."""


def decode(
    outputs: Outputs,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_candidates: int,
    max_per_level: int | None = None,
) -> list[Decoded]:
    """Decode outputs: apply the threshold, decode the boxes, suppress duplicates class by class.

    Args:
        outputs: Outputs for N chips, which need no gradient.
        score_threshold: Lowest score kept, in float32, whatever the precision of the outputs.
        iou_threshold: IoU above which the weaker of two boxes of one class is a duplicate.
        max_candidates: Most boxes of a chip that enter suppression, the strongest first.
        max_per_level: Most of them from a level of the pyramid, the strongest first; None: no
            limit.

    Returns:
        N results. A box may extend beyond its chip.

    Reference:
        Lin et al. 2017, arXiv:1708.02002, section 4.1, "Inference": 1,000 candidates per level.
    """
    outputs = _on_host(outputs)
    passing = _passing(outputs.logits, score_threshold)
    passed = _counts(passing.image, len(outputs.logits))
    if max_per_level is not None:
        kept = _strongest(_groups(passing, outputs), passing.scores, max_per_level)
        passing = _Candidates(*(column[kept] for column in passing))
    image, anchor, label, scores = passing
    counts = _counts(image, len(outputs.logits))
    deltas, anchors = _float32(outputs.deltas[image, anchor]), outputs.anchors[anchor]
    if deltas.shape[-1] == DELTAS["oriented"]:
        found = _oriented(decode_oriented(deltas, anchors), scores, label)
        best = _best_of_chips(found, counts, iou_threshold, max_candidates)
    elif is_torch_array(boxes := decode_boxes(deltas, anchors)):
        best = suppress_on_device(
            DeviceCandidates(image, boxes, scores, label),
            counts,
            classes=outputs.logits.shape[-1],
            iou_threshold=iou_threshold,
            max_candidates=max_candidates,
        )
    else:
        found = Detections(boxes, scores, label)
        best = _best_of_chips(found, counts, iou_threshold, max_candidates)
    return [
        Decoded(one, before - min(count, max_candidates))
        for one, before, count in zip(best, passed, counts, strict=True)
    ]


def _on_host(outputs: Outputs) -> Outputs:
    """Return the tensors of a CPU as NumPy arrays, whose functions are faster on small arrays."""
    if not is_torch_array(outputs.logits) or outputs.logits.device.type != "cpu":
        return outputs
    logits, deltas, anchors = (tensor.detach().float().numpy() for tensor in outputs[:3])
    return Outputs(logits, deltas, anchors, outputs.level_sizes)


def _float32(array: AnyArray) -> AnyArray:
    xp = array_namespace(array)
    return xp.astype(array, xp.float32, copy=False)


def _passing(logits: AnyArray, score_threshold: float) -> _Candidates:
    """Return the candidates."""
    xp = array_namespace(logits)
    # Comparing logits saves the sigmoid of the many anchors on background. The threshold is rounded
    # to the precision of the logits, so in bfloat16 some candidates are below it.
    flat = xp.nonzero(xp.reshape(logits, (-1,)) >= _logit(score_threshold))[0]
    found = xp.astype(xp.reshape(logits, (-1,))[flat], xp.float64)
    # In float32 the sigmoids of equal logits may differ in the last bit, by their place in memory.
    scores = xp.astype(1 / (1 + xp.exp(xp.clip(-found, max=_LARGEST))), xp.float32)
    flat, scores = flat[scores >= score_threshold], scores[scores >= score_threshold]
    _, anchors, classes = logits.shape
    return _Candidates(
        flat // (anchors * classes), flat // classes % anchors, flat % classes, scores
    )


def _counts(image: AnyArray, images: int) -> list[int]:
    """Count the candidates of each image; they are in order."""
    xp = array_namespace(image)
    ends = xp.searchsorted(image, xp.arange(1, images + 1, dtype=image.dtype, **_where(image)))
    numbers = [0, *ends.tolist()]
    return [end - start for start, end in pairwise(numbers)]


def _groups(passing: _Candidates, outputs: Outputs) -> AnyArray:
    """Number the pairs of chip and level; return that of each candidate: (R,)."""
    xp = array_namespace(passing.anchor)
    sizes = outputs.level_sizes or (len(outputs.anchors),)
    group, end = passing.image * len(sizes), 0
    for size in sizes[:-1]:
        end += size
        group = group + xp.astype(passing.anchor >= end, group.dtype)
    return group


def _strongest(groups: AnyArray, scores: AnyArray, count: int) -> AnyArray:
    """Return the rows of the strongest candidates of each group, the first of equals, in order."""
    xp = array_namespace(groups)
    order = xp.argsort(-scores, stable=True)
    order = order[xp.argsort(groups[order], stable=True)]
    rank = xp.arange(order.shape[0], **_where(order)) - xp.searchsorted(
        groups[order], groups[order]
    )
    return xp.sort(order[rank < count])


def _where(array: AnyArray) -> dict[str, AnyArray]:
    """Return the device of an array, as a keyword of functions that make another one there."""
    return {"device": array.device} if is_torch_array(array) else {}


def _oriented(boxes: AnyArray, scores: AnyArray, labels: AnyArray) -> Detections:
    """Return detections in host memory: oriented boxes are compared there on any device."""
    if is_torch_array(boxes):
        boxes, scores, labels = (part.cpu().numpy() for part in (boxes, scores, labels))
    rows = with_longer_side_first(np.asarray(boxes, np.float64))
    return Detections.of_oriented(rows, scores, labels)


def _best_of_chips(
    found: Detections, counts: Sequence[int], iou_threshold: float, max_candidates: int
) -> list[Detections]:
    """Return the strongest candidates of each chip, whose numbers are given."""
    ends = accumulate(counts)
    of_chips = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [_best_boxes(found.select(of), iou_threshold, max_candidates) for of in of_chips]


def _best_boxes(found: Detections, iou_threshold: float, max_candidates: int) -> Detections:
    """Return the strongest candidates of a chip, without duplicates, as a CUDA device does."""
    if len(found) > max_candidates:
        found = found.select(found.ranking()[:max_candidates])
    return suppress(found, iou_threshold=iou_threshold)


def _logit(score: float) -> float:
    if score <= 0:
        return float(np.finfo(np.float32).min)  # every logit but NaN passes
    return math.inf if score >= 1 else math.log(score / (1 - score))
