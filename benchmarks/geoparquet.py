"""Seconds and memory to write GeoParquet along a Hilbert curve, as a file and as a data set.

Detections come in parts from top to bottom, as detect finds them. Each row of the table is a
process of its own; "MB before" is its peak before the first part. The temporary rows are removed at
the end, so the disk needs room for them as well.

    python benchmarks/geoparquet.py [--counts 1000000 10000000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS
from rich.console import Console
from rich.table import Table

from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.rows import VectorLayer
from geodet.vector.write_detections import open_writer

_FORMATS = {"geoparquet": "a file", "parquet-quadkeys": "a folder by quadkey"}
_SIDE, _PART = 100_000, 20_000  # pixels, rows
_SCENE = GeoBox(_SIDE, _SIDE, Affine(0.6, 0, 400_000, 0, -0.6, 5_000_000), CRS.from_epsg(32633))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000_000])
    options = parser.parse_args()
    table = Table(title="GeoParquet")
    columns = ("CPU seconds", "us per object", "MB before", "MB at the peak", "MB on disk")
    for column in ("format", "objects", *columns):
        table.add_column(column, justify="right")
    context = multiprocessing.get_context("spawn")
    for count in options.counts:
        for format, name in _FORMATS.items():
            with context.Pool(1) as pool:
                table.add_row(name, f"{count:,}", *pool.apply(_measure, (count, format)))
    Console(width=110).print(table)


def _measure(count: int, format: str) -> list[str]:
    random, before = np.random.default_rng(0), _peak()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("a.parquet" if format == "geoparquet" else "found")
        started = time.process_time()
        layer = VectorLayer(classes=("tree",), crs=_SCENE.crs, salt="m")
        with open_writer(path, layer, format=format) as writer:
            for start in range(0, count, _PART):
                low = random.uniform(0, (_SIDE - 20, _SIDE / count * _PART - 20), (_PART, 2))
                low[:, 1] += start / count * _SIDE
                boxes = np.hstack([low, low + random.uniform(4, 20, (_PART, 2))])
                found = Detections(
                    boxes, random.random(_PART, np.float32), np.zeros(_PART, np.int64)
                )
                writer.write(SceneDetections("county.tif", _SCENE, found))
        seconds = time.process_time() - started
        files = [path] if path.is_file() else list(path.iterdir())
        size = sum(file.stat().st_size for file in files) / 1e6
    each = f"{seconds / count * 1e6:.1f}"
    return [f"{seconds:.1f}", each, f"{before:,.0f}", f"{_peak():,.0f}", f"{size:,.0f}"]


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB, on Linux


if __name__ == "__main__":
    main()
