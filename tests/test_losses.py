import math

import pytest
import torch
import torch.nn.functional as F
from factories_models import target
from hypothesis import given
from hypothesis import strategies as st

from geodet.models.boxcoder import encode_boxes
from geodet.models.losses import RetinaNetLoss, box_loss, classification_loss
from geodet.models.matcher import BACKGROUND, IGNORED, IouMatcher
from geodet.models.retinanet import Outputs

ANCHORS = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])
LOSS = RetinaNetLoss(IouMatcher(0.5, 0.4), alpha=0.25, gamma=2.0)


def define(logits, matches, labels, alpha, gamma):
    """Write out equation 5 of the paper, number by number."""
    total = 0.0
    for row, match in zip(logits.tolist(), matches.tolist(), strict=True):
        for index, logit in enumerate(row):
            p = 1 / (1 + math.exp(-logit))
            if match >= 0 and labels[match] == index:
                total += -alpha * (1 - p) ** gamma * math.log(p)
            elif match != IGNORED:
                total += -(1 - alpha) * p**gamma * math.log(1 - p)
    return total


def outputs(count=1, classes=1, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((count, len(ANCHORS), classes), generator=generator)
    deltas = torch.randn((count, len(ANCHORS), 4), generator=generator)
    return Outputs(logits.requires_grad_(), deltas.requires_grad_(), ANCHORS)


@given(
    numbers=st.lists(st.floats(-8, 8), min_size=12, max_size=12),
    matches=st.lists(st.sampled_from([IGNORED, BACKGROUND, 0, 1, 2]), min_size=4, max_size=4),
    alpha=st.floats(0.01, 0.99),
    gamma=st.floats(0, 5),
)
def test_the_focal_loss_is_the_papers(numbers, matches, alpha, gamma):
    logits, matches = torch.tensor(numbers).reshape(4, 3).double(), torch.tensor(matches)
    labels = torch.tensor([2, 0, 2])
    loss = classification_loss(logits, matches, labels, alpha=alpha, gamma=gamma)
    assert loss.item() == pytest.approx(define(logits, matches, labels, alpha, gamma), rel=1e-6)


def test_without_focus_it_is_half_of_cross_entropy():
    logits = torch.tensor([[0.3], [-1.0], [2.0]])
    loss = classification_loss(
        logits, torch.tensor([0, BACKGROUND, 0]), torch.tensor([0]), alpha=0.5, gamma=0.0
    )
    wanted = F.binary_cross_entropy_with_logits(
        logits, torch.tensor([[1.0], [0.0], [1.0]]), reduction="sum"
    )
    torch.testing.assert_close(loss, wanted / 2)


def test_ignored_anchors_contribute_nothing():
    logits = torch.randn(4, 2, requires_grad=True)
    matches = torch.tensor([IGNORED, 0, IGNORED, BACKGROUND])
    classification_loss(logits, matches, torch.tensor([1]), alpha=0.25, gamma=2.0).backward()
    assert (logits.grad[[0, 2]] == 0).all()
    assert (logits.grad[[1, 3]] != 0).all()
    assert logits.grad[1, 1] < 0 < logits.grad[1, 0]


def test_the_box_loss_by_hand():
    # Quadratic below 1/9: 0.1^2 * 9 / 2; linear above: 1 - 1/18 and 2 - 1/18.
    loss = box_loss(torch.tensor([[0.1, 1.0, -2.0, 0.0]]), torch.zeros(1, 4))
    assert loss.item() == pytest.approx(0.045 + 1 - 1 / 18 + 2 - 1 / 18)
    assert box_loss(torch.zeros(0, 4), torch.zeros(0, 4)) == 0


def test_sums_are_divided_by_the_positive_anchors_of_the_batch():
    found = outputs(2, classes=2)
    boxes = ANCHORS[[0, 2, 3]] + 0.5
    targets = [target(boxes.tolist(), [1, 0, 1]), target()]
    losses = LOSS(found, targets)
    matches = [torch.tensor([0, -1, 1, 2]), torch.full((4,), -1)]
    sums = [
        define(logits, match, t.labels, 0.25, 2.0)
        for logits, match, t in zip(found.logits, matches, targets, strict=True)
    ]
    assert losses.classification.item() == pytest.approx(sum(sums) / 3, rel=1e-5)
    positive = [0, 2, 3]
    wanted = box_loss(found.deltas[0, positive], encode_boxes(boxes, ANCHORS[positive])) / 3
    torch.testing.assert_close(losses.box, wanted)


def test_without_objects_the_divisor_is_one():
    found = outputs()
    losses = LOSS(found, [target()])
    wanted = define(found.logits[0], torch.full((4,), BACKGROUND), [], 0.25, 2.0)
    assert losses.classification.item() == pytest.approx(wanted, rel=1e-5)
    assert losses.box == 0
    (losses.classification + losses.box).backward()
    assert torch.isfinite(found.logits.grad).all()
    assert (found.deltas.grad == 0).all()  # there, so that DDP waits for nothing


def test_all_anchors_ignored_is_finite():
    found = outputs()
    losses = LOSS(found, [target(ignored=[[0, 0, 100, 100]])])
    assert losses == (0, 0)
    (losses.classification + losses.box).backward()
    assert (found.logits.grad == 0).all()


def test_a_region_spares_only_its_own_chip():
    found = outputs(2)
    LOSS(found, [target(ignored=[[0, 0, 35, 10]]), target()]).classification.backward()
    assert (found.logits.grad != 0)[:, :, 0].tolist() == [[False, False, True, True], [True] * 4]


def test_perfect_boxes_cost_nothing():
    boxes = ANCHORS[[1, 3]] + torch.tensor([1.0, -1.0, 2.0, 0.0])
    found = outputs()._replace(deltas=encode_boxes(boxes, ANCHORS[[1, 3]])[[0, 0, 1, 1]][None])
    assert LOSS(found, [target(boxes.tolist())]).box.item() == pytest.approx(0, abs=1e-10)


def test_half_precision_outputs_are_compared_in_float32():
    found = outputs()
    half = Outputs(found.logits.bfloat16(), found.deltas.bfloat16(), ANCHORS)
    losses = LOSS(half, [target(ANCHORS[:1].tolist())])
    assert losses.classification.dtype == losses.box.dtype == torch.float32
