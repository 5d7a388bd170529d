"""Seconds and memory to remove the duplicates between overlapping scenes, as the scenes come.

A county is a grid of square scenes that overlap by a tenth of their side, each with as many objects
at random places; those in the overlaps are found in each scene, a little shifted. Each row of the
table is a process of its own, so its peak is its own; "MB before" is the peak of the same process
without scenes. "shuffled" scenes come in any order, the worst case: nearly all wait.

    python benchmarks/joining.py [--counts 1000000 10000000] [--scenes 400 3000] [--order rows]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

import numpy as np
from affine import Affine
from common import print_machine
from pyproj import CRS
from rich.console import Console
from rich.table import Table

from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.merging.mosaics import MosaicJoiner

_SIDE, _STEP = 10_000, 9_000  # pixels
_UTM = CRS.from_epsg(32633)
_ORDERS = {"rows": "row by row", "shuffled": "random"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--scenes", type=int, nargs="+", default=[400, 3_000])
    parser.add_argument("--order", choices=list(_ORDERS), nargs="+", default=["rows"])
    options = parser.parse_args()
    print_machine()
    table = Table(title="duplicates between overlapping scenes")
    columns = ("objects", "kept", "CPU seconds", "us per object", "MB before", "MB at the peak")
    for column in ("scenes", "order of scenes", *columns):
        table.add_column(column, justify="right")
    context = multiprocessing.get_context("spawn")
    for scenes in options.scenes:
        for count in options.counts:
            for order in options.order:
                with context.Pool(1) as pool:
                    row = pool.apply(_measure, (scenes, count, order))
                table.add_row(f"{scenes:,}", _ORDERS[order], *row)
    Console(width=110).print(table)


def _measure(scenes: int, count: int, order: str) -> list[str]:
    columns = round(scenes**0.5)
    places = [(number % columns, number // columns) for number in range(scenes)]
    if order == "shuffled":
        np.random.default_rng(0).shuffle(places)
    empty = [SceneDetections(_name(p), _geobox(p), Detections.empty()) for p in places]
    before, kept, total, seconds = _peak(), 0, 0, 0.0
    with MosaicJoiner(empty, iou_threshold=0.5) as joiner:
        for number, place in enumerate(places):
            found = _find(place, count // scenes)
            total += len(found)
            started = time.process_time()
            kept += sum(len(part.detections) for part in joiner.add(number, [found]))
            seconds += time.process_time() - started
    per_box = f"{seconds / total * 1e6:.2f}"
    return [
        f"{total:,}",
        f"{kept:,}",
        f"{seconds:.1f}",
        per_box,
        f"{before:,.0f}",
        f"{_peak():,.0f}",
    ]


def _name(place: tuple[int, int]) -> str:
    return f"{place[0]}_{place[1]}.tif"


def _geobox(place: tuple[int, int]) -> GeoBox:
    x, y = 300_000 + place[0] * _STEP, 5_000_000 - place[1] * _STEP
    return GeoBox(_SIDE, _SIDE, Affine(1, 0, x, 0, -1, y), _UTM)


def _find(place: tuple[int, int], count: int) -> Detections:
    """Return what a scene shows: of each cell of the ground that it touches the objects in it."""
    cells = [(place[0] + x, place[1] + y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    boxes = np.concatenate([_objects(cell, count) for cell in cells if min(cell) >= 0])
    boxes = boxes - np.tile(np.array(place) * _STEP, 2)
    inside = ((boxes >= 0) & (boxes <= _SIDE)).all(axis=1)
    random = np.random.default_rng([*place, 1])
    shift = random.normal(0, 0.5, (int(inside.sum()), 4))
    found = (boxes[inside] + shift).clip(0, _SIDE).astype(np.float32)
    return Detections(found, random.random(len(found), np.float32), np.zeros(len(found), np.int64))


def _objects(cell: tuple[int, int], count: int) -> np.ndarray:
    random = np.random.default_rng([*cell, 0])
    low = random.uniform(0, _STEP, (count, 2)) + np.array(cell) * _STEP
    return np.hstack([low, low + random.uniform(8, 24, (count, 2))])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB, on Linux


if __name__ == "__main__":
    main()
