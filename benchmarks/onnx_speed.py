"""Is onnxruntime faster than PyTorch on this CPU? The same chips, in turn, in one process.

Chips go in and objects come out. Quote the ratios, not the seconds.

    python benchmarks/onnx_speed.py [--model NAME] [--rounds 5] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from common import GSD, print_machine
from rich.console import Console
from rich.table import Table

from geodet.config import DetectConfig
from geodet.demo.town import paint_town
from geodet.detection.predictor import Predictor, build_predictor
from geodet.geometry.windows import Window
from geodet.models.checkpoint import load_checkpoint
from geodet.onnx.backend import load_onnx_model
from geodet.onnx.export import export_model
from geodet.raster.chip import Chip
from geodet_cli.process import prepare_process


def main() -> None:
    options = _parse()
    torch.set_num_threads(options.threads)
    prepare_process("cpu")  # as the command line does
    chips = _paint_chips(options.batch, options.side)
    predictors = _build(options.model)
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for predictor in predictors.values():  # the first pass compiles and allocates
        predictor(chips)
    for _ in range(options.rounds):
        for name, predictor in predictors.items():
            start = time.perf_counter()
            predictor(chips)
            seconds[name].append(time.perf_counter() - start)
    _print(options, seconds)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="urban-trees", help="of three bands")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def _build(name: str) -> dict[str, Predictor]:
    """Put a model on the CPU in three ways; each has a network of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        export_model(load_checkpoint(name), file, reader="plain")
        full, half = DetectConfig(precision="float32"), DetectConfig(precision="bfloat16")
        return {
            "PyTorch float32": build_predictor(load_checkpoint(name), full, "cpu"),
            "PyTorch bfloat16": build_predictor(load_checkpoint(name), half, "cpu"),
            "onnxruntime float32": build_predictor(load_onnx_model(file), full, "cpu"),
        }


def _paint_chips(count: int, side: int) -> list[Chip]:
    pixels = paint_town(side * count, side, seed=7, gsd=GSD).pixels
    valid = np.ones((side, side), bool)
    parts = np.split(pixels, count, axis=2)
    return [Chip(Window(0, 0, side, side), np.ascontiguousarray(p), valid) for p in parts]


def _print(options: argparse.Namespace, seconds: dict[str, list[float]]) -> None:
    print_machine()
    table = Table(
        title=f"{options.model}, {options.batch} chips of {options.side} px, {options.threads} "
        f"threads, onnxruntime {onnxruntime.__version__}, {options.rounds} rounds"
    )
    for column in ("", "seconds, median", "relative to onnxruntime", "(minimum to maximum)"):
        table.add_column(column)
    base = seconds["onnxruntime float32"]
    for name, times in seconds.items():
        ratios = [one / other for one, other in zip(times, base, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        median = f"{statistics.median(times):.2f}"
        table.add_row(name, median, f"{statistics.median(ratios):.2f}", spread)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
