"""How long geodet takes to start: the help, and until the network gets the first chip of a scene.

Each start is a process of its own, in the order of the rows again and again. Python's bytecode is
there from the first, warm-up round on.

    python benchmarks/starting.py [--repeats 9] [--model urban-trees] [--side 2048]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from common import make_scene, print_machine
from rich.console import Console
from rich.table import Table

_HELP = """
import sys, time
from geodet_cli.main import run
sys.argv = ["geodet", "--help"]
try:
    run()
except SystemExit:
    pass
print("started", time.time(), time.process_time(), file=sys.stderr)
"""

_DETECT = """
import sys, time
from geodet_cli.main import run
import geodet.onnx.onnx_engine as engine
forward = engine.OnnxEngine.forward

def timed(*arguments, **settings):
    print("started", time.time(), time.process_time(), file=sys.stderr, flush=True)
    engine.OnnxEngine.forward = forward
    return forward(*arguments, **settings)

engine.OnnxEngine.forward = timed
sys.argv = ["geodet", "detect", *sys.argv[1:], "--device", "cpu", "--overwrite", "--quiet",
            "--set", "detect.precision=int8"]
run()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--side", type=int, default=2048)
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        scene, output = make_scene(Path(name), options.side), Path(name) / "found"
        detect = [str(scene), "-m", options.model, "-o"]
        starts = {
            "geodet --help": [_HELP],
            "geodet detect, to a GeoPackage": [_DETECT, *detect, f"{output}.gpkg"],
            "geodet detect, to a text table": [_DETECT, *detect, f"{output}.csv"],
        }
        runs: dict[str, list[tuple[float, float]]] = {row: [] for row in starts}
        for repeat in range(options.repeats + 1):
            for row, words in starts.items():
                times = _measure(words)
                if repeat:
                    runs[row].append(times)
    table = Table(title=f"Seconds until geodet has started, {options.repeats} starts")
    for column in ("start", "median", "minimum", "maximum", "processor seconds"):
        table.add_column(column, justify="right")
    for row, own in runs.items():
        seconds, processor = zip(*own, strict=True)
        cells = (median(seconds), min(seconds), max(seconds), median(processor))
        table.add_row(row, *(f"{value:.2f}" for value in cells))
    Console(width=100).print(table)


def _measure(words: list[str]) -> tuple[float, float]:
    """Return the seconds since the process began, and its processor seconds."""
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", *words], check=True, capture_output=True, text=True
    )
    (line,) = (one for one in done.stderr.splitlines() if one.startswith("started"))
    _, at, processor = line.split()
    return float(at) - began, float(processor)


if __name__ == "__main__":
    main()
