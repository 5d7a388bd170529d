"""What runs on a CUDA device, on one that is pretended: all tensors are where they must be."""

import numpy as np
import pytest
import torch
from affine import Affine
from factories_models import write_tileset
from factories_training import PowerCutError, configured, cut_after, read_log
from lightning_fabric import Fabric
from pretended_cuda import pretended_cuda
from pyproj import CRS

import geodet.training.train
from geodet.config import DetectConfig
from geodet.demo.town import paint_town
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.predictor import Predictor, build_predictor
from geodet.detection.scene_run import SceneRun
from geodet.geometry.geobox import GeoBox
from geodet.models.checkpoint import load_checkpoint
from geodet.raster.geotiff import write_raster
from geodet.raster.scene import Scene
from geodet.training.train import run_training
from geodet.vector.read_detections import read_detections

FLOAT = DetectConfig(precision="float32", max_per_level=500)


@pytest.fixture
def cuda(monkeypatch):
    with pretended_cuda(monkeypatch) as device:
        yield device


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    path = tmp_path_factory.mktemp("town") / "town.tif"
    place = Affine(0.6, 0, 447_000, 0, -0.6, 5_411_000)
    geobox = GeoBox(420, 380, place, CRS.from_epsg(32633))
    write_raster(path, paint_town(420, 380, seed=3).pixels, geobox)
    return path


def test_the_pretended_gpu_refuses_what_a_gpu_refuses(cuda):
    there, here = torch.ones(3, device=cuda), torch.ones(3)
    assert there.is_cuda
    assert (there + 1).device == cuda
    assert there.cpu().device.type == here.device.type == "cpu"
    with pytest.raises(RuntimeError, match=r"aten\.add.* on cuda:0 and on the CPU"):
        there + here
    with pytest.raises(RuntimeError, match="on cuda:0 and on the CPU"):
        here[torch.zeros(1, dtype=torch.int64).to(cuda)]
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()


def test_the_pretended_gpu_allows_what_a_gpu_allows(cuda):
    there = torch.ones(3, device=cuda)
    assert there[torch.tensor([True, False, True])].tolist() == [1, 1]
    assert (there + torch.tensor(1.0)).sum().item() == 6
    there[0] = 5.0
    assert there.cpu().tolist() == [5, 1, 1]
    assert torch.arange(2).to(cuda).is_cuda


def test_detections_are_those_of_the_cpu(town, tmp_path, monkeypatch):
    model = load_checkpoint("urban-trees")
    classes = model.description.classes
    config = FLOAT.model_copy(update={"chip_size": 128, "overlap": 64})
    outputs = [tmp_path / f"{device}.gpkg" for device in ("cpu", "cuda")]
    detect_to_files([town], outputs[:1], model, config, DetectOptions(device="cpu"))
    sizes = []
    forward = Predictor.forward

    def look(predictor, pixels, valid):
        sizes.append((len(pixels), pixels.is_cuda and valid.is_cuda))
        return forward(predictor, pixels, valid)

    monkeypatch.setattr(Predictor, "forward", look)
    with pretended_cuda(monkeypatch):
        options = DetectOptions(device="cuda", profile=True)
        report = detect_to_files([town], outputs[1:], model, config, options)
    assert report.device == "cuda:0"
    assert max(size for size, _ in sizes) > 1
    assert all(is_there for _, is_there in sizes)
    wanted, found = (read_detections(output, classes) for output in outputs)
    assert len(wanted) > 50
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)


def test_the_suppression_of_a_gpu_is_that_of_the_cpu(town, monkeypatch):
    """With ties: each object is shown twice."""
    model, config = load_checkpoint("vehicles"), FLOAT
    with Scene(town) as scene:
        chip = scene.read_overview(420)

    def found_on(device):
        predictor = build_predictor(model, config, device, score_threshold=0.01)
        one, two = predictor([chip, chip])
        assert_same(one.detections, two.detections)
        return one.detections

    wanted = found_on("cpu")
    with pretended_cuda(monkeypatch):
        found = found_on("cuda")
    assert len(wanted) > 50
    assert_same(found, wanted)


def assert_same(found, wanted):
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-4)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)


def test_batches_are_as_large_as_half_of_the_memory_allows(town, monkeypatch):
    model = load_checkpoint("urban-trees")
    config = FLOAT.model_copy(update={"chip_size": 64, "overlap": 16})
    seen = []
    start = Predictor.start
    monkeypatch.setattr(Predictor, "start", lambda p, s: seen.append(len(s.pixels)) or start(p, s))
    for free in (2**22, 2**26):
        with pretended_cuda(monkeypatch, free=free), Scene(town) as scene:
            predictor = build_predictor(model, config, "cuda")
            bytes_of_chip = 64 * 64 * predictor.bytes_per_pixel
            count = len(list(SceneRun(scene, predictor, config)))
        assert count
        assert max(seen) == max(1, int(free / 2 / bytes_of_chip))
        seen.clear()


@pytest.fixture
def gradients(monkeypatch):
    """Make a backward pass return gradients without asking the driver; list the losses."""
    optimizers, losses = [], []
    build = geodet.training.train.build_optimizer

    def backward(_, loss):
        assert loss.is_cuda
        losses.append(loss.detach().item())
        for group in optimizers[-1].param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.full_like(parameter, 1e-3)

    def keep(*arguments):
        optimizers.append(build(*arguments))
        return optimizers[-1]

    monkeypatch.setattr(geodet.training.train, "build_optimizer", keep)
    monkeypatch.setattr(Fabric, "backward", backward)
    return losses


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"classification_loss": "ohem", "box_loss": "giou", "optimizer": "sgd"},
        {"assigner": "atss", "classification_loss": "focal_star", "box_loss": "l1"},
        {"assigner": "nwd", "classification_loss": "balanced_cross_entropy"},
        {"class_weights": "balanced", "ema_decay": 0.0, "classification_loss": "cross_entropy"},
    ],
)
def test_a_training_that_is_resumed_keeps_all_on_the_device(
    settings, tmp_path, monkeypatch, gradients
):
    data = write_tileset(tmp_path / "data", train=3, val=1, classes=("square", "other"))
    config = configured(epochs=2, workers=0, **settings)
    output = tmp_path / "model.safetensors"
    with pretended_cuda(monkeypatch):
        with pytest.raises(PowerCutError):
            run_training(data, output, config, device="cuda", progress=cut_after(1))
        run_training(data, output, config, device="cuda", resume=True)
    assert [row["epoch"] for row in read_log(output)] == ["1", "2"]
    assert len(gradients) == 4
    assert np.isfinite(gradients).all()
    assert load_checkpoint(output).description.classes == ("square", "other")
