"""How a scene is cut for a model on a device: window size, overlap and batch."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from geodet.config import DetectConfig
from geodet.engine.inference import Predictor
from geodet.windows import WindowGrid

__all__ = ["WindowPlan", "plan_windows"]

_LEAST_OVERLAP = 64  # half of it is what a cell must see around it: see the benchmark notes
_TIMES_OVERLAP = 24  # (24 / 23)^2 = 1.09 pixels are computed for each of a large scene
_MEMORY = 640 * 2**20  # bytes of activations on a CPU
_MEMORY_SHARE = 0.5  # of what is free on a CUDA device
_BATCH_PIXELS = {"cpu": 2**20, "cuda": 2**25}  # more do not make it faster


class WindowPlan(NamedTuple):
    """Windows and batches of a scene."""

    grid: WindowGrid
    """In the pixels of the scene's grid."""
    batch_size: int
    """Chips of the largest window in one forward pass."""


def plan_windows(predictor: Predictor, config: DetectConfig, width: int, height: int) -> WindowPlan:
    """Choose what the configuration leaves open.

    The overlap holds the largest object that the model was taught, and the surroundings that it
    looks at. The window is so large that the overlap costs at most 10 % of a large scene, unless
    its activations would not fit. Starts are multiples of the network's coarsest stride.

    Args:
        predictor: Whose windows they are.
        config: ``chip_size``, ``overlap`` and ``batch_size``, each None to choose it.
        width: Columns of the scene's grid.
        height: Its rows.
    """
    stride = predictor.stride
    pixels = _memory(predictor.device) / predictor.bytes_per_pixel
    most = max(math.isqrt(int(pixels)), 2 * stride)
    overlap = config.overlap
    if overlap is None:
        overlap = max(_LEAST_OVERLAP, _even(1.2 * (predictor.object_px or 0)))
        overlap = min(overlap, (config.chip_size or most) // 4)
    size = config.chip_size or min(max(_TIMES_OVERLAP * overlap, 1024), most)
    size = max(size, overlap + 1)
    align = min(stride, 2 ** int(math.log2(size - overlap)))
    grid = WindowGrid(width, height, size=size, overlap=overlap, align=align)
    return WindowPlan(grid, config.batch_size or _batch_size(grid, pixels, predictor.device))


def _batch_size(grid: WindowGrid, pixels: float, device: torch.device) -> int:
    """Fill the device, with the chips that there are."""
    area = grid[0].width * grid[0].height
    most = min(pixels, _BATCH_PIXELS[device.type]) // area
    return max(1, min(int(most), len(grid)))


def _memory(device: torch.device) -> float:
    """Give the bytes that activations may take."""
    if device.type != "cuda":
        return _MEMORY
    free, _ = torch.cuda.mem_get_info(device)
    return _MEMORY_SHARE * free


def _even(length: float) -> int:
    return 2 * math.ceil(length / 2)
