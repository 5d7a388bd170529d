"""Seconds to write detections to a GeoPackage, beside pyogrio with Arrow in the same run.

geodet starts from boxes in pixels and writes in parts, as detect does; pyogrio gets the finished
frame, with geometry and areas, and writes it in one call. The two take turns.

    python benchmarks/writing.py [--count 1000000] [--part 50000] [--runs 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
from affine import Affine
from common import print_machine
from pyproj import CRS
from rich.console import Console
from rich.table import Table

from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.rows import VectorLayer
from geodet.vector.write_detections import open_writer

_CLASSES = ("tree", "palm")
_GEOBOX = GeoBox(40_000, 40_000, Affine(0.6, 0, 447000, 0, -0.6, 5411000), CRS.from_epsg(32633))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--part", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print_machine()
    parts = list(_scatter(options.count, options.part))
    with tempfile.TemporaryDirectory() as folder:
        own, other = Path(folder) / "geodet.gpkg", Path(folder) / "pyogrio.gpkg"
        _write(own, parts)  # also the frame of the other, and a warm-up
        frame = geopandas.read_file(own, layer="detections")
        ways: dict[str, Callable[[], None]] = {
            "geodet, streamed": lambda: _write(own, parts),
            "pyogrio, Arrow": lambda: _write_with_pyogrio(other, frame),
        }
        runs = [{name: _time(way) for name, way in ways.items()} for _ in range(options.runs)]
        sizes = dict(zip(ways, (own.stat().st_size, other.stat().st_size), strict=True))
    _print(options, runs, sizes)


def _scatter(count: int, size: int) -> Iterator[SceneDetections]:
    """Scatter boxes, sorted from top to bottom as detect finds them."""
    random = np.random.default_rng(0)
    low = random.uniform(0, 39_950, (count, 2))
    low = low[np.argsort(low[:, 1])]
    boxes = np.hstack([low, low + random.uniform(5, 40, (count, 2))])
    scores, labels = random.uniform(0, 1, count), random.integers(0, 2, count)
    for start in range(0, count, size):
        few = slice(start, start + size)
        found = Detections(boxes[few], scores[few], labels[few])
        yield SceneDetections("scene.tif", _GEOBOX, found)


def _write(path: Path, parts: list[SceneDetections]) -> None:
    layer = VectorLayer(classes=_CLASSES, crs=_GEOBOX.crs)
    with open_writer(path, layer, overwrite=True) as writer:
        for part in parts:
            writer.write(part)


def _write_with_pyogrio(path: Path, frame: geopandas.GeoDataFrame) -> None:
    path.unlink(missing_ok=True)
    pyogrio.write_dataframe(frame, path, layer="detections", use_arrow=True)


def _time(way: Callable[[], None]) -> tuple[float, float]:
    """Measure seconds on the clock and of the processor."""
    started, computed = time.perf_counter(), time.process_time()
    way()
    return time.perf_counter() - started, time.process_time() - computed


def _print(
    options: argparse.Namespace,
    runs: list[dict[str, tuple[float, float]]],
    sizes: dict[str, int],
) -> None:
    table = Table(title=f"{options.count:,} detections to a GeoPackage, median of {len(runs)} runs")
    for column in ("", "seconds", "CPU s", "MB"):
        table.add_column(column, justify="right" if column else "left")
    for name, size in sizes.items():
        clock, computed = (statistics.median(run[name][i] for run in runs) for i in (0, 1))
        table.add_row(name, f"{clock:.2f}", f"{computed:.2f}", f"{size / 1e6:.0f}")
    for row, kind in enumerate(("seconds", "CPU s")):
        own, other = ([run[name][row] for run in runs] for name in sizes)
        ratios = sorted(a / b for a, b in zip(own, other, strict=True))
        low, middle, high = ratios[0], statistics.median(ratios), ratios[-1]
        table.add_row(f"ratio of {kind}", f"{middle:.2f} ({low:.2f} to {high:.2f})", "", "")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
