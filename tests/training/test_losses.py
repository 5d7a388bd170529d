import math

import pytest
import torch
from factories_models import architecture, define_focal_loss, target
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import TrainConfig
from geodet.models.box_coding import encode_boxes
from geodet.models.engine import Outputs
from geodet.training.assigners import BACKGROUND, IGNORED
from geodet.training.box_losses import giou_loss, l1_loss, smooth_l1_loss
from geodet.training.losses import HardExamples, RetinaNetLoss
from geodet.training.objective import build_loss
from geodet.training.packed_boxes import PackedBoxes

ANCHORS = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])
LOSS = build_loss(TrainConfig(), architecture(), class_counts=[1])


def outputs(count=1, classes=1, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((count, len(ANCHORS), classes), generator=generator)
    deltas = torch.randn((count, len(ANCHORS), 4), generator=generator)
    return Outputs(logits.requires_grad_(), deltas.requires_grad_(), ANCHORS)


def test_sums_are_divided_by_the_positive_anchors_of_the_batch():
    found = outputs(2, classes=2)
    boxes = ANCHORS[[0, 2, 3]] + 0.5
    targets = [target(boxes.tolist(), [1, 0, 1]), target()]
    losses = LOSS(found, targets)
    matches = [torch.tensor([0, -1, 1, 2]), torch.full((4,), -1)]
    sums = [
        define_focal_loss(logits, match, t.labels, 0.25, 2.0)
        for logits, match, t in zip(found.logits, matches, targets, strict=True)
    ]
    assert losses.classification.item() == pytest.approx(sum(sums) / 3, rel=1e-5)
    positive = [0, 2, 3]
    wanted = smooth_l1_loss(found.deltas[0, positive], ANCHORS[positive], boxes) / 3
    torch.testing.assert_close(losses.box, wanted)


def test_without_objects_the_divisor_is_one():
    found = outputs()
    losses = LOSS(found, [target()])
    wanted = define_focal_loss(found.logits[0], torch.full((4,), BACKGROUND), [], 0.25, 2.0)
    assert losses.classification.item() == pytest.approx(wanted, rel=1e-5)
    assert losses.box == 0
    (losses.classification + losses.box).backward()
    assert torch.isfinite(found.logits.grad).all()
    assert (found.deltas.grad == 0).all()  # there, so that DDP waits for nothing


def test_losses_are_finite_if_all_anchors_are_ignored():
    found = outputs()
    losses = LOSS(found, [target(ignored=[[0, 0, 100, 100]])])
    assert losses == (0, 0)
    (losses.classification + losses.box).backward()
    assert (found.logits.grad == 0).all()


def test_a_region_is_ignored_only_in_its_own_chip():
    found = outputs(2)
    LOSS(found, [target(ignored=[[0, 0, 35, 10]]), target()]).classification.backward()
    assert (found.logits.grad != 0)[:, :, 0].tolist() == [[False, False, True, True], [True] * 4]


def test_exact_boxes_have_no_loss():
    boxes = ANCHORS[[1, 3]] + torch.tensor([1.0, -1.0, 2.0, 0.0])
    found = outputs()._replace(deltas=encode_boxes(boxes, ANCHORS[[1, 3]])[[0, 0, 1, 1]][None])
    assert LOSS(found, [target(boxes.tolist())]).box.item() == pytest.approx(0, abs=1e-10)


def test_half_precision_outputs_are_compared_in_float32():
    found = outputs()
    half = Outputs(found.logits.bfloat16(), found.deltas.bfloat16(), ANCHORS)
    losses = LOSS(half, [target(ANCHORS[:1].tolist())])
    assert losses.classification.dtype == losses.box.dtype == torch.float32


def test_hard_examples_are_divided_by_their_own_number():
    settings = TrainConfig(classification_loss="ohem", ohem_batch_size=3)
    criterion = build_loss(settings, architecture(), class_counts=[1])
    found = outputs(2)
    losses = criterion(found, [target(ANCHORS[:1].tolist()), target(ignored=[[0, 0, 35, 10]])])
    truth = torch.zeros(2, 4)
    truth[0, 0] = 1.0
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        found.logits[..., 0], truth, reduction="none"
    )
    hard = [*each[0].topk(3).values, *each[1, 2:]]  # two anchors of the second chip are spared
    torch.testing.assert_close(losses.classification, torch.stack(hard).mean())
    wanted = smooth_l1_loss(found.deltas[0, :1], ANCHORS[:1], ANCHORS[:1])
    torch.testing.assert_close(losses.box, wanted)


