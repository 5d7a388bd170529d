import pytest
import torch
from factories_models import architecture, seeded_network, target
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import TrainConfig
from geodet.training.assigners import AtssAssigner, ThresholdAssigner
from geodet.training.box_losses import giou_loss, l1_loss, smooth_l1_loss
from geodet.training.objective import balanced_weights, build_loss

BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [4.0, 4.0, 12.0, 12.0]])


def build(model=None, counts=(1,), **changes):
    return build_loss(TrainConfig(**changes), model or architecture(), class_counts=counts)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8))
def test_balanced_weights_have_the_mean_one_and_make_classes_equal_within_limits(counts):
    """Equal but for those rarer than a tenth of the most frequent class, which weigh ten times."""
    pairs = list(zip(counts, balanced_weights(counts), strict=True))
    if most := max(counts):
        assert sum(n * weight for n, weight in pairs) / sum(counts) == pytest.approx(1)
        (share, *_), (least, *_) = zip(*[(n * w, w) for n, w in pairs if n == most], strict=True)
        assert [n * w for n, w in pairs if n >= most / 10] == pytest.approx(
            [share] * sum(n >= most / 10 for n in counts)
        )
        for n, weight in pairs:
            assert n == 0 or n >= most / 10 or weight == pytest.approx(10 * least)
    assert all(w == 1 for count, w in pairs if not count)


def test_two_objects_of_twenty_thousand_do_not_weigh_thousands():
    """By hand: 19,998 w + 2 * 10 w = 20,000, so w = 20,000 / 20,018."""
    assert balanced_weights([19_998, 2]) == pytest.approx((20_000 / 20_018, 200_000 / 20_018))


def test_class_weights_are_an_option():
    assert build(counts=(30, 10)).classification.class_weights == ()
    weights = build(counts=(30, 10), class_weights="balanced").classification.class_weights
    assert weights == pytest.approx((2 / 3, 2.0))


def test_the_default_assigner_is_the_papers():
    assert build().assigner == ThresholdAssigner(0.5, 0.4, low_quality=True)


def test_thresholds_and_low_quality_matches_go_to_the_assigner():
    for name in ("iou", "nwd"):
        assigner = build(
            assigner=name, positive_iou=0.6, negative_iou=0.3, low_quality_matches=False
        ).assigner
        assert (assigner.positive, assigner.negative, assigner.low_quality) == (0.6, 0.3, False)


def test_the_constant_of_the_wasserstein_distance_is_its_own():
    near, far = (
        build(assigner="nwd", nwd_constant=constant).assigner.similarity(BOXES[:1], BOXES[1:])
        for constant in (10.0, 1.0)
    )
    assert near > far
    torch.testing.assert_close(near**10, far)


def test_atss_counts_cells():
    model = architecture(anchor_scales=(1.0, 1.5), anchor_ratios=(0.5, 1.0, 2.0))
    assert build(model, assigner="atss").assigner == AtssAssigner(9 * 6)
    assert build(assigner="atss", atss_candidates=4).assigner == AtssAssigner(4)


@pytest.mark.parametrize(
    ("name", "wanted"), [("smooth_l1", smooth_l1_loss), ("l1", l1_loss), ("giou", giou_loss)]
)
def test_box_losses_are_named(name, wanted):
    assert build(box_loss=name).box is wanted


# Of a positive and of a negative with the logit 1, by the formulas of the paper:
# p = 0.731059, -log p = 0.313262, -log (1 - p) = 1.313262.
@pytest.mark.parametrize(
    ("changes", "positive", "negative"),
    [
        ({}, 0.25 * 0.268941**2 * 0.313262, 0.75 * 0.731059**2 * 1.313262),
        ({"focal_alpha": 0.5, "focal_gamma": 1.0}, 0.5 * 0.268941 * 0.313262, 0.480040),
        ({"classification_loss": "cross_entropy"}, 0.313262, 1.313262),
        ({"classification_loss": "ohem"}, 0.313262, 1.313262),
        (
            {"classification_loss": "balanced_cross_entropy", "balanced_alpha": 0.75},
            0.75 * 0.313262,
            0.25 * 1.313262,
        ),
        # log(1 + exp(-3)) / 2 and log(1 + exp(1)) / 2
        ({"classification_loss": "focal_star"}, 0.0242937, 0.6566308),
        # log(1 + exp(-4)) / 4 and log(1 + exp(4)) / 4
        (
            {
                "classification_loss": "focal_star",
                "focal_star_gamma": 4.0,
                "focal_star_beta": 0.0,
            },
            0.00453748,
            1.00453748,
        ),
    ],
)
def test_classification_losses_are_named(changes, positive, negative):
    compare = build(**changes).classification.compare
    found = compare(torch.ones(2).double(), torch.tensor([1.0, 0.0]).double())
    assert found.tolist() == pytest.approx([positive, negative], rel=1e-5)


def test_hard_examples_are_mined_on_request():
    assert build().classification.mine is None
    mine = build(classification_loss="ohem").classification.mine
    assert (mine.batch_size, mine.iou_threshold, mine.negatives) == (128, 0.5, 0)
    mine = build(
        classification_loss="ohem", ohem_batch_size=64, ohem_iou_threshold=0.7, ohem_negatives=3
    ).classification.mine
    assert (mine.batch_size, mine.iou_threshold, mine.negatives) == (64, 0.7, 3)


@pytest.mark.parametrize("assigner", ["iou", "atss", "nwd"])
@pytest.mark.parametrize(
    "loss", ["cross_entropy", "balanced_cross_entropy", "focal", "focal_star", "ohem"]
)
@pytest.mark.parametrize("box_loss", ["smooth_l1", "l1", "giou"])
def test_every_choice_learns_from_every_level(assigner, loss, box_loss):
    model = architecture((2, 3), backbone_level=3)
    network = seeded_network(model, classes=2).train()
    outputs = network(torch.randn(2, 3, 32, 32))
    assert outputs.level_sizes == (64, 16)
    criterion = build(
        model,
        counts=(3, 1),
        assigner=assigner,
        classification_loss=loss,
        box_loss=box_loss,
        class_weights="balanced",
    )
    chips = [target([[4, 4, 16, 16], [8, 8, 32, 32]], [0, 1]), target(ignored=[[0, 0, 9, 9]])]
    losses = criterion(outputs, chips)
    (losses.classification + losses.box).backward()
    assert losses.classification > 0
    assert losses.box > 0
    gradients = [p.grad for p in network.parameters() if p.requires_grad]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
