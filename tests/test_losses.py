import pytest
import torch
from factories_models import architecture, define_focal_loss, target

from geodet.config import TrainConfig
from geodet.models.box_losses import smooth_l1_loss
from geodet.models.boxcoder import encode_boxes
from geodet.models.criterion import build_criterion
from geodet.models.losses import RetinaNetLoss
from geodet.models.matches import BACKGROUND
from geodet.models.retinanet import Outputs

ANCHORS = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])
LOSS = build_criterion(TrainConfig(), architecture(), class_counts=[1])


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


def test_hard_examples_are_divided_by_their_own_number():
    settings = TrainConfig(classification_loss="ohem", ohem_batch_size=3)
    criterion = build_criterion(settings, architecture(), class_counts=[1])
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
        return torch.full((4,), BACKGROUND)

    criterion = RetinaNetLoss(assign, LOSS.classification, LOSS.box)
    criterion(outputs()._replace(level_sizes=sizes), [target()])
    assert [len(level) for level in seen] == wanted
    assert torch.equal(torch.cat(seen), ANCHORS)
