"""Beside torchvision's RetinaNet of the same size, from chips in memory to boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from harness import Setting
from measuring import peak_gpu_mib, seconds_of
from models import MODELS, load
from scenes import paint_chips
from torch import Tensor
from torchvision.models.detection import fasterrcnn_resnet50_fpn, retinanet_resnet50_fpn

from geodet.config import DetectConfig
from geodet.detection.predictor import build_predictor
from geodet.geometry.windows import Window
from geodet.raster.chip import Chip

__all__ = ["peers"]

Row = dict[str, Any]


def peers(setting: Setting) -> Iterator[Row]:
    """Measure in float32 (TF32 where the card has it) and bfloat16; images are not enlarged."""
    count, side = (1, 64) if setting.is_tiny else (16, 1024)
    pixels = paint_chips(setting.folder, count, side)
    valid = torch.ones(side, side, dtype=torch.bool).numpy()
    chips = [Chip(Window(0, 0, side, side), one, valid) for one in pixels]
    for precision in ("float32",) if setting.is_tiny else ("float32", "bfloat16"):
        for name in reversed(MODELS):
            model = load(setting.folder, name)
            config = DetectConfig.model_validate({"precision": precision})
            predictor = build_predictor(model, config, setting.device)
            row = {"detector": f"geodet, {name}", "precision": precision}
            yield row | _speed(setting, lambda p=predictor: p(chips), count * side**2)
        images = [torch.from_numpy(one) for one in pixels]
        for build in (retinanet_resnet50_fpn, fasterrcnn_resnet50_fpn)[
            : 1 if setting.is_tiny else 2
        ]:
            row = {"detector": f"torchvision, {build.__name__}", "precision": precision}
            note = {"note": "random weights: nothing passes, so nothing to suppress"}
            call = _torchvision(setting, build, images, precision)
            yield row | _speed(setting, call, count * side**2) | note


def _torchvision(
    setting: Setting, build: Callable[..., Any], images: list[Tensor], precision: str
) -> Callable[[], Any]:
    side = images[0].shape[-1]
    model = build(weights=None, weights_backbone=None, num_classes=2, min_size=side, max_size=side)
    model = model.to(setting.device).to(memory_format=torch.channels_last).eval()
    is_mixed = precision == "bfloat16"

    def run() -> Any:
        with torch.inference_mode(), torch.autocast(setting.device, torch.bfloat16, is_mixed):
            there = [image.to(setting.device).float() / 255 for image in images]
            return [{k: v.cpu() for k, v in one.items()} for one in model(there)]

    return run


def _speed(setting: Setting, run: Callable[[], Any], pixels: int) -> Row:
    peak_gpu_mib(reset=True)
    taken = seconds_of(run, setting.device, repeats=5, warm=1, most=1.5)
    return {"ms": 1e3 * taken, "Mpx/s": pixels / taken / 1e6, "peak MiB": peak_gpu_mib()}
