"""Seconds and memory to suppress the duplicates among a million detections and more.

Boxes of 10 to 40 px are scattered at random, as many to an area as a million in 40,000 x 40,000 px;
half of them are duplicates. The same boxes also go through an STRtree of shapely with vectorised
rounds, through torchvision's NMS, which compares all pairs, and row by row as windows come. Some
bad cases follow. CPU seconds are of all threads.

    python benchmarks/merge_speed.py [--counts 100000 1000000 10000000] [--most-torchvision 100000]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from common import print_machine
from rich.console import Console
from rich.table import Table
from shapely import STRtree, box
from torchvision.ops import nms

from geodet.geometry.boxes import Detections, paired_iou
from geodet.merging.merger import RowMerger, suppress
from geodet.merging.suppression import SuppressionRule

_IOU = 0.5
_AREA = 40_000.0**2 / 1e6  # square pixels to a box
_ROW = 900.0  # pixels from one row of windows to the next


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--most-strtree", type=int, default=1_000_000)
    parser.add_argument("--most-torchvision", type=int, default=100_000)
    parser.add_argument("--crowd", type=int, default=100_000, help="boxes of the bad cases")
    options = parser.parse_args()
    print_machine()
    table = Table(title=f"suppression at IoU {_IOU}")
    columns = ("kept", "seconds", "CPU, s", "µs per box", "peak MB")
    for column in ("boxes", "distribution", "method", *columns):
        table.add_column(column, justify="right")
    for count in options.counts:
        found = _scatter(count)
        ways: dict[str, Callable[[Detections], int]] = {"suppress": _suppress, "rows": _rows}
        if count <= options.most_strtree:
            ways["STRtree"] = _strtree
        if count <= options.most_torchvision:
            ways["torchvision"] = _torchvision
        for name, way in ways.items():
            table.add_row(f"{count:,}", "scene", name, *_measure(found, way))
    for name, found in _bad_cases(options.crowd).items():
        table.add_row(f"{len(found):,}", name, "suppress", *_measure(found, _suppress))
    Console(width=110).print(table)


def _scatter(count: int) -> Detections:
    random = np.random.default_rng(0)
    side = (count * _AREA) ** 0.5
    centres, sides = (
        random.uniform(0, side, (count // 2, 2)),
        random.uniform(10, 40, (count // 2, 2)),
    )
    boxes = np.hstack([centres - sides / 2, centres + sides / 2])
    boxes = np.vstack([boxes, boxes + random.normal(0, 1, boxes.shape)])
    return Detections(boxes, random.random(len(boxes)), np.zeros(len(boxes)))


def _bad_cases(count: int) -> dict[str, Detections]:
    random = np.random.default_rng(1)
    equal = np.tile([100.0, 100, 120, 120], (count, 1))
    x = np.arange(float(count))
    corners = random.uniform(0, 1000, (count, 2))
    boxes = {
        "all equal": equal,
        "one crowd": equal + random.normal(0, 3, equal.shape),
        "one over all": np.vstack([_scatter(count).boxes, [[0, 0, 40_000, 40_000]]]),
        "lines of 300 x 2 px": np.hstack([corners, corners + np.array([300, 2])]),
        "one chain": np.stack([x, 0 * x, x + 4, 0 * x + 1], axis=1),  # IoU 0.6, then 1/3
    }
    return {
        name: Detections(case, np.linspace(1, 0.5, len(case)), np.zeros(len(case)))
        for name, case in boxes.items()
    }


def _measure(found: Detections, way: Callable[[Detections], int]) -> list[str]:
    started, computed = time.perf_counter(), time.process_time()
    kept = way(found)
    wall, used = time.perf_counter() - started, time.process_time() - computed
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB, on Linux; of all so far
    per_box = f"{used / len(found) * 1e6:.2f}"
    return [f"{kept:,}", f"{wall:.2f}", f"{used:.2f}", per_box, f"{peak:,.0f}"]


def _suppress(found: Detections) -> int:
    return len(suppress(found, iou_threshold=_IOU))


def _rows(found: Detections) -> int:
    """Merge as detect does, row of windows by row."""
    merger, kept = RowMerger(SuppressionRule(_IOU)), 0
    rows = np.floor(found.boxes[:, 1] / _ROW).astype(np.int64)
    order = np.argsort(rows, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(rows[order])) + 1):
        kept += len(merger.settle(float(rows[part[0]]) * _ROW))
        merger.add(found.select(part))
    return kept + len(merger.finish())


def _strtree(found: Detections) -> int:
    """Suppress by an index of shapely and rounds over all pairs of rivals."""
    boxes = found.ranked().boxes
    shapes = box(*boxes.T)
    rows, others = STRtree(shapes).query(shapes)
    rows, others = rows[rows < others], others[rows < others]
    rival = paired_iou(boxes[rows], boxes[others]) > _IOU
    strong, weak = rows[rival], others[rival]
    kept = np.ones(len(boxes), np.bool_)
    while len(strong):
        beaten = np.isin(strong, weak)
        kept[weak[~beaten]] = False
        still = beaten & kept[strong] & kept[weak]
        strong, weak = strong[still], weak[still]
    return int(kept.sum())


def _torchvision(found: Detections) -> int:
    boxes, scores = torch.from_numpy(found.boxes), torch.from_numpy(found.scores).double()
    return len(nms(boxes, scores, _IOU))


if __name__ == "__main__":
    main()
