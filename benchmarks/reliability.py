"""Kill runs at random moments, let them go on, and compare their rows with an uninterrupted run's.

Example:
    $ python benchmarks/reliability.py --kills 20
    $ python benchmarks/reliability.py --kills 20 scene.tif --set detect.resample=false
    $ python benchmarks/reliability.py --kills 20 scene.tif --pieces 7
    $ python benchmarks/reliability.py --mended scene.tif --pieces 7

With --mended, one scene of several that overlap is left out and appended later, and objects that
two scenes show are counted.

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
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import rasterio
import shapely
from common import make_scene, print_machine
from rasterio.windows import Window

_CHILD = """
import logging, sys
from pathlib import Path
from geodet.config.recipes import resolve_config
from geodet.detection import window_plan
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.onnx.backend import load_model

logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
logging.getLogger("geodet").setLevel(logging.DEBUG)
output, model, band, append, *rest = sys.argv[1:]
window_plan._BAND_PIXELS = int(band)
scenes = [one for one in rest if "=" not in one]
config = resolve_config(None, settings=[one for one in rest if "=" in one])
model = load_model(model)
print("begins", file=sys.stderr, flush=True)
options = DetectOptions(device="cpu", append=append == "append")
report = detect_to_files(scenes, [Path(output)], model, config.detect, options)
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


def cut(scene: str, pieces: int, folder: Path) -> list[str]:
    """Cut a scene into so many scenes side by side, each of which overlaps the next by a fifth."""
    paths = []
    with rasterio.open(scene) as whole:
        step = whole.width // pieces
        for number in range(pieces):
            window = Window(number * step, 0, min(step * 6 // 5, whole.width), whole.height)
            window = window.intersection(Window(0, 0, whole.width, whole.height))
            paths.append(str(folder / f"piece{number}.tif"))
            about = {"width": window.width, "transform": whole.window_transform(window)}
            with rasterio.open(paths[-1], "w", **{**whole.profile, **about}) as piece:
                piece.write(whole.read(window=window))
    return paths


def bands(log: list[str], what: str) -> list[str]:
    """List the bands that a log says are computed, or finished."""
    found = (re.search(rf"(\S+: band \d+) is {what}", line) for line in log)
    return [match[1] for match in found if match]


def count_doubles(output: Path, iou_threshold: float) -> int:
    """Count the pairs of objects of one class in two scenes that overlap by more than that."""
    frame = geopandas.read_file(output, layer="detections")
    shapes, names = frame.geometry.to_numpy(), (frame["scene"] + frame["label"]).to_numpy()
    a, b = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    one = (frame["label"].to_numpy()[a] == frame["label"].to_numpy()[b]) & (names[a] < names[b])
    a, b = shapes[a[one]], shapes[b[one]]
    shared = shapely.area(shapely.intersection(a, b))
    iou = shared / (shapely.area(a) + shapely.area(b) - shared)
    return int((iou > iou_threshold).sum())


def compare_mended(run_scenes: Callable[[Path, list[str], str], object], scenes: list[str]) -> None:
    """Append a scene that was left out, and compare with one run of all."""
    folder, late = Path(scenes[0]).parent, scenes[len(scenes) // 2]
    run_scenes(folder / "all.gpkg", scenes, "new")
    run_scenes(folder / "mended.gpkg", [one for one in scenes if one != late], "new")
    run_scenes(folder / "mended.gpkg", [late], "append")
    columns = ["scene", "x1_px", "y1_px", "x2_px", "y2_px"]
    frames = (
        geopandas.read_file(folder / f"{n}.gpkg", layer="detections") for n in ("all", "mended")
    )
    whole, mended = ({tuple(row) for row in frame[columns].to_numpy()} for frame in frames)
    print(f"one run: {len(whole)} rows; {len(scenes) - 1} scenes and one appended: {len(mended)}")
    print(f"rows in both: {len(whole & mended)}")
    for name in ("all", "mended"):
        print(f"doubles in {name}: {count_doubles(folder / f'{name}.gpkg', 0.5)}")


def main() -> None:
    """Print how many runs gave the rows of the uninterrupted one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", help="rasters; without any, a painted one")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mended", action="store_true", help="append one scene later")
    parser.add_argument("--side", type=int, default=8192, help="pixels of the painted scene")
    parser.add_argument("--pieces", type=int, default=1, help="scenes that a scene is cut into")
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--band", type=int, default=2**24, help="least pixels of a band")
    parser.add_argument("--set", action="append", default=[], help="a setting")
    given = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = given.scenes or [str(make_scene(folder, given.side))]
        if given.pieces > 1:
            scenes = [piece for one in scenes for piece in cut(one, given.pieces, folder)]

        def command(output: Path, scenes: list[str] = scenes, append: str = "new") -> list[str]:
            common = [sys.executable, "-c", _CHILD, str(output), given.model, str(given.band)]
            return [*common, append, *scenes, *given.set]

        if given.mended:
            compare_mended(lambda *arguments: run(command(*arguments)), scenes)
            return
        whole = folder / "whole.gpkg"
        log = run(command(whole))
        expected, total = read_rows(whole), len(bands(log, "finished"))
        seconds, journal = map(float, log[-1].split()[1:])
        print(f"uninterrupted: {len(scenes)} scenes, {len(expected)} rows, {total} bands;")
        print(f"the journal took {journal:.3f} of {seconds:.1f} s: {100 * journal / seconds:.2f} %")
        moments = random.Random(0)
        same = twice = ended = kept = 0
        began = time.monotonic()
        for number in range(given.kills):
            print(f"run {number}", file=sys.stderr, flush=True)
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