@pytest.mark.parametrize(("sizes", "wanted"), [((2, 2), [2, 2]), ((1, 0, 3), [1, 0, 3]), ((), [4])])
def test_the_assigner_is_shown_the_levels(sizes, wanted):
    seen = []

    def assign(levels, boxes, ignored):
        seen.extend(levels)
        return torch.full((1, 4), BACKGROUND)

    criterion = RetinaNetLoss(assign, LOSS.classification, LOSS.box)
    criterion(outputs()._replace(level_sizes=sizes), [target()])
    assert [len(level) for level in seen] == wanted
    assert torch.equal(torch.cat(seen), ANCHORS)


LOSSES = [giou_loss, l1_loss, smooth_l1_loss]


def box_tensors(count=3):
    corner, side = st.floats(-50, 50), st.floats(1, 40)
    box = st.tuples(corner, corner, side, side).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    )
    return st.lists(box, min_size=count, max_size=count).map(
        lambda rows: torch.tensor(rows, dtype=torch.float64)
    )


def generalised(a, b):
    """Write out algorithm 1 of the paper."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return width * height / union - (hull - union) / hull


def test_smooth_l1_by_hand():
    anchors = boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    # Quadratic below 1/9: 0.1^2 * 9 / 2; linear above: 1 - 1/18 and 2 - 1/18.
    loss = smooth_l1_loss(torch.tensor([[0.1, 1.0, -2.0, 0.0]]), anchors, boxes)
    assert loss.item() == pytest.approx(0.045 + 1 - 1 / 18 + 2 - 1 / 18)


def test_l1_by_hand():
    # The object is a quarter of the anchor's side to the right, and twice as high.
    anchors, boxes = torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([[2.0, -4, 10, 12]])
    loss = l1_loss(torch.tensor([[1.0, 0.5, -2.0, 0.0]]), anchors, boxes)
    assert loss.item() == pytest.approx(0.75 + 0.5 + 2 + math.log(2))


def test_giou_by_hand():
    anchors = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.0]])
    boxes = torch.tensor([[2.0, 0.0, 6.0, 4.0], [8.0, 0.0, 12.0, 4.0]])
    # Overlap 8 of 24 in a hull of 24; none, and the union of 32 in a hull of 48.
    loss = giou_loss(torch.zeros(2, 4), anchors, boxes)
    assert loss.item() == pytest.approx((1 - 8 / 24) + (1 + 16 / 48), rel=1e-5)


@given(box_tensors(), box_tensors(), box_tensors())
def test_giou_equals_its_definition(found, anchors, boxes):
    loss = giou_loss(encode_boxes(found, anchors), anchors, boxes)
    pairs = zip(found.tolist(), boxes.tolist(), strict=True)
    assert loss.item() == pytest.approx(sum(1 - generalised(a, b) for a, b in pairs), abs=1e-5)


@pytest.mark.parametrize("loss_of", LOSSES)
@given(anchors=box_tensors(), boxes=box_tensors())
def test_exact_deltas_have_no_loss(loss_of, anchors, boxes):
    assert loss_of(encode_boxes(boxes, anchors), anchors, boxes).item() == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize("loss_of", LOSSES)
def test_a_step_along_the_gradient_lowers_the_loss(loss_of):
    anchors, boxes = torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([[20.0, -4, 30, 12]])
    deltas = torch.zeros(1, 4, requires_grad=True)
    loss = loss_of(deltas, anchors, boxes)  # apart, where the plain overlap would have no slope
    loss.backward()
    assert loss_of(deltas - 0.1 * deltas.grad, anchors, boxes) < loss


@pytest.mark.parametrize("loss_of", LOSSES)
def test_without_positives_the_sum_is_zero(loss_of):
    deltas = torch.zeros(0, 4, requires_grad=True)
    loss = loss_of(deltas, torch.zeros(0, 4), torch.zeros(0, 4))
    assert loss == 0
    loss.backward()
    assert deltas.grad.shape == (0, 4)


def test_extreme_deltas_have_a_finite_giou():
    deltas = torch.tensor([[1e6, -1e6, 1e9, -1e9]], requires_grad=True)
    box = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    loss = giou_loss(deltas, box, box)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(deltas.grad).all()


def draw(count, seed, *, side=60, levels=50):
    """Generate losses with some ties, boxes of which many overlap, and which are positive."""
    random = torch.Generator().manual_seed(seed)
    losses = torch.randint(0, levels, (count,), generator=random) / 8
    corner = torch.rand((count, 2), generator=random) * side
    size = torch.rand((count, 2), generator=random) * 12 + 4
    positive = torch.rand(count, generator=random) < 0.15
    return losses, torch.cat([corner, corner + size], dim=1), positive


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def define(losses, anchors, positive, batch_size, threshold, negatives):
    """Sort all, suppress all, then choose."""
    boxes, kept = anchors.tolist(), []
    for i in sorted(range(len(losses)), key=lambda i: -losses[i].item()):
        if all(overlap(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    if not negatives:
        return kept[:batch_size]
    found = [i for i in kept if positive[i]][: max(1, batch_size // (1 + negatives))]
    others = [i for i in kept if not positive[i]]
    return found + others[: negatives * max(1, len(found))]


@given(
    count=st.integers(0, 120),
    seed=st.integers(0, 10_000),
    batch_size=st.sampled_from([1, 4, 10, 500]),
    threshold=st.sampled_from([0.1, 0.5, 0.7]),
    negatives=st.sampled_from([0, 1, 3]),
)
def test_mining_equals_sorting_and_suppressing_all(count, seed, batch_size, threshold, negatives):
    losses, anchors, positive = draw(count, seed)
    found = HardExamples(batch_size, threshold, negatives)(losses, anchors, positive)
    wanted = define(losses, anchors, positive, batch_size, threshold, negatives)
    assert found.dtype == torch.int64
    assert found.tolist() == wanted


@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_of_one_mistake_one_anchor_trains(threshold):
    anchors = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10], [80, 0, 90, 10]])
    losses = torch.tensor([4.0, 5.0, 1.0, 0.5])
    found = HardExamples(3, threshold)(losses, anchors, torch.zeros(4, dtype=torch.bool))
    assert found.tolist() == ([1, 2, 3] if threshold == 0.3 else [1, 0, 2])


def test_the_ratio_makes_room_for_positives():
    anchors = torch.tensor([[20.0 * i, 0, 20.0 * i + 10, 10] for i in range(8)])
    losses = torch.arange(8.0, 0.0, -1.0)
    positive = torch.tensor([False] * 7 + [True])
    assert HardExamples(4, 0.5)(losses, anchors, positive).tolist() == [0, 1, 2, 3]
    assert HardExamples(4, 0.5, 3)(losses, anchors, positive).tolist() == [7, 0, 1, 2]
    assert HardExamples(8, 0.5, 1)(losses, anchors, positive).tolist() == [7, 0]
    nothing = torch.zeros(8, dtype=torch.bool)
    assert HardExamples(8, 0.5, 3)(losses, anchors, nothing).tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["focal", "ohem"])
@pytest.mark.parametrize("assigner", ["iou", "atss"])
def test_a_batch_has_the_sums_of_its_chips(kind, assigner):
    config = TrainConfig(classification_loss=kind, assigner=assigner, class_weights="balanced")
    loss = build_loss(config, architecture(), class_counts=[9, 2])
    found = outputs(4, classes=2)
    targets = [
        target((ANCHORS[[0, 2]] + 0.5).tolist(), [1, 0]),
        target(ignored=[[0, 0, 30, 30]]),
        target((ANCHORS[1:2] - 1.5).tolist(), [1], ignored=[[55, 0, 90, 9]]),
        target((ANCHORS + 0.25).tolist(), [0, 0, 1, 0]),
    ]
    together = loss(found, targets)
    sums, counts = torch.zeros(2), torch.zeros(2)
    for place, one in enumerate(targets):
        part = Outputs(found.logits[place][None], found.deltas[place][None], ANCHORS)
        packed = [PackedBoxes([boxes]) for boxes in (one.boxes, one.ignored)]
        matches = loss.assigner([ANCHORS], *packed)
        positives = (matches >= 0).sum()
        mined = min(config.ohem_batch_size, int((matches != IGNORED).sum()))
        count = torch.stack([positives if kind == "focal" else torch.tensor(mined), positives])
        sums += torch.stack(loss(part, [one])) * count.clamp(min=1)
        counts += count
    torch.testing.assert_close(torch.stack(together), sums / counts)
