"""Kill runs at random moments, let them go on, and compare their rows with an uninterrupted run's.

Example:
    $ python benchmarks/reliability.py --kills 20
    $ python benchmarks/reliability.py --kills 20 scene.tif --set detect.resample=false
    $ python benchmarks/reliability.py --kills 20 scene.tif --pieces 7
    $ python benchmarks/reliability.py --mended scene.tif --pieces 7

With --mended, one scene of several that overlap is left out and appended later, and objects that
two scenes show are counted.

Each run is killed once with SIGKILL, at a moment drawn evenly from the steps that its log notes and
the time between two of them, and then started again. Its log says which bands were computed, and
which of them were finished.
"""

from __future__ import annotations

import argparse
import functools
import logging
import multiprocessing
import random
import re
import signal
import sqlite3
import tempfile
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

from geodet.config.recipes import resolve_config
from geodet.detection import journal, window_plan
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.models.checkpoint import Model
from geodet.onnx.backend import load_model


def detect(begun: Any, log: Path, output: Path, model: Model, given: argparse.Namespace) -> None:
    """Detect in a process of its own, with a log of bands and seconds."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", filename=log)
    logging.getLogger("geodet").setLevel(logging.DEBUG)
    window_plan._BAND_PIXELS = given.band
    window_plan._BAND_BATCHES = 8 if given.band >= 2**24 else 0
    config = resolve_config(None, settings=given.set).detect
    options = DetectOptions(device="cpu", append=given.append)
    begun.set()
    spent, start = count_processor_time(), time.process_time()
    report = detect_to_files(given.scenes, [output], model, config, options)
    used = time.process_time() - start
    with log.open("a") as file:
        print("processor", used, sum(spent), file=file)
        print("seconds", report.seconds, report.stages.get("journal", 0.0), file=file)


def count_processor_time() -> list[float]:
    """Collect the processor time that the journal takes from now on; other work changes it less."""
    spent: list[float] = []
    for owner, name in (
        (journal.Journal, "__init__"),
        (journal.SceneJournal, "choose_windows"),
        (journal.SceneJournal, "read"),
        (journal.SceneJournal, "write"),
    ):
        setattr(owner, name, timed(getattr(owner, name), spent))
    return spent


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Return a function that adds its seconds of processor time to a list."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        start = time.thread_time()
        try:
            return function(*arguments, **options)
        finally:
            spent.append(time.thread_time() - start)

    return call


def run(
    output: Path,
    model: Model,
    given: argparse.Namespace,
    kill_after: tuple[int, float] | None = None,
) -> list[str]:
    """Detect, be killed so many steps and seconds after it begins, and return the log."""
    context = multiprocessing.get_context("fork")  # so that PyTorch is imported once for all runs
    begun, log = context.Event(), output.with_name(f"{output.name}.log")
    log.write_text("")
    child = context.Process(target=detect, args=(begun, log, output, model, given))
    child.start()
    if kill_after is not None:
        steps, seconds = kill_after
        begun.wait()
        while child.is_alive() and count_steps(log.read_text().splitlines()) < steps:
            child.join(0.01)
        child.join(seconds)
        child.kill()
    child.join()
    if child.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(log.read_text())
    return log.read_text().splitlines()


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


def count_steps(log: list[str]) -> int:
    """Count the beginnings and ends of bands that a log notes."""
    return len(bands(log, "computed")) + len(bands(log, "finished"))


def compare_mended(folder: Path, model: Model, given: argparse.Namespace) -> None:
    """Append a scene that was left out, and compare with one run of all."""
    scenes, late = given.scenes, given.scenes[len(given.scenes) // 2]
    run(folder / "all.gpkg", model, given)
    given.scenes = [one for one in scenes if one != late]
    run(folder / "mended.gpkg", model, given)
    given.scenes, given.append = [late], True
    run(folder / "mended.gpkg", model, given)
    columns = ["scene", "x1_px", "y1_px", "x2_px", "y2_px"]
    frames = (
        geopandas.read_file(folder / f"{name}.gpkg", layer="detections")
        for name in ("all", "mended")
    )
    whole, mended = ({tuple(row) for row in frame[columns].to_numpy()} for frame in frames)
    print(f"one run: {len(whole)} rows; {len(scenes) - 1} scenes and one appended: {len(mended)}")
    print(f"rows in both: {len(whole & mended)}")
    for name in ("all", "mended"):
        print(f"duplicates in {name}: {count_doubles(folder / f'{name}.gpkg', 0.5)}")


def kill_runs(folder: Path, model: Model, given: argparse.Namespace) -> None:
    """Kill runs, let them go on, and print how many gave the rows of an uninterrupted one."""
    whole = folder / "whole.gpkg"
    log = run(whole, model, given)
    expected, total = read_rows(whole), len(bands(log, "finished"))
    seconds, stage = map(float, log[-1].split()[1:])
    used, spent = map(float, log[-2].split()[1:])
    print(f"uninterrupted: {len(given.scenes)} scenes, {len(expected)} rows, {total} bands;")
    print(f"the journal took {stage:.3f} of {seconds:.1f} s: {100 * stage / seconds:.2f} %;")
    print(f"of the processor's time {spent:.3f} of {used:.1f} s: {100 * spent / used:.2f} %")
    moments, steps = random.Random(0), count_steps(log)
    same = twice = ended = kept = 0
    for number in range(given.kills):
        output = folder / f"run{number}.gpkg"
        moment = moments.randint(0, steps), moments.uniform(0, seconds / steps)
        first = run(output, model, given, moment)
        finished = set(bands(first, "finished"))
        is_done = output.exists()
        again = [] if is_done else run(output, model, given)
        ended += is_done
        kept += 0 if is_done else len(finished)
        twice += len(finished & set(bands(again, "computed")))
        same += read_rows(output) == expected
        print(
            f"{number + 1} killed, {ended} of them after their end: {same} have the same rows; of "
            f"{kept} finished bands {twice} were computed twice",
            flush=True,
        )
        output.unlink()


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
    given.append = False
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given.scenes = given.scenes or [str(make_scene(folder, given.side))]
        if given.pieces > 1:
            given.scenes = [
                piece for one in given.scenes for piece in cut(one, given.pieces, folder)
            ]
        (compare_mended if given.mended else kill_runs)(folder, load_model(given.model), given)


if __name__ == "__main__":
    main()
