"""How a scene is cut for a model on a device: window size, overlap and batch."""

from __future__ import annotations

import logging
import math
from functools import cache
from typing import NamedTuple

import torch

from geodet.config import DetectConfig
from geodet.detection.memory import free_memory
from geodet.detection.predictor import Predictor
from geodet.geometry.windows import WindowGrid

__all__ = ["WindowPlan", "plan_windows", "warn_of_seams"]

logger = logging.getLogger(__name__)

_LEAST_OVERLAP = 64  # half of it is what a cell must see around it: see the benchmark notes
_LEAST_SIZE = 320  # of smaller windows the seams are so many that it shows
_TIMES_OVERLAP = 23  # (23 / 22)^2 = 1.09 pixels are computed for each of a large scene
_LEAST_TIMES_OVERLAP = 4  # (4 / 3)^2 = 1.8: still less than to decode a strip for each window
_MEMORY = 640 * 2**20  # bytes of activations on a CPU, at most
_LEAST_MEMORY = 40 * 2**20
_FREE_SHARE = 4  # times as much must be free: what else runs is to go on
_MEMORY_SHARE = 0.5  # of what is free on a CUDA device
_BATCH_PIXELS = {"cpu": 2**19, "cuda": 2**25}  # more do not make it faster


class WindowPlan(NamedTuple):
    """Windows and batches of a scene."""

    grid: WindowGrid
    """In the pixels of the scene's grid."""
    batch_size: int
    """Chips of the largest window in one forward pass."""


def plan_windows(
    predictor: Predictor,
    config: DetectConfig,
    width: int,
    height: int,
    *,
    rows_kept: float = math.inf,
) -> WindowPlan:
    """Choose what the configuration leaves open.

    The overlap holds the largest object that the model was taught, and the surroundings that it
    looks at. The window is so large that the overlap costs at most 10 % of a large scene, unless
    its activations would not fit, or a row of windows in what the scene keeps of its pixels. Starts
    are multiples of the network's coarsest stride.

    Args:
        predictor: Whose windows they are.
        config: ``chip_size``, ``overlap`` and ``batch_size``, each None to choose it.
        width: Columns of the scene's grid.
        height: Its rows.
        rows_kept: Rows of the tallest windows of which each pixel is decoded once, see
            :attr:`geodet.raster.scene.Scene.rows_kept`.
    """
    stride = predictor.stride
    pixels = _memory(predictor.device) / predictor.bytes_per_pixel
    most = max(math.isqrt(int(pixels)), 2 * stride)
    overlap = config.overlap
    if overlap is None:
        overlap = max(_LEAST_OVERLAP, _even(1.2 * (predictor.object_px or 0)))
        overlap = min(overlap, (config.chip_size or most) // 4)
    size = config.chip_size or min(max(_TIMES_OVERLAP * overlap, 1024), most)
    if config.chip_size is None and _is_worth(rows_kept, overlap, min(size, height)):
        size = int(rows_kept)
    size = max(size, overlap + 1)
    align = min(stride, 2 ** int(math.log2(size - overlap)))
    grid = WindowGrid(width, height, size=size, overlap=overlap, align=align)
    return WindowPlan(grid, config.batch_size or _batch_size(grid, pixels, predictor.device))


def warn_of_seams(config: DetectConfig) -> None:
    """Warn of windows so small that the result depends on where they meet, once in a process.

    Args:
        config: Where the windows' size and overlap are left open, they are large enough.
    """
    if config.overlap is not None and config.overlap < _LEAST_OVERLAP:
        _warn_once("detect.overlap", config.overlap, _LEAST_OVERLAP)
    elif config.chip_size is not None and config.chip_size < _LEAST_SIZE:
        _warn_once("detect.chip_size", config.chip_size, _LEAST_SIZE)


@cache
def _warn_once(setting: str, value: int, least: int) -> None:
    logger.warning(
        "%s=%d shows the network too little around objects where windows meet: some near the score "
        "threshold may come or go; leave it unset, or give %d or more",
        setting,
        value,
        least,
    )


def _is_worth(rows_kept: float, overlap: int, rows: int) -> bool:
    """Tell whether windows are lowered, for the scene's sake, and not so much that seams abound."""
    return _LEAST_TIMES_OVERLAP * max(overlap, _LEAST_OVERLAP) <= rows_kept < rows


def _batch_size(grid: WindowGrid, pixels: float, device: torch.device) -> int:
    """Fill the device, with the chips that there are."""
    area = grid[0].width * grid[0].height
    most = min(pixels, _BATCH_PIXELS[device.type]) // area
    return max(1, min(int(most), len(grid)))


def _memory(device: torch.device) -> float:
    """Give the bytes that activations may take."""
    if device.type != "cuda":
        return _memory_of_machine()
    free, _ = torch.cuda.mem_get_info(device)
    return _MEMORY_SHARE * free


def _memory_of_machine() -> float:
    """Give a CPU's, in steps of two: windows are not to differ for a few bytes that are free."""
    memory = float(_MEMORY)
    while memory * _FREE_SHARE > free_memory() and memory / 2 >= _LEAST_MEMORY:
        memory /= 2
    if memory < _MEMORY:
        logger.info("only %d MiB of memory are free: windows are smaller", free_memory() // 2**20)
    return memory


def _even(length: float) -> int:
    return 2 * math.ceil(length / 2)
