"""Geodet's network as a detector of torchvision's: a list of images in, dictionaries out.

Images are (3, H, W) in 0 to 1. Whoever takes torchvision's detectors takes these.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from geodet.config import DetectConfig
from geodet.detection.predictor import build_predictor
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.models.decode import decode
from geodet.models.engine import Outputs
from geodet.models.inputs import standardise
from geodet.models.model import Model
from geodet.raster.chip import Chip


class Plain(nn.Module):
    """Geodet's network with torchvision's ways.

    It computes in float32, in contiguous tensors, and leaves gradients to the caller. Boxes are
    decoded by geodet, quicker than torchvision's, with its cap on candidates.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network.to(memory_format=torch.contiguous_format)
        self.about = model.description

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Detect in images of one size."""
        pixels = torch.stack(images) * 255
        valid = torch.ones_like(pixels[:, 0], dtype=torch.bool)
        given = standardise(pixels, valid, self.about.mean, self.about.std).contiguous()
        config = DetectConfig()
        decoded = decode(
            Outputs(*self.network(given)),
            score_threshold=self.about.score_threshold,
            iou_threshold=self.about.iou_threshold,
            max_candidates=round(config.max_candidates * max(1.0, pixels[0, 0].numel() / 512**2)),
        )
        return [_answer(one.detections) for one in decoded]


class Tuned(nn.Module):
    """Geodet's predictor, in the precision and with the memory layout that it chooses."""

    def __init__(self, model: Model, config: DetectConfig | None = None) -> None:
        super().__init__()
        self.predictor = build_predictor(model, config or DetectConfig(), "cpu")

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Detect in images of one size."""
        chips = []
        for image in images:
            height, width = image.shape[1:]
            pixels = (image * 255).round().to(torch.uint8).numpy()
            chips.append(Chip(Window(0, 0, width, height), pixels, np.ones((height, width), bool)))
        return [_answer(one.detections) for one in self.predictor(chips)]


def _answer(found: Detections) -> dict[str, Tensor]:
    boxes, scores, labels = map(torch.from_numpy, (found.boxes, found.scores, found.labels))
    return {"boxes": boxes, "scores": scores, "labels": labels}
