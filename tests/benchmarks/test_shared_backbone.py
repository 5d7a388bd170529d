"""The contest of detectors on one backbone: what is built, and what is held out."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import geodet
from geodet.tilesets.labels import LabelledImage, Tileset

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture(autouse=True)
def _import_as_scripts_do(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.mark.parametrize("name", ["RetinaNet", "FCOS", "Faster R-CNN"])
def test_each_detector_trains_and_detects_on_the_shared_backbone(name):
    from others.shared_backbone import SHARED
    from others.torchvision_models import _score_in_float32

    torch.manual_seed(0)
    build, factor = SHARED[f"{name}, native size"]
    few = {"rpn_post_nms_top_n_train": 20, "rpn_post_nms_top_n_test": 20}  # or it takes seconds
    options = few if name == "Faster R-CNN" else {}
    model = build(weights="", num_classes=2, min_size=64, max_size=640, **options)
    images = [torch.rand(3, 64, 64) for _ in range(2)]
    boxes = torch.tensor([[10.0, 10.0, 22.0, 22.0], [30.0, 40.0, 44.0, 50.0]])
    targets = [{"boxes": boxes, "labels": torch.ones(2, dtype=torch.int64)}] * 2
    _score_in_float32(model)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(images, targets)
    assert factor == 1
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = model.eval()(images)
    assert all({"boxes", "scores", "labels"} <= one.keys() for one in found)
    assert {one["scores"].dtype for one in found} == {torch.float32}


def test_steps_in_bfloat16_compute_with_the_weights_of_the_step_before():
    """Autocast keeps rounded weights while it lasts: a loss that never changes is one of these."""
    from functools import partial

    from others.torchvision_models import Way, _train

    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)
    losses = []

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, images, _targets):
            losses.append(self.layer(images).float().square().mean())
            return {"loss": losses[-1]}

    batch = torch.rand(8, 4) + 1
    way = Way(partial(torch.optim.SGD, lr=0.05), lambda _: 1.0)
    use = partial(torch.autocast, "cpu", torch.bfloat16)
    batches = lambda: iter([(batch, None)] * 6)  # noqa: E731
    _, steps, is_finite = _train(Network(), batches, way, use, seconds=60.0)
    assert (steps, is_finite) == (6, True)
    assert losses[-1] < losses[1] < losses[0]


def test_the_rate_of_the_contest_rises_and_falls_to_nothing():
    from others.torchvision_models import _cosine

    assert _cosine(0.0) == 0.01
    assert _cosine(0.025) == pytest.approx(0.5)
    assert _cosine(0.05) == 1
    assert _cosine(0.525) == pytest.approx(0.5)
    assert _cosine(1.0) == _cosine(1.1) == 0


def test_held_out_places_are_scored_and_known_validation_places_left_out():
    from others.chips import _hold_out

    empty = np.zeros((0, 4))
    one = LabelledImage(
        Path("a.tif"), 8, 8, empty, np.zeros(0, np.int64), empty, "a", "train", None
    )
    images = [
        replace(one, path=Path(f"{city}_{split}.tif"), split=split)
        for city in ("a", "b")
        for split in ("train", "val")
    ]
    tileset = Tileset(Path(), ("tree",), tuple(images))
    held = _hold_out(tileset, lambda image: image.path.stem.startswith("b"))
    assert [image.path.stem for image in held.split("train")] == ["a_train"]
    assert [image.path.stem for image in held.split("val")] == ["b_train", "b_val"]


def test_rows_of_another_backbone_are_not_mixed():
    from detectors import _budget

    plain = Namespace(task="vehicles", minutes=3.0, threads=1, weights="", fold=None)
    assert _budget(plain) == {"task": "vehicles", "minutes": 3.0, "threads": 1}
    shared = Namespace(**vars(plain) | {"weights": "package", "fold": 1})
    assert _budget(shared) == _budget(plain) | {"weights": "package", "fold": 1}
