import pytest
import torch
from factories_models import architecture, seeded_network, target
from torch import nn

from geodet.config import TrainConfig
from geodet.models.anchors import Anchors
from geodet.models.engine import Outputs
from geodet.models.retinanet import Head, RetinaNet
from geodet.training.objective import build_loss

SHAPES = [((2, 2), 2), ((2, 2), 5), ((2, 4), 4), ((2, 4), 5), ((3, 7), 5), ((5, 5), 5)]


@pytest.mark.parametrize(("levels", "backbone_level"), SHAPES)
@pytest.mark.parametrize("size", [(64, 64), (33, 70)])
def test_outputs_have_one_row_per_anchor(levels, backbone_level, size):
    config = architecture(levels, backbone_level, anchor_ratios=(0.5, 2.0))
    with torch.inference_mode():
        outputs = seeded_network(config, classes=3)(torch.randn(2, 3, *size))
    cells = [
        (-(-size[0] // 2**level)) * (-(-size[1] // 2**level))
        for level in range(levels[0], levels[1] + 1)
    ]
    assert isinstance(outputs, Outputs)
    assert outputs.logits.shape == (2, 2 * sum(cells), 3)
    assert outputs.deltas.shape == (2, 2 * sum(cells), 4)
    assert outputs.anchors.shape == (2 * sum(cells), 4)
    assert outputs.level_sizes == tuple(2 * count for count in cells)


@pytest.mark.parametrize("prior", [None, 0.01, 0.2, 0.5])
def test_all_anchors_start_from_the_prior(prior):
    network = RetinaNet(architecture(), bands=3, classes=2, **({"prior": prior} if prior else {}))
    scores = network.eval()(torch.randn(1, 3, 32, 32)).logits.sigmoid()
    torch.testing.assert_close(scores.mean().item(), prior or 0.01, rtol=0.2, atol=0)


@pytest.mark.parametrize(("levels", "backbone_level"), SHAPES)
def test_every_parameter_learns(levels, backbone_level):
    """DDP waits for the gradient of each parameter, so none may be left out."""
    network = seeded_network(architecture(levels, backbone_level)).train()
    outputs = network(torch.randn(2, 3, 64, 64))
    box = outputs.anchors[len(outputs.anchors) // 2].tolist()
    criterion = build_loss(TrainConfig(), architecture(), class_counts=[1])
    losses = criterion(outputs, [target([box]), target()])
    (losses.classification + losses.box).backward()
    idle = [k for k, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6])
def test_networks_take_any_number_of_bands(bands):
    network = seeded_network(bands=bands)
    assert network(torch.randn(1, bands, 32, 32)).logits.shape == (1, 64, 1)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (4, 4), (61, 35), (32, 200)])
def test_the_image_is_never_resized(size):
    network = seeded_network()
    seen = []
    network.backbone.stem.conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.randn(1, 3, *size)
    with torch.inference_mode():
        anchors = network(images).anchors
    assert torch.equal(seen[0], images)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert centres.min() == 2.0  # half a stride
    assert (centres.max(dim=0).values < torch.tensor([size[1], size[0]]) + 4).all()


