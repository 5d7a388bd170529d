"""Peak resident memory of detect for scenes of different sizes: it must not grow with the scene.

Each scene is processed by a process of its own; the peak includes Python, torch and the model,
which are also counted alone, as the process holds them before it detects.

    python benchmarks/memory.py [--sides 4096 16384] [--model urban-trees]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from common import make_scene, print_machine
from rich.console import Console
from rich.table import Table

_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from others.timed import peak_mib
from geodet.config import DetectConfig
from geodet.detect import detect
from geodet.models.checkpoint import load_model
model = load_model(sys.argv[3])
loaded = peak_mib()
report = detect([sys.argv[1]], [Path(sys.argv[2])], model, DetectConfig())
print(loaded, peak_mib(), sum(report.labels.values()), report.seconds)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--model", default="urban-trees")
    options = parser.parse_args()
    print_machine()
    table = Table(title="Peak resident memory of detect")
    for column in ("scene", "peak MiB", "of the first", "over the model", "detections", "seconds"):
        table.add_column(column, justify="right")
    first = 0.0
    with tempfile.TemporaryDirectory() as name:
        for side in options.sides:
            loaded, peak, found, seconds = _measure(Path(name), side, options.model)
            first = first or peak
            memory = (f"{peak:.0f}", f"{peak / first:.2f}", f"{peak - loaded:.0f}")
            table.add_row(f"{side} x {side}", *memory, f"{found:.0f}", f"{seconds:.1f}")
    Console(width=100).print(table)


def _measure(folder: Path, side: int, model: str) -> tuple[float, ...]:
    scene, output = make_scene(folder, side), folder / f"{side}.gpkg"
    arguments = map(str, (scene, output, model, Path(__file__).parent))
    command = [sys.executable, "-c", _CHILD, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return tuple(map(float, done.stdout.split()))


if __name__ == "__main__":
    main()
