import pytest
import torch
from torch import nn

from geodet.models.anchors import Anchors
from geodet.models.heads import Head

NORMS = ["none", "group", "batch"]


def build(**changes):
    options = {"convs": 1, "anchors": 2, "outputs": 3, "norm": "group", "prior": None}
    return Head(16, **options | changes)


def distinguish(head, anchor, output, value=5.0):
    """Let one output of one anchor copy the first channel, and all others be silent."""
    nn.init.zeros_(head.last.weight)
    nn.init.zeros_(head.last.bias)
    with torch.no_grad():
        head.last.weight[anchor * head.outputs + output, 0, 1, 1] = value


@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize("column", [0, 3])
@pytest.mark.parametrize("anchor", [0, 1, 5])
@pytest.mark.parametrize("output", [0, 2])
def test_outputs_stand_in_the_order_of_the_anchors(row, column, anchor, output):
    ratios, scales, stride = [0.5, 1.0, 2.0], [1.0, 1.5], 4
    head = build(convs=0, anchors=6)
    distinguish(head, anchor, output)
    level = torch.zeros(1, 16, 3, 4)
    level[0, 0, row, column] = 1.0
    says = head([level])[0]
    (found,) = torch.nonzero(says[0])
    assert found[1] == output
    boxes = Anchors(sizes=[16.0], scales=scales, ratios=ratios, strides=[stride])([(3, 4)])[0]
    box = boxes[found[0]]
    centre = ((box[:2] + box[2:]) / 2).tolist()
    assert centre == [(column + 0.5) * stride, (row + 0.5) * stride]
    width, height = (box[2:] - box[:2]).tolist()
    assert height / width == pytest.approx(ratios[anchor // len(scales)])
    assert (width * height) ** 0.5 == pytest.approx(16 * scales[anchor % len(scales)])


def test_levels_are_answered_one_by_one_by_the_same_weights():
    head = build()
    level = torch.randn(2, 16, 5, 3)
    small, large = head([level[:, :, :2, :2], level])
    assert small.shape == (2, 2 * 2 * 2, 3)
    assert large.shape == (2, 5 * 3 * 2, 3)
    assert torch.equal(head([level])[0], large)


@pytest.mark.parametrize("prior", [0.01, 0.3])
@pytest.mark.parametrize("norm", NORMS)
def test_the_first_probability_is_the_prior(prior, norm):
    head = build(prior=prior, convs=4, norm=norm)
    nothing = head([torch.zeros(1, 16, 4, 4)])[0].sigmoid()
    torch.testing.assert_close(nothing, torch.full_like(nothing, prior))
    says = head([torch.randn(2, 16, 8, 8)])[0].sigmoid()
    assert prior / 2 < says.min() <= says.max() < prior * 2


def test_without_a_prior_outputs_start_from_zero():
    assert (build()([torch.zeros(1, 16, 4, 4)])[0] == 0).all()
    assert build()([torch.randn(2, 16, 8, 8)])[0].abs().max() < 1


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (16, 1), (20, 1), (48, 3), (96, 6)])
def test_norms_have_groups_of_about_16_channels(channels, groups):
    head = Head(channels, convs=2, anchors=1, outputs=1, norm="group")
    norms = [m for m in head.modules() if isinstance(m, nn.GroupNorm)]
    assert [norm.num_groups for norm in norms] == [groups, groups]


@pytest.mark.parametrize("norm", NORMS)
def test_a_bias_is_there_unless_a_norm_follows(norm):
    convolutions = build(norm=norm, convs=3).convs
    assert [m.bias is None for m in convolutions] == [norm != "none"] * 3


@pytest.mark.parametrize(("norm", "own"), [("none", 1), ("group", 1), ("batch", 3)])
def test_only_batch_norms_are_each_levels_own(norm, own):
    head = build(norm=norm, convs=2, levels=3)
    assert [len(norms) for norms in head.norms] == [2] * own


def test_each_level_keeps_statistics_of_its_own():
    head = build(norm="batch", levels=3).train()
    levels = [torch.randn(2, 16, 8, 8) + 3 * i for i in range(3)]
    head(levels)
    for level, (norm,) in zip(levels, head.norms, strict=True):
        seen = head.convs[0](level).mean(dim=(0, 2, 3))
        torch.testing.assert_close(norm.running_mean, 0.1 * seen)  # from 0, with momentum 0.1


def test_a_batch_norm_at_work_is_a_fixed_scale():
    """What other pixels and other chips hold changes nothing, unlike in training."""
    head = build(norm="batch", convs=1)
    with torch.no_grad():
        head.train()([torch.randn(4, 16, 9, 9)])
    one, other = torch.randn(2, 16, 9, 9), torch.randn(2, 16, 9, 9) * 9
    other[0, :, :5] = one[0, :, :5]
    rows = slice(0, 3 * 9 * 2)  # two convolutions away from the sixth line
    for mode, same in ((False, True), (True, False)):
        head.train(mode)
        says = [head([chips])[0][0, rows] for chips in (one, other)]
        assert torch.allclose(*says) is same


def test_batch_norms_are_applied_after_the_convolution_and_before_the_relu():
    head = build(norm="batch", levels=2, convs=1).eval()
    with torch.no_grad():
        for norms in head.norms:
            norms[0].running_mean.normal_()
            norms[0].bias.normal_()
    level = torch.randn(1, 16, 4, 4)
    hidden = torch.relu(head.norms[1][0](head.convs[0](level)))
    wanted = head.last(hidden).permute(0, 2, 3, 1).reshape(1, -1, 3)
    torch.testing.assert_close(head([level, level])[1], wanted)
