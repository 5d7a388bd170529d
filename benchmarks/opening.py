"""Milliseconds to open a scene as a plan does: on the disk, and behind 50 ms per request.

Each row opens 200 scenes of 64 x 64 px on some threads; the last column is the CPU time of one.

    python benchmarks/opening.py [--scenes 200]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from affine import Affine
from common import print_machine
from pyproj import CRS
from remote import serving
from rich.console import Console
from rich.table import Table

from geodet.config import DetectConfig
from geodet.detection import open_scenes
from geodet.geometry.geobox import GeoBox
from geodet.models.description import ModelDescription
from geodet.onnx.backend import load_model
from geodet.raster.geotiff import write_raster

_UTM = CRS.from_epsg(32633)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    options = parser.parse_args()
    print_machine()
    about = load_model("urban-trees").description
    table = Table(title="opening scenes")
    for column in ("scenes", "threads", "ms per scene", "CPU ms per scene"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), 0.05) as address:
        names = _make_scenes(Path(folder), options.scenes)
        for where, threads in ((folder, 1), (folder, 4), (address, 1), (address, 16)):
            figures = _measure([f"{where}/{name}" for name in names], threads, about)
            kind = "local" if where == folder else "remote, 50 ms per request"
            table.add_row(kind, str(threads), *(f"{1e3 * one:.1f}" for one in figures))
    Console().print(table)


def _make_scenes(folder: Path, count: int) -> list[str]:
    random = np.random.default_rng(0)
    for number in range(count):
        place = Affine(0.6, 0, 300_000 + 38 * number, 0, -0.6, 6_000_000)
        pixels = random.integers(0, 255, (3, 64, 64), np.uint8)
        write_raster(folder / f"{number}.tif", pixels, GeoBox(64, 64, place, _UTM))
    return [f"{number}.tif" for number in range(count)]


def _measure(paths: list[str], threads: int, about: ModelDescription) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of a scene."""
    open_scenes._OPENERS = open_scenes._LOCAL_OPENERS = threads
    began, cpu = time.perf_counter(), time.process_time()
    with open_scenes.OpenScenes(about, DetectConfig()) as opened:
        for path, _ in zip(paths, opened.iter_opened(paths), strict=True):
            opened.close_scene(path)
    spent = time.perf_counter() - began, time.process_time() - cpu
    return spent[0] / len(paths), spent[1] / len(paths)


if __name__ == "__main__":
    main()
