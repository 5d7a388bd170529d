import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from factories_models import define_focal_loss
from hypothesis import given
from hypothesis import strategies as st

from geodet.training.assigners import BACKGROUND, IGNORED
from geodet.training.losses import (
    ClassificationLoss,
    HardExamples,
    balanced_cross_entropy,
    cross_entropy,
    focal_loss,
    focal_star_loss,
)

FOCAL = ClassificationLoss(partial(focal_loss, alpha=0.25, gamma=2.0))
COMPARISONS = [
    cross_entropy,
    partial(balanced_cross_entropy, alpha=0.75),
    partial(focal_loss, alpha=0.25, gamma=2.0),
    partial(focal_star_loss, gamma=2.0, beta=1.0),
]
NO_LABELS = torch.zeros(0, dtype=torch.int64)
ANCHORS = torch.tensor([[20.0 * i, 0, 20.0 * i + 10, 10] for i in range(4)])

numbers = st.lists(st.floats(-8, 8), min_size=12, max_size=12)
match_lists = st.lists(st.sampled_from([IGNORED, BACKGROUND, 0, 1, 2]), min_size=4, max_size=4)


def of_one_chip(loss, logits, matches, labels):
    """Call the loss with a batch of one chip, whose objects have these labels."""
    matches = torch.as_tensor(matches)
    labels = torch.cat([torch.as_tensor(labels), torch.zeros(1, dtype=torch.int64)])
    of_anchors = labels[torch.where(matches >= 0, matches, len(labels) - 1)]
    return loss(logits[None], matches[None], of_anchors[None], ANCHORS)


def sum_of(loss, logits, matches, labels):
    return of_one_chip(loss, logits, matches, labels)[0]


@given(numbers=numbers, matches=match_lists, alpha=st.floats(0.01, 0.99), gamma=st.floats(0, 5))
def test_the_focal_loss_is_the_papers(numbers, matches, alpha, gamma):
    logits, labels = torch.tensor(numbers).reshape(4, 3).double(), torch.tensor([2, 0, 2])
    loss = ClassificationLoss(partial(focal_loss, alpha=alpha, gamma=gamma))
    wanted = define_focal_loss(logits, torch.tensor(matches), labels, alpha, gamma)
    assert sum_of(loss, logits, matches, labels).item() == pytest.approx(wanted, rel=1e-6)


def targets_like(numbers):
    logits = torch.tensor(numbers, dtype=torch.float64)
    return logits, (torch.arange(len(numbers)) % 2).double()


@given(numbers=numbers, alpha=st.floats(0.01, 0.99))
def test_without_focus_it_is_balanced_cross_entropy(numbers, alpha):
    logits, targets = targets_like(numbers)
    torch.testing.assert_close(
        focal_loss(logits, targets, alpha=alpha, gamma=0.0),
        balanced_cross_entropy(logits, targets, alpha=alpha),
    )


@given(numbers=numbers, alpha=st.floats(0, 1))
def test_balanced_cross_entropy_weighs_both_sides(numbers, alpha):
    logits, targets = targets_like(numbers)
    plain = cross_entropy(logits, targets)
    found = balanced_cross_entropy(logits, targets, alpha=alpha)
    torch.testing.assert_close(found[1::2], alpha * plain[1::2])
    torch.testing.assert_close(found[::2], (1 - alpha) * plain[::2])


@given(numbers=numbers)
def test_cross_entropy_is_minus_the_logarithm_of_what_is_true(numbers):
    logits, targets = targets_like(numbers)
    p = torch.sigmoid(logits)
    wanted = -torch.log(torch.where(targets > 0, p, 1 - p))
    torch.testing.assert_close(cross_entropy(logits, targets), wanted)


@given(numbers=numbers, gamma=st.floats(0.5, 5), beta=st.floats(-1, 2))
def test_the_focal_star_loss_is_the_appendixs(numbers, gamma, beta):
    logits, targets = targets_like(numbers)
    losses = focal_star_loss(logits, targets, gamma=gamma, beta=beta)
    for logit, target, found in zip(numbers, targets.tolist(), losses.tolist(), strict=True):
        y = 1 if target else -1
        p = 1 / (1 + math.exp(-(gamma * y * logit + beta)))
        assert found == pytest.approx(-math.log(p) / gamma, rel=1e-9, abs=1e-12)


def test_the_focal_star_loss_is_cross_entropy_without_slope_and_shift():
    logits, targets = targets_like([0.5, -3.0, 2.0, 7.0])
    found = focal_star_loss(logits, targets, gamma=1.0, beta=0.0)
    torch.testing.assert_close(found, cross_entropy(logits, targets))


@pytest.mark.parametrize("compare", COMPARISONS)
def test_extreme_logits_have_finite_losses(compare):
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    losses = compare(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()
    assert losses[0] == losses[3] == 0 < losses[1]


@pytest.mark.parametrize("compare", COMPARISONS)
def test_sums_are_divided_by_positives(compare):
    loss = ClassificationLoss(compare)
    logits = torch.zeros(4, 2)
    for matches, count in [([0, 0, 1, BACKGROUND], 3), ([IGNORED, BACKGROUND, -1, -1], 0)]:
        found = of_one_chip(loss, logits, matches, [0, 1])
        assert found[1] == count


def test_ignored_anchors_contribute_nothing():
    logits = torch.randn(4, 2, requires_grad=True)
    sum_of(FOCAL, logits, [IGNORED, 0, IGNORED, BACKGROUND], [1]).backward()
    assert (logits.grad[[0, 2]] == 0).all()
    assert (logits.grad[[1, 3]] != 0).all()
    assert logits.grad[1, 1] < 0 < logits.grad[1, 0]


def test_class_weights_scale_the_positives_of_their_class():
    """Three losses of log 2 for the negatives, and for each object one that is weighed."""
    loss = ClassificationLoss(cross_entropy, class_weights=(0.5, 4.0))
    found = sum_of(loss, torch.zeros(4, 2), [0, 1, BACKGROUND, IGNORED], [1, 0])
    assert found.item() == pytest.approx(math.log(2) * (4.0 + 1 + 0.5 + 1 + 2))


@pytest.mark.parametrize("compare", COMPARISONS)
def test_weights_of_one_change_nothing(compare):
    logits, matches = torch.randn(4, 3), [2, BACKGROUND, 0, 1]
    plain = sum_of(ClassificationLoss(compare), logits, matches, [0, 1, 2])
    assert sum_of(ClassificationLoss(compare, (1.0,) * 3), logits, matches, [0, 1, 2]) == plain


def test_only_mined_anchors_are_summed():
    loss = ClassificationLoss(cross_entropy, mine=HardExamples(2, 0.5))
    logits = torch.tensor([[9.0], [0.0], [3.0], [5.0]], requires_grad=True)  # all are background
    found, count = of_one_chip(loss, logits, [IGNORED, -1, -1, -1], NO_LABELS)
    wanted = F.softplus(torch.tensor([3.0, 5.0])).sum()
    torch.testing.assert_close(found, wanted)
    assert count == 2
    found.backward()
    assert (logits.grad[:, 0] != 0).tolist() == [False, False, True, True]


def test_without_anchors_none_are_mined():
    loss = ClassificationLoss(cross_entropy, mine=HardExamples(2, 0.5))
    logits = torch.zeros(4, 1, requires_grad=True)
    found, count = of_one_chip(loss, logits, [IGNORED] * 4, NO_LABELS)
    assert (found, count) == (0, 0)
    found.backward()
    assert (logits.grad == 0).all()
