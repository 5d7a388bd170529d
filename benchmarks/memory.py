"""Peak resident memory of detect for scenes of different sizes: it must not grow with the scene.

Each scene is processed by a process of its own; the peak includes Python, the libraries and the
model, which are also counted alone, as the process holds them before it detects.

    python benchmarks/memory.py [--sides 4096 16384] [--model urban-trees] [--repeats 2] \
        [--precision int8]
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from common import make_scene, print_machine
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from others.timed import peak_mib
from geodet.config import DetectConfig
from geodet.detection.detect import detect_to_files
from geodet.onnx.backend import load_model
from geodet_cli.process import prepare_process
prepare_process("cpu")
model = load_model(sys.argv[3])
config = DetectConfig(precision=sys.argv[5])
loaded = peak_mib()
report = detect_to_files([sys.argv[1]], [Path(sys.argv[2])], model, config)
print(loaded, peak_mib(), sum(report.labels.values()), report.seconds)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--precision", default="int8")
    options = parser.parse_args()
    print_machine()
    table = Table(
        title=f"Peak resident memory of detect, {options.precision}, median of {options.repeats}"
    )
    memory_columns = ("peak MiB", "relative to the first row", "above the loaded model")
    for column in ("scene", *memory_columns, "detections", "seconds"):
        table.add_column(column, justify="right")
    runs: dict[int, list[tuple[float, ...]]] = {side: [] for side in options.sides}
    with tempfile.TemporaryDirectory() as name:
        for _, side in itertools.product(range(options.repeats), options.sides):
            runs[side].append(_measure(Path(name), side, options))
            print(side, *runs[side][-1], flush=True)
    first = median(peak for _, peak, *_ in runs[options.sides[0]])
    for side, own in runs.items():
        loaded, peak, found, seconds = map(median, zip(*own, strict=True))
        memory = (f"{peak:.0f}", f"{peak / first:.2f}", f"{peak - loaded:.0f}")
        table.add_row(f"{side} x {side}", *memory, f"{found:.0f}", f"{seconds:.1f}")
    Console(width=100).print(table)


def _measure(folder: Path, side: int, options: argparse.Namespace) -> tuple[float, ...]:
    scene, output = make_scene(folder, side), folder / f"{side}.gpkg"
    arguments = map(str, (scene, output, options.model, HERE, options.precision))
    command = [sys.executable, "-c", _CHILD, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    output.unlink()
    return tuple(map(float, done.stdout.split()))


if __name__ == "__main__":
    main()
