"""Torchvision's detectors, trained as its reference script does, or as geodet trains.

Reference:
    The defaults of ``references/detection/train.py`` in torchvision's repository: SGD, momentum
    0.9, weight decay 1e-4, 26 epochs with a tenth of the rate after 16 and 22, horizontal flips, a
    rate of 0.02 for 16 images a step and 0.01 for RetinaNet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import detection

from geodet.geometry.boxes import Detections
from geodet.models.device import resolve_precision
from geodet.tilesets.labels import LabelledImage
from others.chips import BATCH, Dataset, clip_boxes, read_rgb
from others.result import PeerResult
from others.shared_backbone import SHARED

_EPOCHS, _STEPS = 26, (16, 22)
_IMAGES_A_STEP = 16  # that the reference's rates are for


@dataclass(frozen=True, slots=True)
class Way:
    """How a detector is trained."""

    build: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
    """Builds the optimizer, with the highest rate."""
    factor: Callable[[float], float]
    """The rate's factor at a share of the time."""
    largest_norm: float = math.inf
    """Of the gradient."""
    precision: str = "float32"
    """As in ``train.precision``."""


def _reference(rate: float, batch: int) -> Way:
    """Train as torchvision's script does, at a rate for 16 images a step."""
    scaled = rate * batch / _IMAGES_A_STEP
    build = partial(torch.optim.SGD, lr=scaled, momentum=0.9, weight_decay=1e-4)
    return Way(build, _reference_factor)


def _reference_factor(share: float) -> float:
    """Rise in the first epoch, then fall by two steps."""
    epoch = _EPOCHS * share
    return min(1.0, 0.001 + epoch) * 0.1 ** sum(epoch >= step for step in _STEPS)


def _as_geodet() -> Way:
    """Train as geodet does by default."""
    build = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.05)
    return Way(build, _cosine, largest_norm=1.0, precision="auto")


def _cosine(share: float) -> float:
    """Rise in the first twentieth, then fall to zero."""
    rising = 0.05
    if share < rising:
        return max(share / rising, 0.01)
    return 0.5 * (1 + math.cos(math.pi * min((share - rising) / (1 - rising), 1.0)))


Build = Callable[..., nn.Module]
MODELS: dict[str, tuple[Build, float, bool]] = {
    "torchvision RetinaNet": (detection.retinanet_resnet50_fpn, 0.01, True),
    "torchvision RetinaNet, not enlarged": (detection.retinanet_resnet50_fpn, 0.01, False),
    "torchvision Faster R-CNN": (detection.fasterrcnn_resnet50_fpn, 0.02, True),
}
"""Name to (constructor, rate for 16 images a step, whether images are enlarged as by default)."""


def run_torchvision(
    name: str, dataset: Dataset, *, minutes: float, seed: int, batch: int
) -> PeerResult:
    """Train for some minutes at torchvision's defaults and detect on the validation images."""
    torch.manual_seed(seed)
    build, rate, is_enlarged = MODELS[name]
    side = min(dataset.train[0].width, dataset.train[0].height)
    size = {} if is_enlarged else {"min_size": side, "max_size": 10 * side}
    classes = len(dataset.classes) + 1  # 0 is the background
    model = build(weights=None, weights_backbone=None, num_classes=classes, **size)
    budget = {"minutes": minutes, "seed": seed, "batch": batch}
    return _train_and_detect(name, model, dataset, _reference(rate, batch), **budget)


def run_shared(
    name: str, dataset: Dataset, *, weights: str, minutes: float, seed: int, batch: int
) -> PeerResult:
    """Train for some minutes on the backbone that all share, and detect.

    Args:
        name: One of those of :data:`others.shared_backbone.SHARED`.
        dataset: Its images.
        weights: First weights of the backbone.
        minutes: Of training.
        seed: Of the heads' weights and the batches.
        batch: Images in a step.
    """
    torch.manual_seed(seed)
    build, factor = SHARED[name]
    side = round(factor * min(dataset.train[0].width, dataset.train[0].height))
    classes = len(dataset.classes) + 1  # 0 is the background
    model = build(weights=weights, num_classes=classes, min_size=side, max_size=10 * side)
    budget = {"minutes": minutes, "seed": seed, "batch": batch}
    return _train_and_detect(name, model, dataset, _as_geodet(), **budget)


