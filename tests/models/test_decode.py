import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from geodet.models.anchors import Anchors
from geodet.models.box_coding import decode_boxes
from geodet.models.decode import decode
from geodet.models.engine import Outputs

ANCHORS = torch.tensor([[x, y, x + 8.0, y + 8.0] for y in range(0, 12, 4) for x in range(0, 16, 4)])

FINE = 8  # anchors of the first level, where there are two


def outputs(seed=0, *, count=2, classes=2, anchors=ANCHORS):
    generator = torch.Generator().manual_seed(seed)
    return Outputs(
        torch.randn((count, len(anchors), classes), generator=generator) * 2,
        torch.randn((count, len(anchors), 4), generator=generator) * 0.2,
        anchors,
    )


def said(scores, boxes):
    """Make a network return for one chip these scores (R, K) of these boxes."""
    return Outputs(
        torch.logit(torch.tensor(scores))[None],
        torch.zeros(1, len(boxes), 4),
        torch.tensor(boxes, dtype=torch.float32),
    )


def define(out, image, *, score_threshold, iou_threshold, max_candidates, max_per_level=None):
    """Go through the candidates one by one."""
    candidates = [
        (score, anchor, label)
        for anchor, row in enumerate(out.logits[image].sigmoid().tolist())
        for label, score in enumerate(row)
        if score > score_threshold
    ]
    candidates.sort(key=lambda c: -c[0])
    passed = len(candidates)
    if max_per_level:
        parts = [[c for c in candidates if (c[1] >= FINE) is coarse] for coarse in (False, True)]
        candidates = sorted(
            parts[0][:max_per_level] + parts[1][:max_per_level], key=lambda c: -c[0]
        )
    capped = passed - len(candidates[:max_candidates])
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
    max_per_level=st.sampled_from([None, 1, 3, 1000]),
)
def test_decoding_equals_a_loop_over_the_candidates(
    seed, score_threshold, iou_threshold, max_candidates, max_per_level
):
    limits = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_candidates": max_candidates,
        "max_per_level": max_per_level,
    }
    out = outputs(seed)._replace(level_sizes=(FINE, len(ANCHORS) - FINE))
    decoded = decode(out, **limits)
    assert len(decoded) == 2
    for image, one in enumerate(decoded):
        boxes, scores, labels, capped = define(out, image, **limits)
        np.testing.assert_allclose(one.detections.boxes, boxes.numpy().reshape(-1, 4), atol=1e-5)
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
def test_no_candidate_above_the_threshold_is_an_empty_result(count):
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
def test_nan_logits_are_no_candidates(value):
    out = outputs()._replace(logits=torch.full((2, len(ANCHORS), 2), value))
    decoded = decode(out, score_threshold=0.0, iou_threshold=0.5, max_candidates=100)
    assert [len(one.detections) for one in decoded] == [0, 0]


def test_a_cap_of_each_level_is_counted_and_is_not_shared():
    """The levels of each chip are capped by themselves, and equal scores stay in order."""
    boxes = [[20.0 * i, 0, 20.0 * i + 8, 8] for i in range(7)]
    one = said([[0.6], [0.9], [0.7], [0.7], [0.3], [0.8], [0.6]], boxes)
    two = Outputs(
        torch.cat([one.logits, one.logits.flip(1)]),
        one.deltas.expand(2, -1, -1),
        one.anchors,
        (4, 3),
    )
    limits = {"score_threshold": 0.5, "iou_threshold": 0.5, "max_candidates": 3}
    first, second = decode(two, **limits, max_per_level=2)
    assert first.detections.boxes[:, 0].tolist() == [20, 100, 40]
    assert second.detections.boxes[:, 0].tolist() == [100, 20, 60]
    assert (first.capped, second.capped) == (3, 3)  # of six, one of them by max_candidates
    (free, _) = decode(two, **limits | {"max_candidates": 9}, max_per_level=4)
    assert (len(free.detections), free.capped) == (6, 0)


