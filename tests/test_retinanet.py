import pytest
import torch
from factories_models import architecture, seeded_network, target
from torch import nn

from geodet.models.losses import RetinaNetLoss
from geodet.models.matcher import IouMatcher
from geodet.models.retinanet import Outputs

SHAPES = [((2, 2), 2), ((2, 2), 5), ((2, 4), 4), ((2, 4), 5), ((3, 7), 5), ((5, 5), 5)]


@pytest.mark.parametrize(("levels", "trunk_level"), SHAPES)
@pytest.mark.parametrize("size", [(64, 64), (33, 70)])
def test_outputs_have_one_row_an_anchor(levels, trunk_level, size):
    config = architecture(levels, trunk_level, anchor_ratios=(0.5, 2.0))
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


@pytest.mark.parametrize(("levels", "trunk_level"), SHAPES)
def test_every_parameter_learns(levels, trunk_level):
    """DDP waits for the gradient of each parameter, so none may be left out."""
    network = seeded_network(architecture(levels, trunk_level)).train()
    outputs = network(torch.randn(2, 3, 64, 64))
    box = outputs.anchors[len(outputs.anchors) // 2].tolist()
    losses = RetinaNetLoss(IouMatcher(0.5, 0.4), 0.25, 2.0)(outputs, [target([box]), target()])
    (losses.classification + losses.box).backward()
    idle = [k for k, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6])
def test_any_number_of_bands(bands):
    network = seeded_network(bands=bands)
    assert network(torch.randn(1, bands, 32, 32)).logits.shape == (1, 64, 1)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (4, 4), (61, 35), (32, 200)])
def test_the_image_is_never_resized(size):
    network = seeded_network()
    seen = []
    network.trunk.stem.conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
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
    for a, b in zip(trained, evaluated, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert torch.equal(trained.anchors, evaluated.anchors)


@pytest.mark.parametrize("norm", ["none", "group"])
def test_the_first_probability_is_one_in_a_hundred(norm):
    network = seeded_network(architecture((2, 4), head_convs=4, head_norm=norm)).train()
    scores = network(torch.randn(2, 3, 64, 64)).logits.sigmoid()
    assert scores.mean().item() == pytest.approx(0.01, rel=0.15)


def test_the_rows_of_all_levels_are_in_the_order_of_the_anchors():
    """Let each level mark one cell, and read where the marked anchors are."""
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


def test_anchors_are_not_stored():
    assert not any("cell" in key for key in seeded_network().state_dict())
