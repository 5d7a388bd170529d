"""How close detect comes to its limit: the bare forward pass over the same chips.

Both are measured in turn in one process on one machine; quote the ratio, not the seconds.

    python benchmarks/throughput.py [--side 4096] [--repeats 3] [--model NAME | --untrained RECIPE]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from common import forward_all, make_scene, make_untrained_model, print_machine
from rich.console import Console
from rich.table import Table

from geodet.config.recipes import resolve_config
from geodet.detection.batches import iter_batches
from geodet.detection.chip_reading import iter_chips
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.predictor import Predictor, build_predictor
from geodet.detection.window_plan import plan_windows
from geodet.geometry.windows import WindowGrid
from geodet.models.engine import ChipTensors
from geodet.onnx.backend import load_model
from geodet.raster.scene import Scene
from geodet_cli.process import prepare_process


def main() -> None:
    options = _parse()
    prepare_process(options.device)  # as the command line does
    config = resolve_config(settings=options.set).detect
    with tempfile.TemporaryDirectory() as name:
        untrained = options.untrained and make_untrained_model(Path(name), options.untrained)
        model = load_model(untrained or options.model)
        scene_path = make_scene(Path(name), options.side)
        predictor = build_predictor(model, config, options.device)
        with Scene(scene_path) as scene:
            grid, batch_size = plan_windows(
                predictor, config, *scene.grid, limits=scene.window_limits
            )
            batches = _batches(predictor, scene, grid, batch_size)
        forward_all(predictor, batches[:2])  # the first pass compiles and allocates
        whole, bare = [], []
        for repeat in range(options.repeats):
            output = Path(name) / f"{repeat}.gpkg"
            start = time.perf_counter()
            detect_to_files(
                [scene_path], [output], model, config, DetectOptions(device=options.device)
            )
            whole.append(time.perf_counter() - start)
            start = time.perf_counter()
            forward_all(predictor, batches)
            bare.append(time.perf_counter() - start)
    _print(options.side, f"{model.description.name}, {len(grid)} windows", whole, bare)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--untrained", help="recipe: its network with random weights instead")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[])
    return parser.parse_args()


def _batches(
    predictor: Predictor, scene: Scene, grid: WindowGrid, batch_size: int
) -> list[ChipTensors]:
    chips = iter_chips(scene, grid, workers=2, ahead=8)
    batches = iter_batches(chips, batch_size=batch_size)
    return [predictor.stack([chip for _, chip in batch.chips]) for batch in batches if batch.chips]


def _print(side: int, what: str, whole: list[float], bare: list[float]) -> None:
    print_machine()
    ratios = [a / b for a, b in zip(whole, bare, strict=True)]
    pixels = side * side / 1e6
    table = Table(title=f"{side} x {side} px, {what}, median of {len(whole)} runs")
    for column in ("", "seconds", "scene Mpx/s"):
        table.add_column(column)
    for name, seconds in (("detect, from file to GeoPackage", whole), ("forward pass", bare)):
        median = statistics.median(seconds)
        table.add_row(name, f"{median:.2f}", f"{pixels / median:.2f}")
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    table.add_row("ratio", f"{statistics.median(ratios):.2f}", f"({spread})")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