def _train_and_detect(
    name: str,
    model: nn.Module,
    dataset: Dataset,
    way: Way,
    *,
    minutes: float,
    seed: int,
    batch: int,
) -> PeerResult:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    batches = partial(_batches, dataset, batch=batch, seed=seed, device=device)
    precision = resolve_precision(way.precision, device)
    if precision != torch.float32:
        model.to(memory_format=torch.channels_last)
    use = partial(torch.autocast, device.type, precision, precision != torch.float32)
    _score_in_float32(model)
    seconds, steps, is_finite = _train(model, batches, way, use, seconds=60 * minutes)
    weights = sum(p.numel() for p in model.parameters()) / 1e6
    note = f"{weights:.1f} M weights, {str(precision).removeprefix('torch.')}"
    if not is_finite:
        note = "diverged: the loss is not finite"
        return PeerResult(name, None, seconds, float(steps * batch), math.nan, note)
    with use():
        found, speed = _detect(model, dataset, device)
    return PeerResult(name, found, seconds, float(steps * batch), speed, note)


def _score_in_float32(model: nn.Module) -> None:
    """Make what the heads say float32, whatever they compute in: losses and boxes need it."""

    def widen(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        return _widened(output)

    for name, part in model.named_modules():
        if name in ("head", "rpn.head", "roi_heads.box_predictor"):
            part.register_forward_hook(widen)


def _widened(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, dict):
        return {key: _widened(value) for key, value in output.items()}
    return type(output)(map(_widened, output))


def _train(
    model: nn.Module,
    batches: Callable[[], Iterator[tuple[list[Tensor], list[dict[str, Tensor]]]]],
    way: Way,
    use: Callable[[], AbstractContextManager[None]],
    *,
    seconds: float,
) -> tuple[float, int, bool]:
    """Train until the time is over; gives the seconds, the steps, whether the loss was finite.

    The precision is entered for each step: within one use, weights are rounded only once.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = way.build(parameters)
    highest = optimizer.param_groups[0]["lr"]
    model.train()
    started, steps = time.perf_counter(), 0
    for images, targets in batches():
        passed = time.perf_counter() - started
        if passed >= seconds:
            break
        for group in optimizer.param_groups:
            group["lr"] = highest * way.factor(passed / seconds)
        with use():
            loss = sum(model(images, targets).values())
        assert isinstance(loss, Tensor)
        if not torch.isfinite(loss):
            return passed, steps, False
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, way.largest_norm)
        optimizer.step()
        steps += 1
    return time.perf_counter() - started, steps, True


def _batches(
    dataset: Dataset, *, batch: int, seed: int, device: torch.device
) -> Iterator[tuple[list[Tensor], list[dict[str, Tensor]]]]:
    """Yield shuffled, flipped images endlessly, each decoded once."""
    source, known = np.random.default_rng(seed), {}
    while True:
        order = source.permutation(len(dataset.train))
        for start in range(0, len(order) - batch + 1, batch):
            pairs = []
            for i in order[start : start + batch]:
                if i not in known:
                    known[i] = _labelled(dataset.train[i], dataset)
                pairs.append(_flipped(*known[i], is_flipped=bool(source.random() < 0.5)))
            images, targets = zip(*pairs, strict=True)
            yield (
                [image.to(device).float() / 255 for image in images],
                [{key: value.to(device) for key, value in t.items()} for t in targets],
            )


def _labelled(image: LabelledImage, dataset: Dataset) -> tuple[Tensor, dict[str, Tensor]]:
    pixels = torch.from_numpy(read_rgb(image, dataset.bands)).permute(2, 0, 1).contiguous()
    boxes, labels = clip_boxes(image)
    target = {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)}
    return pixels, target | {"labels": torch.tensor(labels + 1, dtype=torch.int64)}


def _flipped(
    pixels: Tensor, target: dict[str, Tensor], *, is_flipped: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    if not is_flipped:
        return pixels, target
    x1, y1, x2, y2 = target["boxes"].unbind(1)
    width = pixels.shape[-1]
    boxes = torch.stack([width - x2, y1, width - x1, y2], dim=1)
    return pixels.flip(-1), {**target, "boxes": boxes}


@torch.inference_mode()
def _detect(
    model: nn.Module, dataset: Dataset, device: torch.device
) -> tuple[list[Detections], float]:
    model.eval()
    images = [_labelled(image, dataset)[0].to(device).float() / 255 for image in dataset.val]
    model(images[:BATCH])
    start = time.perf_counter()
    outputs: list[dict[str, Any]] = []
    for i in range(0, len(images), BATCH):
        outputs += model(images[i : i + BATCH])
    speed = len(images) / (time.perf_counter() - start)
    return [_detections(output) for output in outputs], speed


def _detections(output: dict[str, Tensor]) -> Detections:
    boxes, scores, labels = (output[key].cpu().numpy() for key in ("boxes", "scores", "labels"))
    is_object = labels > 0
    return Detections(boxes, scores, labels - 1).select(is_object)
