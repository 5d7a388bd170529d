"""Choose how a scene is cut for a model on a device: window size, overlap and batch size."""

from __future__ import annotations

import logging
import math
import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil

from geodet.config import DetectConfig
from geodet.detection.predictor import PredictorFacts
from geodet.geometry.windows import WindowGrid, WindowLimits
from geodet.models.context import context_px
from geodet.models.device import import_torch
from geodet.models.engine import AnyDevice, HostDevice

__all__ = [
    "WindowPlan",
    "choose_slack",
    "count_band_rows",
    "free_memory",
    "list_bands",
    "plan_windows",
    "warn_of_seams",
]

logger = logging.getLogger(__name__)

_LEAST_OVERLAP = 64  # half of it is the context that a cell needs of any network
_LEAST_SIZE = 320  # smaller windows have so many seams that detections change
_TIMES_OVERLAP = 23  # windows of 23 overlaps compute (23 / 22)^2 = 1.09 times the scene's pixels
_LEAST_TIMES_OVERLAP = 4  # (4 / 3)^2 = 1.8: still less work than decoding strips for each window
_MEMORY = 640 * 2**20  # most bytes of activations on a CPU
_LEAST_MEMORY = 40 * 2**20
_FREE_SHARE = 4  # times as much memory must be free, for other programs
_MEMORY_SHARE = 0.5  # of the free memory of a CUDA device
_MEMORY_ELSEWHERE = 16 * 2**30  # of a CUDA device that only another machine has
_BATCH_PIXELS = {"cpu": 2**19, "cuda": 2**25}  # larger batches are no faster
_BAND_PIXELS = 2**24  # least of a band: seconds of work, next to which writing its part is nothing
_BAND_BATCHES = 8  # least of a band: the last batch of each may be small
_CGROUP = Path("/sys/fs/cgroup")


_NUMBERS = ("size", "overlap", "align", "left", "top", "strip_columns")  # of a WindowGrid


class WindowPlan(NamedTuple):
    """The windows of a scene and the batch size."""

    grid: WindowGrid
    """Windows in the pixels of the scene's grid."""
    batch_size: int
    """Chips of the largest window in one forward pass."""

    @property
    def numbers(self) -> dict[str, int]:
        """All that :meth:`from_numbers` needs besides the size of the grid."""
        chosen = {name: getattr(self.grid, name) for name in _NUMBERS}
        return {**chosen, "batch_size": self.batch_size}

    @classmethod
    def from_numbers(cls, size: tuple[int, int], numbers: Mapping[str, int]) -> WindowPlan:
        """Restore a plan.

        Args:
            size: Columns and rows of the scene's grid.
            numbers: As :attr:`numbers` returns them; others are left out.
        """
        grid = WindowGrid(*size, **{name: numbers[name] for name in _NUMBERS})
        return cls(grid, numbers["batch_size"])


