"""Seconds to compare 100,000 detections with 100,000 labels of one scene: all that evaluate does.

Objects of 8 to 16 px are scattered at random, as many to an area as in a wood; a fifth of the
detections are false. By distance a connected group may hold most of the scene.

    python benchmarks/evaluation.py [--count 100000] [--spacing 12]
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
from rich.console import Console
from rich.table import Table

from geodet.config import MatchConfig
from geodet.evaluation.measures import EvaluatedImage, Evaluation, measure
from geodet.evaluation.report_files import write_evaluation
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox

_GSD = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--spacing", type=float, nargs="+", default=[12.0, 9.0], help="pixels")
    options = parser.parse_args()
    print_machine()
    table = Table(title=f"{options.count:,} detections against {options.count:,} labels")
    columns = (
        "px per tree",
        "match",
        "measures, s",
        "files, s",
        "both, s",
        "CPU s",
        "matched",
        "AP50",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for spacing in options.spacing:
        sample = _scatter(options.count, spacing)
        for rule in (MatchConfig(by="iou"), MatchConfig(by="distance", distance_m=6.0)):
            table.add_row(f"{spacing:g}²", rule.by, *_run(sample, rule))
    Console(width=110).print(table)


def _scatter(count: int, spacing: float) -> EvaluatedImage:
    random = np.random.default_rng(0)
    side = spacing * count**0.5
    boxes = _boxes(random.uniform(0, side, (count, 2)), random.uniform(8, 16, (count, 2)))
    right = int(0.8 * count)
    false = _boxes(random.uniform(0, side, (count - right, 2)), np.full((count - right, 2), 10.0))
    found = np.concatenate([boxes[:right] + random.normal(0, 1.0, (right, 4)), false])
    scores = random.beta(np.where(np.arange(count) < right, 4, 2), 2).astype(np.float32)
    labels = np.zeros(count, np.int64)
    return EvaluatedImage(
        "wood", Detections(found, scores, labels), boxes, labels, np.zeros((0, 4)), _GSD
    )


def _boxes(centres: np.ndarray, sides: np.ndarray) -> np.ndarray:
    return np.hstack([centres - sides / 2, centres + sides / 2])


def _run(sample: EvaluatedImage, rule: MatchConfig) -> list[str]:
    started, computed = time.perf_counter(), time.process_time()
    evaluation = measure([sample], ("tree",), rule, threshold=0.3)
    measured = time.perf_counter()
    _write(evaluation)
    done, used = time.perf_counter(), time.process_time() - computed
    figures = evaluation.overall
    return [
        f"{measured - started:.1f}",
        f"{done - measured:.1f}",
        f"{done - started:.1f}",
        f"{used:.1f}",
        f"{figures.scores.matched:,}",
        f"{figures.ap.ap50:.3f}",
    ]


def _write(evaluation: Evaluation) -> None:
    geobox = GeoBox(1, 1, Affine(_GSD, 0, 447000, 0, -_GSD, 5411000), CRS.from_epsg(32633))
    with tempfile.TemporaryDirectory() as folder:
        places = [("wood", geobox, _GSD)]
        write_evaluation(Path(folder) / "out", evaluation, places, title="wood", about={})


if __name__ == "__main__":
    main()
