"""The exported graphs, compared with PyTorch."""

import numpy as np
import pytest
import torch
from factories_models import EXPORTED, EXPORTED_CLASSES, describe, seeded_network

from geodet.models.box_coding import decode_boxes
from geodet.models.decode import decode
from geodet.models.input_values import trained_bounds
from geodet.models.inputs import standardise
from geodet.onnx.graph import PLAIN_OUTPUTS, TileFormat, plain_graph, tile_graph
from geodet.onnx.session import open_session


def make_network(config, bands=3):
    """Build a network that says something, and whose norms have statistics, as a trained one."""
    network = seeded_network(config, bands=bands, classes=len(EXPORTED_CLASSES))
    source = torch.Generator().manual_seed(5)
    torch.nn.init.normal_(network.classifier.last.weight, std=0.3, generator=source)
    torch.nn.init.normal_(network.regressor.last.weight, std=0.03, generator=source)
    torch.nn.init.zeros_(network.classifier.last.bias)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.add_(0.1 * torch.rand(buffer.shape, generator=source))
    return network


def noise(*shape):
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.float32)


def run_torch(network, pixels, about):
    valid = torch.ones((len(pixels), *pixels.shape[2:]), dtype=torch.bool)
    with torch.inference_mode():
        bounds = trained_bounds(about.dtype, about.low, about.high)
        return network(standardise(torch.from_numpy(pixels), valid, about.mean, about.std, *bounds))


@pytest.mark.parametrize("name", EXPORTED)
def test_plain_outputs_are_those_of_torch_for_any_batch_and_size(name):
    network, about = make_network(EXPORTED[name]), describe(EXPORTED[name])
    session = open_session(plain_graph(network, about).SerializeToString())
    for shape in ((1, 3, 64, 64), (3, 3, 41, 70)):
        pixels = noise(*shape)
        found = dict(zip(PLAIN_OUTPUTS, session.run(None, {"pixels": pixels}), strict=True))
        outputs = run_torch(network, pixels, about)
        wanted = {
            **{"boxes": decode_boxes(outputs.deltas, outputs.anchors)},
            **{"scores": outputs.logits.sigmoid(), "logits": outputs.logits},
            **{"deltas": outputs.deltas, "anchors": outputs.anchors},
        }
        for key, tensor in wanted.items():
            np.testing.assert_allclose(found[key], tensor.numpy(), 1e-5, 1e-3, err_msg=key)


def test_graphs_take_any_number_of_bands():
    network, about = make_network(EXPORTED["one level"], 4), describe(EXPORTED["one level"], 4)
    session = open_session(plain_graph(network, about).SerializeToString())
    found = session.run(["logits"], {"pixels": noise(1, 4, 32, 32)})[0]
    wanted = run_torch(network, noise(1, 4, 32, 32), about).logits
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-3)


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("scale", [255.0, 65535.0])
def test_the_graph_for_tiles_finds_what_decode_finds(scale, shift):
    config = EXPORTED["ratios"]
    network, about, pixels = make_network(config), describe(config), noise(1, 3, 64, 64)
    outputs = run_torch(network, pixels, about)
    lowest = float(outputs.logits.quantile(0.9).sigmoid())
    form = TileFormat(64, scale, iou_threshold=0.4, lowest_score=lowest, shift=shift)
    session = open_session(tile_graph(network, about, form).SerializeToString())
    (rows,) = session.run(None, {"images": pixels / scale})
    (wanted,) = decode(
        outputs,
        score_threshold=lowest,
        iou_threshold=0.4,
        max_candidates=10**6,
    )
    found = rows[0, np.argsort(-rows[0, :, 4], kind="stable")]
    assert 10 < len(found) == len(wanted.detections)
    corners = np.concatenate(
        [found[:, :2] - found[:, 2:4] / 2, found[:, :2] + found[:, 2:4] / 2], axis=1
    )
    np.testing.assert_allclose(corners, wanted.detections.boxes + shift, atol=1e-3)
    np.testing.assert_allclose(found[:, 4], wanted.detections.scores, atol=1e-4)
    np.testing.assert_array_equal(found[:, 5:], np.eye(2)[wanted.detections.labels])
    assert set(wanted.detections.labels) == {0, 1}


def test_a_tile_without_objects_gives_no_rows():
    network, about = make_network(EXPORTED["one level"]), describe(EXPORTED["one level"])
    form = TileFormat(32, 255.0, iou_threshold=0.5, lowest_score=1.0, shift=0.0)
    session = open_session(tile_graph(network, about, form).SerializeToString())
    (rows,) = session.run(None, {"images": noise(1, 3, 32, 32) / 255})
    assert rows.shape == (1, 0, 7)


def test_old_versions_of_onnxruntime_read_the_graphs():
    """Version 1.17 knows operators up to 20 and files up to 9."""
    network, about = make_network(EXPORTED["one level"]), describe(EXPORTED["one level"])
    graph = plain_graph(network, about)
    assert graph.ir_version <= 9
    assert {(entry.domain, entry.version <= 20) for entry in graph.opset_import} == {("", True)}


def test_values_beyond_the_training_range_are_clipped_and_absurd_ones_dropped():
    config = EXPORTED["one level"]
    ends = {"low": (90.0, 60.0, 80.0), "high": (120.0, 200.0, 130.0)}
    about = describe(config).model_copy(update={"dtype": "uint16", **ends})
    network, pixels = make_network(config), noise(1, 3, 32, 32)
    pixels[0, :, 4, 4:7] = 65_000.0, np.nan, -3.4e38
    session = open_session(plain_graph(network, about).SerializeToString())
    found = session.run(["logits"], {"pixels": pixels})[0]
    np.testing.assert_allclose(found, run_torch(network, pixels, about).logits.numpy(), atol=1e-3)
    bytes_alone = run_torch(network, pixels, describe(config)).logits.numpy()
    assert np.abs(found - bytes_alone).max() > 0.1
