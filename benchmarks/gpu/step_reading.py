"""What reading alone can give: GDAL's own decoding, and geodet's windows, by threads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import local
from typing import Any

import common
import numpy as np
import rasterio
from harness import Setting
from rasterio.windows import Window as RasterioWindow
from scenes import TOWN, make_scene

from geodet.detection.chip_reading import iter_chips
from geodet.geometry.windows import WindowGrid
from geodet.raster.scene import Scene

__all__ = ["reading"]

Row = dict[str, Any]
_KINDS = ("deflate", "none", "deflate-256", "jpeg", "zstd")
_WINDOW, _OVERLAP, _ALIGN = 1472, 64, 16  # as they are chosen for a GPU


def reading(setting: Setting) -> Iterator[Row]:
    """Measure by the files' compression and the number of threads."""
    side, most = (TOWN // 4, 0.2) if setting.is_tiny else (10 * TOWN, 0.8)
    counts = (1, 2) if setting.is_tiny else (1, 4, 8, 16)
    for kind in ("deflate", "none") if setting.is_tiny else _KINDS:
        scene = make_scene(setting.folder, side, kind)
        is_usual = kind in ("deflate", "none")
        for workers in counts if is_usual else counts[-1:]:
            row = {"file": kind, "threads": workers}
            yield row | {"by": "geodet"} | _read_windows(scene, workers, most)
            if workers in counts[-2:]:
                yield row | {"by": "GDAL"} | _read_plainly(scene, workers, most)
    scene = make_scene(setting.folder, side, "deflate")
    yield {"file": "deflate", "by": "GDAL, one handle", "threads": counts[-1]} | _read_at_once(
        scene, counts[-1]
    )
    if setting.is_tiny:
        return
    vrt = common.make_scene(setting.folder, side)
    yield {"file": "VRT of deflate", "by": "geodet", "threads": counts[-1]} | _read_windows(
        vrt, counts[-1], most
    )


def _read_windows(path: Path, workers: int, most: float) -> Row:
    """Read as detect does, for so many seconds at most."""
    with Scene(path) as scene:
        grid = WindowGrid(
            *scene.grid, size=min(_WINDOW, scene.grid[0]), overlap=_OVERLAP, align=_ALIGN
        )
        pixels, start, cpu = 0, time.perf_counter(), time.process_time()
        with closing(iter_chips(scene, grid, workers=workers, ahead=2 * workers)) as chips:
            for index, _ in chips:
                core = grid.core(index)
                pixels += core.width * core.height
                if time.perf_counter() - start > most:
                    break
        return _row(pixels, time.perf_counter() - start, time.process_time() - cpu)


def _read_plainly(path: Path, workers: int, most: float) -> Row:
    """Read squares of some blocks with a handle in each thread, and do nothing with them."""
    kept = local()
    with rasterio.open(path) as raster:
        size, width, height = min(TOWN, raster.width), raster.width, raster.height
    places = [(x, y) for y in range(0, height, size) for x in range(0, width, size)]
    start, cpu = time.perf_counter(), time.process_time()

    def read(place: tuple[int, int]) -> int:
        if time.perf_counter() - start > most:
            return 0
        if not hasattr(kept, "raster"):
            kept.raster = rasterio.open(path)
        out = np.empty((3, size, size), np.uint8)
        kept.raster.read(out=out, window=RasterioWindow(*place, size, size))
        return size * size

    with ThreadPoolExecutor(workers) as pool:
        pixels = sum(pool.map(read, places))
    return _row(pixels, time.perf_counter() - start, time.process_time() - cpu)


def _read_at_once(path: Path, workers: int) -> Row:
    """Read large squares with the threads that GDAL starts itself."""
    start, cpu, pixels = time.perf_counter(), time.process_time(), 0
    with rasterio.Env(GDAL_NUM_THREADS=workers), rasterio.open(path) as raster:
        size = min(4 * TOWN, raster.width)
        for x in range(0, raster.width - size + 1, size):
            raster.read(window=RasterioWindow(x, 0, size, size))
            pixels += size * size
    return _row(pixels, time.perf_counter() - start, time.process_time() - cpu)


def _row(pixels: int, seconds: float, cpu: float) -> Row:
    return {
        "Mpx/s": pixels / seconds / 1e6,
        "cores busy": cpu / seconds,
        "CPU ns/px": cpu / pixels * 1e9 if pixels else None,
    }
