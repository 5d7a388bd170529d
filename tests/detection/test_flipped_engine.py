import numpy as np
import pytest
import torch
from factories_models import architecture, seeded_network

from geodet.detection.flipped_engine import FlippedEngine
from geodet.models.box_coding import decode_boxes
from geodet.models.engine import Outputs
from geodet.models.input_values import InputValues
from geodet.models.torch_engine import TorchEngine

CONFIG = architecture((2, 3), 3, anchor_ratios=(0.5, 2.0), anchor_scales=(1.0, 1.5))
VALUES = InputValues([100.0] * 3, [50.0] * 3)
FLIPS = ((), (-1,), (-2,), (-2, -1))


@pytest.fixture(scope="module")
def engine():
    network = seeded_network(CONFIG, classes=2)
    source = torch.Generator().manual_seed(5)
    for head in (network.classifier, network.regressor):
        torch.nn.init.normal_(head.last.weight, std=0.1, generator=source)
    return TorchEngine(network, torch.device("cpu"), torch.float32)


def chips(height, width, count=2):
    random = np.random.default_rng(3)
    pixels = torch.from_numpy(random.integers(0, 256, (count, 3, height, width)).astype(np.uint8))
    return pixels, torch.ones(count, height, width, dtype=torch.bool)


def mirrored(boxes, axes, height, width):
    x1, y1, x2, y2 = boxes.unbind(-1)
    if -1 in axes:
        x1, x2 = width - x2, width - x1
    if -2 in axes:
        y1, y2 = height - y2, height - y1
    return torch.stack([x1, y1, x2, y2], dim=-1)


@pytest.mark.parametrize("axes", FLIPS)
def test_a_flipped_chip_has_flipped_boxes(engine, axes):
    """The law of it: flipping the chip flips what is found."""
    height, width = 64, 96
    flipped = FlippedEngine(engine, CONFIG)
    pixels, valid = chips(height, width)
    plain = flipped.forward(pixels, valid, VALUES)
    other = flipped.forward(pixels.flip(axes), valid, VALUES)
    boxes = decode_boxes(plain.deltas, plain.anchors)
    moved = mirrored(decode_boxes(other.deltas, other.anchors), axes, height, width)
    for image in range(len(pixels)):
        wanted = torch.cat([boxes[image], plain.logits[image]], dim=1)
        found = torch.cat([moved[image], other.logits[image]], dim=1)
        apart = torch.cdist(wanted, found, p=float("inf")).min(dim=1).values
        assert float(apart.max()) < 1e-2


def test_the_outputs_are_the_means_of_the_flips(engine):
    pixels, valid = chips(64, 64)
    found = FlippedEngine(engine, CONFIG).forward(pixels, valid, VALUES)
    plain = engine.forward(pixels, valid, VALUES)
    assert found.logits.shape == plain.logits.shape
    assert torch.equal(found.anchors, plain.anchors)
    assert not torch.allclose(found.logits, plain.logits)
    total = sum(engine.forward(pixels.flip(a), valid, VALUES).logits.mean() for a in FLIPS)
    torch.testing.assert_close(found.logits.mean(), total / 4)


@pytest.mark.parametrize("size", [(61, 90), (64, 72), (7, 130)])
def test_chips_of_any_size_have_the_anchors_of_the_engine(engine, size):
    pixels, valid = chips(*size)
    found = FlippedEngine(engine, CONFIG).forward(pixels, valid, VALUES)
    plain = engine.forward(pixels, valid, VALUES)
    assert torch.equal(found.anchors, plain.anchors)
    assert found.level_sizes == plain.level_sizes
    assert found.logits.shape == plain.logits.shape
    assert found.deltas.shape == plain.deltas.shape


def test_arrays_of_numpy_stay_arrays_of_numpy():
    class Counting:
        stride = 8

        def forward(self, pixels, valid, values):
            cells = pixels[:, 0, ::8, ::8].reshape(len(pixels), -1, 1).astype(np.float32)
            anchors = np.zeros((cells.shape[1], 4), np.float32)
            return Outputs(cells, np.zeros((*cells.shape[:2], 4), np.float32), anchors)

    config = architecture((3, 3))
    pixels = np.zeros((1, 1, 16, 16), np.float32)
    pixels[0, 0, 0, 0] = 4
    flipped = FlippedEngine(Counting(), config).forward(pixels, np.ones((1, 16, 16), bool), VALUES)
    assert isinstance(flipped.logits, np.ndarray)
    assert flipped.logits.ravel().tolist() == [1, 0, 0, 0]