def test_the_output_has_one_shape_in_training_and_evaluation():
    network = seeded_network()
    images = torch.randn(2, 3, 32, 32)
    trained, evaluated = network.train()(images), network.eval()(images)
    assert type(trained) is type(evaluated)
    assert trained.level_sizes == evaluated.level_sizes
    for a, b in zip(trained[:3], evaluated[:3], strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert torch.equal(trained.anchors, evaluated.anchors)


@pytest.mark.parametrize("norm", ["none", "group", "batch"])
def test_the_first_probability_is_one_in_a_hundred(norm):
    network = seeded_network(architecture((2, 4), head_convs=4, head_norm=norm)).train()
    scores = network(torch.randn(2, 3, 64, 64)).logits.sigmoid()
    assert scores.mean().item() == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize(("given", "wanted"), [({}, 3), ({"box_head_convs": 1}, 1)])
def test_the_box_head_may_have_other_hidden_layers(given, wanted):
    network = seeded_network(architecture((2, 3), head_convs=3, **given))
    assert len(network.classifier.convs) == 3
    assert len(network.regressor.convs) == wanted


def test_the_rows_of_all_levels_are_in_the_order_of_the_anchors():
    """Make each level mark one cell, and read where the marked anchors are."""
    config = architecture((2, 4), head_convs=0, anchor_scales=(1.0, 1.5))
    network = seeded_network(config)
    nn.init.zeros_(network.classifier.last.weight)
    nn.init.zeros_(network.classifier.last.bias)
    with torch.no_grad():
        network.classifier.last.weight[1, 0, 1, 1] = 1.0  # the second anchor of the cell
    cells = {0: (5, 9), 1: (2, 3), 2: (0, 1)}  # row and column on each level

    def mark(_module, _inputs, levels):
        marked = [torch.zeros_like(level) for level in levels]
        for index, (row, column) in cells.items():
            marked[index][:, 0, row, column] = 1.0
        return marked

    network.pyramid.register_forward_hook(mark)
    with torch.inference_mode():
        outputs = network(torch.randn(1, 3, 64, 64))
    (rows,) = torch.nonzero(outputs.logits[0, :, 0], as_tuple=True)
    boxes = outputs.anchors[rows]
    centres = ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()
    strides = [4, 8, 16]
    assert centres == [
        [(column + 0.5) * strides[i], (row + 0.5) * strides[i]]
        for i, (row, column) in cells.items()
    ]
    assert (boxes[:, 2] - boxes[:, 0]).tolist() == [18.0, 36.0, 72.0]


def test_an_image_does_not_depend_on_its_batch():
    network = seeded_network()
    images = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        together, alone = network(images), network(images[1:2])
    torch.testing.assert_close(together.logits[1:2], alone.logits)
    torch.testing.assert_close(together.deltas[1:2], alone.deltas)


STRIDE, REACH = 4, 36  # of P2; a score sees 33 px around its cell


def seen(config):
    """Build a network whose norms have seen other chips."""
    network = seeded_network(config).train()
    with torch.no_grad():
        network(torch.randn(4, 3, 64, 64))
    return network.eval()


def mapped(network, images):
    """Return the logits of P2 as a map: (H / 4, W / 4) for the first image."""
    with torch.inference_mode():
        logits = network(images).logits[0, :, 0]
    return logits.reshape(images.shape[2] // STRIDE, images.shape[3] // STRIDE)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("corner", [(0, 0), (16, 40), (64, 4)])
def test_a_score_does_not_depend_on_the_crop_around_it(norm, corner):
    """Windows of a scene agree where both see an object and what is around it."""
    network, scene = seen(architecture(head_norm=norm)), torch.randn(1, 3, 192, 176)
    y, x = corner
    crop = scene[:, :, y : y + 128, x : x + 128]
    inner = slice(REACH // STRIDE, (128 - REACH) // STRIDE)
    rows, columns = y // STRIDE, x // STRIDE
    whole = mapped(network, scene)[rows : rows + 32, columns : columns + 32]
    torch.testing.assert_close(mapped(network, crop)[inner, inner], whole[inner, inner])
    assert whole[inner, inner].std() > 1e-3  # or all would be the same


@pytest.mark.parametrize(("norm", "same"), [("none", True), ("batch", True), ("group", False)])
def test_a_score_does_not_depend_on_pixels_far_away(norm, same):
    network, chip = seen(architecture(head_norm=norm)), torch.randn(1, 3, 64, 128)
    other = chip.clone()
    other[:, :, :, 80:] = 4.0
    near = slice(0, (80 - REACH) // STRIDE)
    maps = [mapped(network, chips)[:, near] for chips in (chip, other)]
    assert torch.allclose(*maps, atol=1e-5) is same


def test_a_state_with_the_former_name_of_the_backbone_loads_inside_other_modules_too():
    network, other = seeded_network(), seeded_network(seed=1)
    former = {
        f"module.{key}".replace(".backbone.", ".trunk."): value
        for key, value in network.state_dict().items()
    }
    torch.nn.ModuleDict({"module": other}).load_state_dict(former)
    state = other.state_dict()
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())


def test_the_norm_of_the_configuration_is_that_of_the_backbone():
    kinds = {
        norm: {
            type(m).__name__
            for m in seeded_network(architecture(backbone_norm=norm)).backbone.modules()
        }
        for norm in ("batch", "frozen_batch", "group")
    }
    for norm, kind in (
        ("batch", "BatchNorm2d"),
        ("frozen_batch", "FrozenBatchNorm2d"),
        ("group", "GroupNorm"),
    ):
        assert {name for name in kinds[norm] if "Norm" in name} == {kind}


def test_anchors_are_not_stored():
    assert not any("cell" in key for key in seeded_network().state_dict())


NORMS = ["none", "group", "batch"]


def build(**changes):
    options = {"convs": 1, "anchors": 2, "outputs": 3, "norm": "group", "prior": None}
    return Head(16, **options | changes)


def distinguish(head, anchor, output, value=5.0):
    """Make one output of one anchor copy the first channel, and all others zero."""
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


def test_a_head_applies_the_same_weights_to_each_level():
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
def test_convolutions_have_a_bias_unless_a_norm_follows(norm):
    convolutions = build(norm=norm, convs=3).convs
    assert [m.bias is None for m in convolutions] == [norm != "none"] * 3


@pytest.mark.parametrize(("norm", "own"), [("none", 1), ("group", 1), ("batch", 3)])
def test_only_batch_norms_are_separate_for_each_level(norm, own):
    head = build(norm=norm, convs=2, levels=3)
    assert [len(norms) for norms in head.norms] == [2] * own


def test_each_level_keeps_statistics_of_its_own():
    head = build(norm="batch", levels=3).train()
    levels = [torch.randn(2, 16, 8, 8) + 3 * i for i in range(3)]
    head(levels)
    for level, (norm,) in zip(levels, head.norms, strict=True):
        seen = head.convs[0](level).mean(dim=(0, 2, 3))
        torch.testing.assert_close(norm.running_mean, 0.1 * seen)  # from 0, with momentum 0.1


def test_a_batch_norm_in_evaluation_is_a_fixed_scale():
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
