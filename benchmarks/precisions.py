"""Is detection in eight-bit integers worth it on this CPU? From file to GeoPackage, in turn.

Each precision detects in the same scene, and then runs the bare forward pass over the chips of its
own windows, two at a time where detect does; quote the ratios, not the seconds. Eight-bit integers
come once more in OpenVINO where that is installed. --memory measures the peak of one detection in a
process of its own instead, as the command line runs it. --processor counts processor seconds, with
one thread, which other work on the machine hardly changes: reading ahead then counts in full.

    python benchmarks/precisions.py [--side 4096] [--repeats 3] [--model NAME] [--memory] \
        [--processor] [--forms int8 float32]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import torch
from common import forward_all, make_scene, print_machine
from rich.console import Console
from rich.table import Table

from geodet.config import DetectConfig
from geodet.detection.batches import iter_batches
from geodet.detection.chip_reading import iter_chips
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.predictor import Predictor, build_predictor
from geodet.detection.window_plan import plan_windows
from geodet.models.engine import ChipTensors
from geodet.models.model import Model
from geodet.onnx.backend import load_model
from geodet.onnx.onnx_engine import OnnxEngine
from geodet.onnx.openvino_session import has_openvino
from geodet.raster.scene import Scene
from geodet_cli.process import prepare_process

PRECISIONS = ("int8", "bfloat16", "float32")
_IN_OPENVINO = "int8, OpenVINO"
FORMS = (*PRECISIONS, _IN_OPENVINO) if has_openvino() else PRECISIONS
FLOATS = ("bfloat16", "float32")
_COMMAND = """
import json, sys, time
started = time.perf_counter()
sys.path.insert(0, sys.argv.pop(1))
from others.timed import peak_mib
from geodet_cli.main import run
try:
    run()
except SystemExit as left:
    assert not left.code, left.code
print(json.dumps([time.perf_counter() - started, peak_mib(), "torch" in sys.modules]))
"""


class Round(NamedTuple):
    """Seconds of a detection and of its bare forward pass, and what was found."""

    whole: float
    bare: float
    objects: int


def main() -> None:
    options = _parse()
    with tempfile.TemporaryDirectory() as name:
        scene = make_scene(Path(name), options.side)
        if options.memory:
            _print_memory(options, {one: _run_command(scene, one, options) for one in PRECISIONS})
            return
        prepare_process("cpu")  # as the command line does
        if options.processor:
            torch.set_num_threads(1)
        model = load_model(options.model)
        rows = {one: (model, one) for one in options.forms}
        if options.beside:
            other = load_model(options.beside)
            rows |= {f"{one}, {options.beside.stem}": (other, one) for one in FLOATS}
        chips = {row: _prepare(scene, *of) for row, of in rows.items()}
        rounds: dict[str, list[Round]] = {row: [] for row in rows}
        for number in range(options.repeats):
            for row, made in rounds.items():
                output = Path(name) / f"{number}_{len(made)}.gpkg"
                clock = time.process_time if options.processor else time.perf_counter
                made.append(_run_round(scene, *rows[row], output, *chips[row], clock=clock))
                output.unlink()
    _print(options, rounds)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--beside", type=Path, help="another model, in floats")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    return parser.parse_args()


def _prepare(scene: Path, model: Model, precision: str) -> tuple[Predictor, list[ChipTensors]]:
    """Read the chips of the windows that detect chooses, and run the first two batches."""
    config = _config(precision)
    with _library_of(precision):
        predictor = build_predictor(model, config, "cpu")
    with Scene(scene) as opened:
        limits = opened.window_limits
        grid, batch_size = plan_windows(predictor, config, *opened.grid, limits=limits)
        read = iter_batches(iter_chips(opened, grid, workers=2, ahead=8), batch_size=batch_size)
        batches = [predictor.stack([chip for _, chip in batch.chips]) for batch in read]
    forward_all(predictor, batches[:2])
    return predictor, batches


def _run_round(
    scene: Path,
    model: Model,
    precision: str,
    output: Path,
    predictor: Predictor,
    batches: Sequence[ChipTensors],
    *,
    clock: Callable[[], float],
) -> Round:
    start = clock()
    with _library_of(precision):
        report = detect_to_files(
            [scene], [output], model, _config(precision), DetectOptions(device="cpu")
        )
    middle = clock()
    forward_all(predictor, batches)
    return Round(middle - start, clock() - middle, sum(report.labels.values()))


def _config(precision: str) -> DetectConfig:
    return DetectConfig.model_validate({"precision": precision.partition(",")[0]})


def _library_of(precision: str) -> AbstractContextManager[object]:
    """Run an ONNX file with the library of a row, whichever is faster."""

    def choose(_: Model, engine: OnnxEngine) -> OnnxEngine:
        is_other = precision == _IN_OPENVINO
        return OnnxEngine(engine.path, library="openvino") if is_other else engine

    return patch("geodet.onnx.backend.fastest_library", choose)


def _run_command(scene: Path, precision: str, options: argparse.Namespace) -> tuple[float, ...]:
    words = ("detect", str(scene), "-o", str(scene.parent / f"{precision}.gpkg"), "--quiet")
    settings = ("--device", "cpu", "-m", options.model, "--set", f"detect.precision={precision}")
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", _COMMAND, here, *words, *settings]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak, has_torch = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), float(peak), float(has_torch)


def _print(options: argparse.Namespace, rounds: dict[str, list[Round]]) -> None:
    print_machine()
    table = Table(
        title=f"{options.model}, {options.side} x {options.side} px, from file to GeoPackage, "
        f"median of {options.repeats}"
    )
    seconds_of = "processor seconds, one thread" if options.processor else "seconds"
    first = next(iter(rounds))
    columns = (
        "",
        seconds_of,
        "Mpx/s",
        "relative to its bare forward pass",
        f"relative to {first}",
        "objects",
    )
    for column in columns:
        table.add_column(column)
    pixels = options.side**2 / 1e6
    for name, made in rounds.items():
        seconds = statistics.median(one.whole for one in made)
        cells = (f"{seconds:.2f}", f"{pixels / seconds:.2f}")
        of_bare = _spread([one.whole / one.bare for one in made])
        of_first = _spread([a.whole / b.whole for a, b in zip(made, rounds[first], strict=True)])
        table.add_row(name, *cells, of_bare, of_first, str(made[-1].objects))
    Console(width=120).print(table)


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _print_memory(options: argparse.Namespace, found: dict[str, tuple[float, ...]]) -> None:
    print_machine()
    table = Table(title=f"geodet detect, {options.model}, {options.side} x {options.side} px")
    for column in ("", "seconds with the start", "peak MiB", "loads torch"):
        table.add_column(column)
    for name, (seconds, peak, has_torch) in found.items():
        table.add_row(name, f"{seconds:.1f}", f"{peak:.0f}", "yes" if has_torch else "no")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
