"""What a second worker brings: eight scenes with one and with two workers of one thread each.

The runs take turns; quote the median ratio. A run counts from when its first worker is ready until
the layer is written, without the end of the engine, which takes the same time for any job. The
first row is the machine's own limit: the bare forward pass in one process and in two at once.

    python benchmarks/workers.py [--side 3072] [--repeats 3] [--engines process ray]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import torch
from affine import Affine
from common import make_scene, print_machine
from pyproj import CRS
from rich.console import Console
from rich.table import Table

from geodet.config import DetectConfig
from geodet.detection.detect import DetectOptions
from geodet.detection.predictor import build_predictor
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.jobs.pool_engines import ProcessEngine
from geodet.jobs.pooled_run import begin_detection
from geodet.jobs.ray_engine import RayEngine
from geodet.jobs.worker_process import Ready
from geodet.models.description import find_model
from geodet.onnx.backend import load_model
from geodet.raster.chip import Chip
from geodet.raster.geotiff import write_raster

MODEL = "urban-trees"
LIMIT = "bare forward pass"
WINDOW, LIMIT_S = 1024, 8.0  # of the bare forward pass: pixels, seconds


def main() -> None:
    options = _parse()
    print_machine()
    ratios: dict[str, list[float]] = {name: [] for name in (LIMIT, *options.engines)}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        scenes = _make_neighbours(folder, options.side)
        layers = []
        for _ in range(options.repeats):
            one, two = (_forward_rate(options.precision, count) for count in (1, 2))
            ratios[LIMIT].append(two / one)
            print(f"{LIMIT}: {one:.2f} and {two:.2f} Mpx/s", flush=True)
            for engine in options.engines:
                runs = [
                    _apart(_detect, scenes, folder / f"{count}.gpkg", engine, count, options)
                    for count in (1, 2)
                ]
                ratios[engine].append(runs[0] / runs[1])
                print(f"{engine}: {runs[0]:.1f} and {runs[1]:.1f} s", flush=True)
                layers += [
                    geopandas.read_file(folder / f"{count}.gpkg", layer="detections")
                    for count in (1, 2)
                ]
    table = Table(
        title=f"eight scenes of {options.side} px a side, {options.repeats} times in turn"
    )
    for column in ("", "speed-up by a second worker", "minimum", "maximum"):
        table.add_column(column, justify="right" if column else "left")
    for row, found in ratios.items():
        figures = statistics.median(found), min(found), max(found)
        table.add_row(row, *(f"{figure:.2f}" for figure in figures))
    Console(width=100).print(table)
    same = all(layers[0].equals(layer) for layer in layers)
    print(f"{len(layers[0]):,} rows, identical: {same}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=3072)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["process"], choices=["process", "ray"])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--folder", type=Path)
    return parser.parse_args()


def _make_neighbours(folder: Path, side: int) -> list[Path]:
    """Make eight scenes of one painted town, each a tenth of its side into the one before."""
    with rasterio.open(make_scene(folder, -(-side // 2048) * 2048)) as town:
        pixels = town.read(window=((0, side), (0, side)))
        place = town.transform
    scenes = [folder / f"{number}.tif" for number in range(8)]
    for number, scene in enumerate(scenes):
        moved = place * Affine.translation(0.9 * side * number, 0)
        write_raster(scene, pixels, GeoBox(side, side, moved, CRS.from_epsg(32633)))
    return scenes


def _forward_rate(precision: str, count: int) -> float:
    """Measure the Mpx/s of all of some processes that run nothing but the network."""
    context = multiprocessing.get_context("spawn")
    ends, processes = [], []
    for _ in range(count):
        end, other = context.Pipe()
        processes.append(context.Process(target=_forward, args=(precision, other), daemon=True))
        processes[-1].start()
        other.close()
        ends.append(end)
    for end in ends:
        end.recv()
    for end in ends:
        end.send(None)
    rate = sum(end.recv() for end in ends)
    for process in processes:
        process.join()
    return float(rate)


def _forward(precision: str, connection: Connection) -> None:
    torch.set_num_threads(1)
    predictor = build_predictor(load_model(MODEL), DetectConfig(precision=precision), "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (3, WINDOW, WINDOW), np.uint8)
    valid = np.ones((WINDOW, WINDOW), np.bool_)
    batch = predictor.stack([Chip(Window(0, 0, WINDOW, WINDOW), pixels, valid)])
    predictor.forward(*predictor.engine.start(batch))
    connection.send(None)
    connection.recv()
    began, passes = time.monotonic(), 0
    while time.monotonic() - began < LIMIT_S:
        predictor.forward(*predictor.engine.start(batch))
        passes += 1
    connection.send(passes * WINDOW**2 / 1e6 / (time.monotonic() - began))


def _apart(function: Any, *arguments: Any) -> float:
    """Call a function in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return float(pool.apply(function, arguments))


def _detect(
    scenes: list[Path], output: Path, engine: str, count: int, options: argparse.Namespace
) -> float:
    """Return the seconds from when the first worker was ready, without the end of the engine."""
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    torch.set_num_threads(count)  # which the processes share
    workers: Any = ProcessEngine(["cpu"] * count)
    if engine == "ray":
        workers = RayEngine(find_model(MODEL), device="cpu", actors=count, threads=1)
    timed = TimedEngine(workers)
    config, chosen = DetectConfig(precision=options.precision), DetectOptions("cpu", overwrite=True)
    for _ in begin_detection(scenes, [output], load_model(MODEL), config, chosen, timed):
        pass
    return time.monotonic() - timed.times["began"] - timed.times["closing"]


@dataclass(frozen=True)
class TimedEngine:
    """Notes when the first worker of an engine is ready, and how long its end takes."""

    engine: Any
    times: dict[str, float] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """The device to plan with."""
        return str(self.engine.device)

    def open(self, *arguments: Any) -> Any:
        """Start the workers."""
        return TimedPool(self.engine.open(*arguments), self.times)


@dataclass(frozen=True)
class TimedPool:
    """Notes when the first worker of a pool is ready, and how long its end takes."""

    pool: Any
    times: dict[str, float]

    def __iter__(self) -> Iterator[Any]:
        for event in self.pool:
            if isinstance(event, Ready):
                self.times.setdefault("began", time.monotonic())
            yield event

    def close(self) -> None:
        """End the workers."""
        began = time.monotonic()
        self.pool.close()
        self.times["closing"] = time.monotonic() - began


if __name__ == "__main__":
    main()
