"""Kill runs at random moments, let them go on, and compare their rows with an uninterrupted run's.

Example:
    $ python benchmarks/reliability.py --kills 20
    $ python benchmarks/reliability.py --kills 20 scene.tif --set detect.resample=false

Each run is killed once with SIGKILL, at a moment drawn evenly from the time that detection takes,
and then started again. Its log says which bands were computed, and which of them were finished.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from common import make_scene, print_machine

_CHILD = """
import logging, sys
from pathlib import Path
from geodet.config.recipes import resolve_config
from geodet.detection import window_plan
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.onnx.backend import load_model

logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
logging.getLogger("geodet").setLevel(logging.DEBUG)
output, model, band, *rest = sys.argv[1:]
window_plan._BAND_PIXELS = int(band)
scenes = [one for one in rest if "=" not in one]
config = resolve_config(None, settings=[one for one in rest if "=" in one])
model = load_model(model)
print("begins", file=sys.stderr, flush=True)
report = detect_to_files(scenes, [Path(output)], model, config.detect, DetectOptions(device="cpu"))
print("seconds", report.seconds, report.stages.get("journal", 0.0), file=sys.stderr)
"""


def run(command: list[str], kill_after: float | None = None) -> list[str]:
    """Run a child, kill it so many seconds after it begins to detect, and return its log."""
    lines, timer = [], None
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    for line in child.stderr:
        lines.append(line.strip())
        if line.startswith("begins") and kill_after is not None:
            timer = threading.Timer(kill_after, child.send_signal, (signal.SIGKILL,))
            timer.start()
    code = child.wait()
    if timer is not None:
        timer.cancel()
    if code not in (0, -signal.SIGKILL):
        raise SystemExit("\n".join(lines))
    return lines


def read_rows(output: Path) -> list[Any]:
    """Read all rows with their geometry, in order."""
    with closing(sqlite3.connect(output)) as database:
        return database.execute("SELECT * FROM detections ORDER BY fid").fetchall()


def bands(log: list[str], what: str) -> list[str]:
    """List the bands that a log says are computed, or finished."""
    found = (re.search(rf"(\S+: band \d+) is {what}", line) for line in log)
    return [match[1] for match in found if match]


def main() -> None:
    """Print how many runs gave the rows of the uninterrupted one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", help="rasters; without any, a painted one")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--side", type=int, default=8192, help="pixels of the painted scene")
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--band", type=int, default=2**24, help="least pixels of a band")
    parser.add_argument("--set", action="append", default=[], help="a setting")
    given = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = given.scenes or [str(make_scene(folder, given.side))]

        def command(output: Path) -> list[str]:
            common = [sys.executable, "-c", _CHILD, str(output), given.model, str(given.band)]
            return [*common, *scenes, *given.set]

        whole = folder / "whole.gpkg"
        log = run(command(whole))
        expected, total = read_rows(whole), len(bands(log, "finished"))
        seconds, journal = map(float, log[-1].split()[1:])
        print(f"uninterrupted: {len(expected)} rows, {total} bands, {seconds:.1f} s, of which the")
        print(f"journal took {journal:.3f} s: {100 * journal / seconds:.2f} %")
        moments = random.Random(0)
        same = twice = ended = kept = 0
        began = time.monotonic()
        for number in range(given.kills):
            output = folder / f"run{number}.gpkg"
            first = run(command(output), moments.uniform(0, seconds))
            ended += output.exists()
            again = [] if output.exists() else run(command(output))
            kept += len(bands(first, "finished")) if again else 0
            twice += len(set(bands(first, "finished")) & set(bands(again, "computed")))
            same += read_rows(output) == expected
            output.unlink()
        print(f"{same} of {given.kills} runs have the same rows; {ended} had ended when killed")
        print(f"{kept} finished bands were kept, {twice} of them computed twice")
        print(f"{time.monotonic() - began:.0f} s for all")


if __name__ == "__main__":
    main()
