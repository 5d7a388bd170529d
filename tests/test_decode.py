import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from geodet.models.boxcoder import decode_boxes
from geodet.models.decode import decode
from geodet.models.retinanet import Outputs

ANCHORS = torch.tensor([[x, y, x + 8.0, y + 8.0] for y in range(0, 12, 4) for x in range(0, 16, 4)])


def outputs(seed=0, *, count=2, classes=2, anchors=ANCHORS):
    generator = torch.Generator().manual_seed(seed)
    return Outputs(
        torch.randn((count, len(anchors), classes), generator=generator) * 2,
        torch.randn((count, len(anchors), 4), generator=generator) * 0.2,
        anchors,
    )


def said(scores, boxes):
    """Let a network say of one chip these scores (R, K) of these boxes."""
    return Outputs(
        torch.logit(torch.tensor(scores))[None],
        torch.zeros(1, len(boxes), 4),
        torch.tensor(boxes, dtype=torch.float32),
    )


def define(out, image, *, score_threshold, iou_threshold, max_candidates):
    """Go through the candidates one by one."""
    candidates = [
        (score, anchor, label)
        for anchor, row in enumerate(out.logits[image].sigmoid().tolist())
        for label, score in enumerate(row)
        if score > score_threshold
    ]
    candidates.sort(key=lambda c: -c[0])
    capped = max(len(candidates) - max_candidates, 0)
    boxes = decode_boxes(out.deltas[image], out.anchors)
    kept = []
    for score, anchor, label in candidates[:max_candidates]:
        rivals = [boxes[other] for _, other, name in kept if name == label]
        if not rivals or box_iou(boxes[anchor][None], torch.stack(rivals)).max() <= iou_threshold:
            kept.append((score, anchor, label))
    return boxes[[a for _, a, _ in kept]], [s for s, _, _ in kept], [c for _, _, c in kept], capped


@given(
    seed=st.integers(0, 10_000),
    score_threshold=st.sampled_from([0.0, 0.05, 0.3, 0.7, 0.99]),
    iou_threshold=st.sampled_from([0.1, 0.3, 0.5, 0.9]),
    max_candidates=st.sampled_from([1, 5, 1000]),
)
def test_it_does_what_the_slow_loop_does(seed, score_threshold, iou_threshold, max_candidates):
    limits = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_candidates": max_candidates,
    }
    out = outputs(seed)
    decoded = decode(out, **limits)
    assert len(decoded) == 2
    for image, one in enumerate(decoded):
        boxes, scores, labels, capped = define(out, image, **limits)
        np.testing.assert_allclose(one.detections.boxes, boxes.numpy().reshape(-1, 4))
        np.testing.assert_allclose(one.detections.scores, scores, rtol=1e-6)
        assert one.detections.labels.tolist() == labels
        assert one.capped == capped


def test_two_classes_at_one_place_both_survive():
    (one,) = decode(
        said([[0.9, 0.8], [0.7, 0.1]], [[0, 0, 8, 8], [1, 0, 9, 8]]),
        score_threshold=0.5,
        iou_threshold=0.5,
        max_candidates=10,
    )
    np.testing.assert_array_equal(one.detections.boxes, [[0, 0, 8, 8], [0, 0, 8, 8]])
    assert one.detections.labels.tolist() == [0, 1]
    np.testing.assert_allclose(one.detections.scores, [0.9, 0.8])


@pytest.mark.parametrize("x", [0.0, 1e6])
def test_suppression_does_not_lose_precision_far_from_the_origin(x):
    boxes = [[x, 0, x + 8, 8], [x + 4, 0, x + 12, 8]]  # an overlap of one third
    for iou_threshold, survivors in ((0.34, 2), (0.33, 1)):
        (one,) = decode(
            said([[0.9], [0.8]], boxes),
            score_threshold=0.5,
            iou_threshold=iou_threshold,
            max_candidates=10,
        )
        assert len(one.detections) == survivors


@pytest.mark.parametrize("count", [0, 1, 3])
def test_nothing_above_the_threshold_is_empty(count):
    silent = outputs(count=count)._replace(logits=torch.full((count, len(ANCHORS), 2), -5.0))
    decoded = decode(silent, score_threshold=0.5, iou_threshold=0.5, max_candidates=10)
    assert [len(one.detections) for one in decoded] == [0] * count
    for one in decoded:
        assert one.detections.boxes.shape == (0, 4)
        assert one.capped == 0


def test_the_cap_takes_the_strongest_and_is_counted():
    boxes = [[20.0 * i, 0, 20.0 * i + 8, 8] for i in range(5)]
    (one,) = decode(
        said([[0.6], [0.9], [0.2], [0.8], [0.7]], boxes),
        score_threshold=0.5,
        iou_threshold=0.5,
        max_candidates=2,
    )
    assert one.detections.boxes[:, 0].tolist() == [20, 60]
    assert one.capped == 2


def test_a_cap_that_just_fits_is_not_counted():
    out = outputs(count=1)
    (one,) = decode(out, score_threshold=0.0, iou_threshold=1.0, max_candidates=out.logits.numel())
    assert (one.capped, len(one.detections)) == (0, out.logits.numel())


def test_threshold_zero_keeps_all_and_one_keeps_none():
    out = outputs(count=1)
    limits = {"iou_threshold": 1.0, "max_candidates": 1000}
    assert len(decode(out, score_threshold=0.0, **limits)[0].detections) == 24
    assert len(decode(out, score_threshold=1.0, **limits)[0].detections) == 0


def test_a_chip_does_not_depend_on_its_batch():
    limits = {"score_threshold": 0.3, "iou_threshold": 0.4, "max_candidates": 9}
    out = outputs(count=4)
    together = decode(out, **limits)
    for image, one in enumerate(together):
        part = Outputs(out.logits[[image]], out.deltas[[image]], out.anchors)
        (alone,) = decode(part, **limits)
        np.testing.assert_array_equal(alone.detections.boxes, one.detections.boxes)
        np.testing.assert_array_equal(alone.detections.scores, one.detections.scores)
        assert alone.capped == one.capped


def test_equal_scores_stay_in_the_order_of_the_anchors():
    boxes = [[20.0 * i, 0, 20.0 * i + 8, 8] for i in range(50)]
    (one,) = decode(
        said([[0.7]] * 50, boxes), score_threshold=0.5, iou_threshold=0.5, max_candidates=20
    )
    assert one.detections.boxes[:, 0].tolist() == [20.0 * i for i in range(20)]
    assert one.capped == 30


def test_boxes_may_reach_over_the_edge():
    (one,) = decode(
        said([[0.9]], [[-3, -2, 5, 6]]), score_threshold=0.5, iou_threshold=0.5, max_candidates=9
    )
    np.testing.assert_array_equal(one.detections.boxes, [[-3, -2, 5, 6]])


def test_half_precision_outputs_give_float64_boxes():
    half = Outputs(*(part.bfloat16() for part in outputs()[:2]), ANCHORS)
    (one, _) = decode(half, score_threshold=0.3, iou_threshold=0.5, max_candidates=100)
    assert one.detections.boxes.dtype == np.float64
    assert one.detections.scores.dtype == np.float32
    assert one.detections.scores.min() > 0.3


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_logits_that_are_no_numbers_give_nothing(value):
    out = outputs()._replace(logits=torch.full((2, len(ANCHORS), 2), value))
    decoded = decode(out, score_threshold=0.0, iou_threshold=0.5, max_candidates=100)
    assert [len(one.detections) for one in decoded] == [0, 0]