@pytest.mark.parametrize("count", [0, 2])
def test_a_cap_of_each_level_accepts_no_candidates(count):
    silent = outputs(count=count)._replace(logits=torch.full((count, len(ANCHORS), 2), -5.0))
    limits = {"score_threshold": 0.5, "iou_threshold": 0.5, "max_candidates": 9}
    decoded = decode(silent, **limits, max_per_level=1)
    assert [(len(one.detections), one.capped) for one in decoded] == [(0, 0)] * count


def test_five_thousand_objects_in_a_chip_are_all_found():
    """Every second anchor of P2 of a chip of 512 px is an object; its neighbours are weaker."""
    anchors = Anchors(sizes=[8.0], scales=[1.0], ratios=[1.0], strides=[4])([(128, 128)])[0]
    scores = torch.full((2, 128, 128), 0.3)
    scores[0, ::2, ::2] = 0.9
    scores[1, 1::2, ::2] = 0.9
    crowded = Outputs(torch.logit(scores).reshape(2, -1, 1), torch.zeros(2, 128**2, 4), anchors)
    loose = {"score_threshold": 0.05, "iou_threshold": 0.3, "max_candidates": 20_000}
    decoded = decode(crowded, **loose)
    for index, one in enumerate(decoded):
        strong = one.detections.scores > 0.8
        assert strong.sum() == 64 * 64
        rows = anchors[scores[index].flatten() > 0.8].numpy()
        found = one.detections.boxes[strong]
        assert {tuple(b) for b in found.tolist()} == {tuple(b) for b in rows.tolist()}
        assert one.capped == 0
    boxes = [
        [7.0 * (i % 72), 7.0 * (i // 72), 7.0 * (i % 72) + 6, 7.0 * (i // 72) + 6]
        for i in range(5000)
    ]
    (dense,) = decode(said([[0.4]] * 5000, boxes), **loose)
    assert len(dense.detections) == 5000


def test_of_equal_candidates_the_cap_takes_the_upper_left():
    """By hand: anchors of a coarse level come last, wherever they lie."""
    boxes = [[20.0, 30, 28, 38], [40, 0, 48, 8], [0, 30, 8, 38]]
    (one,) = decode(
        said([[0.7]] * 3, boxes), score_threshold=0.5, iou_threshold=0.5, max_candidates=2
    )
    assert one.detections.boxes.tolist() == [boxes[1], boxes[2]]


@given(st.floats(0.001, 0.999))
def test_a_threshold_is_exact_in_half_precision(score_threshold):
    """All numbers of bfloat16 near the threshold: rounded to it, one more would pass."""
    logit = torch.logit(torch.tensor(score_threshold, dtype=torch.float64))
    near = (logit * torch.linspace(0.9, 1.1, 400, dtype=torch.float64)).bfloat16().unique()
    boxes = torch.arange(len(near))[:, None] * 20.0 + torch.tensor([0.0, 0, 8, 8])
    out = Outputs(near.view(1, -1, 1), torch.zeros(1, len(near), 4).bfloat16(), boxes)
    (one,) = decode(out, score_threshold=score_threshold, iou_threshold=0.5, max_candidates=1000)
    scores = near.double().sigmoid().float().numpy()
    expected = scores[scores >= np.float32(score_threshold)]
    np.testing.assert_array_equal(np.sort(one.detections.scores), np.sort(expected))


def test_equal_logits_have_equal_scores():
    """Wherever they lie: a vector's lanes and what is left over are not computed alike."""
    boxes = [[20.0 * i, 0, 20.0 * i + 8, 8] for i in range(43)]
    for logit in torch.linspace(-2, 2, 401)[::4]:
        out = said([[0.5]] * 43, boxes)._replace(logits=logit.expand(1, 43, 1).clone())
        (one,) = decode(out, score_threshold=0.05, iou_threshold=0.5, max_candidates=100)
        assert len(np.unique(one.detections.scores)) == 1