def plan_windows(
    predictor: PredictorFacts,
    config: DetectConfig,
    width: int,
    height: int,
    *,
    limits: WindowLimits | None = None,
    first_cell: tuple[int, int] = (0, 0),
) -> WindowPlan:
    """Choose the window size, overlap and batch size that the configuration leaves open.

    The overlap is as long as the largest objects that the model was trained on, and no shorter than
    the context that it needs. Windows are so large that the overlap costs at most 10 % of a large
    scene; smaller where activations would not fit in memory, or where the scene cannot keep the
    decoded blocks of a row of windows. Starts are multiples of the network's coarsest stride,
    counted from the origin of the CRS: the cells of the network lie alike in all scenes that
    were cut from one mosaic, and it finds the same objects there.

    Args:
        predictor: The network and its device.
        config: ``chip_size``, ``overlap`` and ``batch_size``, each None to choose it.
        width: Columns of the scene's grid.
        height: Rows of the scene's grid.
        limits: See :attr:`geodet.raster.scene.Scene.window_limits`; None: none.
        first_cell: Column and row of the grid's first cell, see
            :meth:`geodet.geometry.geobox.GeoBox.first_cell`.
    """
    stride, limits = predictor.stride, limits or WindowLimits()
    pixels = _memory(predictor.device) / predictor.bytes_per_pixel
    most = max(math.isqrt(int(pixels)), 2 * stride)
    overlap = config.overlap
    if overlap is None:
        context = context_px(predictor.architecture, config.chip_size)
        overlap = max(context, _even(1.2 * (predictor.object_px or 0)))
        overlap = min(overlap, (config.chip_size or most) // 4)
    size = config.chip_size or min(max(_TIMES_OVERLAP * overlap, 1024), most)
    if config.chip_size is None and _is_worth(limits.rows, overlap, min(size, height)):
        size = int(limits.rows)
    size = max(size, overlap + 1)
    align = min(stride, 2 ** int(math.log2(size - overlap)))
    left, top = (cell % align for cell in first_cell)
    grid = WindowGrid(width, height, size, overlap, align, left, top)
    grid = replace(grid, strip_columns=_choose_strip(grid, limits.columns))
    return WindowPlan(grid, config.batch_size or _batch_size(grid, pixels, predictor.device))


def count_band_rows(grid: WindowGrid, batch_size: int) -> int:
    """Choose how many rows of windows a band has.

    So many that it takes seconds to compute, and that the batches of most bands are full.

    Args:
        grid: All windows.
        batch_size: Chips of a batch.
    """
    columns = len(grid.windows_of_line(0))
    pixels = columns * grid[0].width * grid[0].height
    rows = max(-(-_BAND_PIXELS // pixels), -(-_BAND_BATCHES * batch_size // columns))
    return min(rows, grid.rows)


def list_bands(
    grid: WindowGrid, batch_size: int, wanted: Sequence[int], *, rows: int | None = None
) -> list[Sequence[int]]:
    """Divide windows into bands: rows of windows of a strip that are computed, and kept, as one.

    Args:
        grid: All windows.
        batch_size: Chips of a batch.
        wanted: Indices of the windows to compute, in rising order.
        rows: Rows of windows of a band; None: chosen by :func:`count_band_rows`.

    Returns:
        Indices by band, without bands of which no window is wanted.
    """
    step = rows or count_band_rows(grid, batch_size)
    strips = range(0, grid.lines, grid.rows)
    lines = [first + row for first in strips for row in range(0, grid.rows, step)]
    starts = [bisect_left(wanted, grid.windows_of_line(line)[0]) for line in lines]
    bands = [wanted[start:end] for start, end in pairwise([*starts, len(wanted)])]
    return [band for band in bands if len(band)]


def warn_of_seams(config: DetectConfig) -> None:
    """Warn, once in a process, of windows so small that the seams affect the detections.

    Args:
        config: ``chip_size`` and ``overlap``; what is None is chosen large enough.
    """
    if config.overlap is not None and config.overlap < _LEAST_OVERLAP:
        _warn_once("detect.overlap", config.overlap, _LEAST_OVERLAP)
    elif config.chip_size is not None and config.chip_size < _LEAST_SIZE:
        _warn_once("detect.chip_size", config.chip_size, _LEAST_SIZE)


@cache
def _warn_once(setting: str, value: int, least: int) -> None:
    logger.warning(
        "%s=%d gives the network too little context at the edges of windows: detections near the "
        "score threshold may change; leave it unset, or set %d or more",
        setting,
        value,
        least,
    )


def _is_worth(most_rows: float, overlap: int, rows: int) -> bool:
    """Whether lower windows save decoding without making the overlap too costly."""
    return _LEAST_TIMES_OVERLAP * max(overlap, _LEAST_OVERLAP) <= most_rows < rows


def _choose_strip(grid: WindowGrid, most_columns: float) -> int:
    """Choose how many columns of windows a strip has; 0: all, in one strip."""
    if grid.columns == 1:
        return 0
    stride = grid[0].width - grid.overlap
    most = min(max((most_columns - grid.overlap) / stride, 1), grid.columns)
    strips = math.ceil(grid.columns / int(most))
    return 0 if strips == 1 else math.ceil(grid.columns / strips)


def _batch_size(grid: WindowGrid, pixels: float, device: AnyDevice) -> int:
    """Choose as many chips as the device uses well, and no more than there are."""
    area = grid[0].width * grid[0].height
    most = min(pixels, _BATCH_PIXELS[device.type]) // area
    return max(1, min(int(most), len(grid)))


def choose_slack(overlap: int, iou_threshold: float) -> float:
    """Choose how far outside its core a window keeps the centres of detections, in pixels.

    Two windows predict slightly different centres for an object on a seam, and without slack both
    could reject it. Too much slack keeps fragments: one whose centre lies in the slack s shows at
    least 1 - 2 s / overlap of each side of an object that is no longer than the overlap. The square
    of that, its IoU with the whole object at a corner, must exceed the IoU threshold.

    Args:
        overlap: Pixels that two neighbouring windows share.
        iou_threshold: IoU threshold of the suppression of duplicates.
    """
    most = overlap // 2 * (1 - math.sqrt(iou_threshold))
    return min(overlap // 2 / 4, 0.9 * most)  # a quarter covers how much two predictions differ


def _memory(device: AnyDevice) -> float:
    """Return the bytes that activations may take."""
    if device.type != "cuda":
        return _memory_of_machine()
    if isinstance(device, HostDevice):
        return _MEMORY_SHARE * _MEMORY_ELSEWHERE
    free, _ = import_torch().cuda.mem_get_info(device)
    return _MEMORY_SHARE * float(free)


def _memory_of_machine() -> float:
    """Return those of a CPU, halved until they are free, so that most runs are cut alike."""
    memory = float(_MEMORY)
    while memory * _FREE_SHARE > free_memory() and memory / 2 >= _LEAST_MEMORY:
        memory /= 2
    if memory < _MEMORY:
        logger.info("only %d MiB of memory are free: windows are smaller", free_memory() // 2**20)
    return memory


def _even(length: float) -> int:
    return 2 * math.ceil(length / 2)


@cache
def free_memory() -> int:
    """Return the bytes that programs can take without swapping, as measured at the first call.

    Measured once, so that all scenes of a run are cut alike. A container may take no more than its
    control group allows, which psutil does not see.
    """
    return min(int(psutil.virtual_memory().available), _left_in_container(_CGROUP))


def _left_in_container(folder: Path) -> int:
    """Return what a control group (version 2) leaves of its limit, or a large number.

    Files that the group holds in its cache count as free: the kernel drops them first.
    """
    limit, statistics = folder / "memory.max", folder / "memory.stat"
    if not limit.exists() or limit.read_text().strip() == "max":
        return sys.maxsize
    used = dict(line.split() for line in statistics.read_text().splitlines())
    return max(int(limit.read_text()) - int(used["anon"]), 0)
