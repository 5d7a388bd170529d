"""What jobs cost: the layer itself, planning, merging many parts, kills.

Each row is a process of its own, so its CPU seconds and its peak are its own; imports are not
timed. Files go to a folder, by default a temporary one.

    python benchmarks/jobs.py overhead [--side 6144] [--repeats 3]
    python benchmarks/jobs.py planning [--scenes 10000 100000]
    python benchmarks/jobs.py merging [--counts 1000000 10000000] [--output county.parquet]
    python benchmarks/jobs.py kills [--kills 5]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from affine import Affine
from common import make_scene, print_machine
from pyproj import CRS
from rich.console import Console
from rich.table import Table

from geodet.config import DetectConfig
from geodet.detection.band_parts import BandPart
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.detect_report import SceneRecord
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.open_scenes import OpenScenes
from geodet.detection.predictor import build_predictor
from geodet.detection.prepared_run import PreparedRun
from geodet.detection.stopwatch import Stopwatch
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import WindowLimits
from geodet.jobs import job_plan
from geodet.jobs.job_documents import from_document, to_document
from geodet.jobs.job_folder import open_job, write_job
from geodet.jobs.merge import MergeRun
from geodet.jobs.planning import describe_plan, plan_job
from geodet.jobs.shard_run import run_shard
from geodet.models.description import find_model
from geodet.models.model import Model
from geodet.onnx.backend import load_model

CPU = DetectOptions(device="cpu", overwrite=True)
SIDE, STEP = 10_000, 9_000  # of a county's scenes, in pixels
UTM = CRS.from_epsg(32633)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["overhead", "planning", "merging", "kills"], nargs="+")
    parser.add_argument("--side", type=int, default=6144)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scenes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--output", default="county.parquet")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name in options.what:
            globals()[f"show_{name}"](options, Path(folder))


def show_overhead(options: argparse.Namespace, folder: Path) -> None:
    """Compare one process with a plan, a share and a merge, in CPU seconds."""
    scene = make_scene(folder, options.side // 2048 * 2048)
    rows = []
    for _ in range(options.repeats):
        rows.append([_apart(run, scene, folder)["cpu"] for run in (_run_alone, _run_job)])
    alone, job = np.min(rows, axis=0)
    title = "overhead of a job, CPU seconds, minimum of the repeats"
    table = _table(title, "detect", "job", "overhead")
    table.add_row(f"{alone:.2f}", f"{job:.2f}", f"{100 * (job / alone - 1):.1f} %")
    Console().print(table)


def _run_alone(scene: Path, folder: Path) -> None:
    detect_to_files([scene], [folder / "alone.gpkg"], _model(), DetectConfig(), CPU)


def _run_job(scene: Path, folder: Path) -> None:
    job = folder / "job"
    shutil.rmtree(job, ignore_errors=True)
    plan_job([scene], "urban-trees", DetectConfig(), CPU, folder=job, sample_seconds=0)
    run_shard(open_job(job), device="cpu")
    _merge(job, folder / "job.gpkg")


def show_planning(options: argparse.Namespace, _: Path) -> None:
    """Plan counties of which only the footprints are known."""
    table = _table("planning", "scenes", "bands", "overlaps", "plan, s", "write and read, s", "MB")
    for count in options.scenes:
        found = _apart(_plan_county, count)["result"]
        table.add_row(*(f"{value:,}" if isinstance(value, int) else value for value in found))
    Console(width=110).print(table)


def _plan_county(count: int) -> list[Any]:
    prepared = _prepare(_county(count))
    _without_files()
    began = time.process_time()
    plan = job_plan.plan_bands(prepared, "county")
    report = describe_plan(plan)
    planned = time.process_time()
    text = json.dumps(to_document(plan))
    assert len(from_document(json.loads(text)).scenes) == count
    ended = time.process_time()
    size = f"{len(text) / 1e6:.1f}"
    times = f"{planned - began:.1f}", f"{ended - planned:.1f}"
    return [count, report.bands, report.overlaps, *times, size]


def show_merging(options: argparse.Namespace, folder: Path) -> None:
    """Merge synthetic parts of a county of 400 scenes that overlap by a tenth of their side."""
    columns = ("detections in parts", "written", "CPU, s", "CPU per detection")
    table = _table("merging", *columns, "MB before", "MB at the peak")
    for count in options.counts:
        job = folder / f"job{count}"
        _apart(_write_parts, job, count)
        found = _apart(_merge, job, folder / options.output)
        shutil.rmtree(job)
        (folder / options.output).unlink()
        each = f"{1e6 * found['cpu'] / count:.1f} us"
        row = f"{count:,}", f"{found['result']:,}", f"{found['cpu']:.1f}", each
        table.add_row(*row, f"{found['before']:.0f}", f"{found['peak']:.0f}")
    Console(width=110).print(table)


def _write_parts(folder: Path, count: int) -> None:
    scenes = _county(400)
    prepared = _prepare(scenes)
    _without_files()
    plan = job_plan.plan_bands(prepared, "county")
    job = write_job(folder, plan, find_model("urban-trees"))
    rng = np.random.default_rng(0)
    total = sum(len(scene.bands) for scene in plan.scenes)
    for number in range(len(plan.scenes)):
        windows = plan.cut(number)
        for band, indices in enumerate(windows.bands):
            first, last = windows.grid.core(indices[0]), windows.grid.core(indices[-1])
            corner = rng.uniform(
                (0, first.row_off), (SIDE - 30, last.row_end - 30), (count // total, 2)
            )
            boxes = np.hstack([corner, corner + rng.uniform(8, 24, (len(corner), 2))])
            scores = rng.uniform(0.2, 1, len(boxes))
            found = Detections(
                boxes.astype(np.float32), scores.astype(np.float32), np.zeros(len(boxes), np.int64)
            )
            job.store(number).write(band, BandPart(found, np.zeros((len(boxes), 4), np.bool_)))


def show_kills(options: argparse.Namespace, folder: Path) -> None:
    """Kill a share again and again; count what is computed twice, and compare the rows."""
    scene = make_scene(folder, options.side // 2048 * 2048)
    job, words = folder / "job", ["detect", "--job", "job", "--device", "cpu", "-q"]
    settings = DetectConfig(precision="float32")
    plan_job([scene], "urban-trees", settings, CPU, folder=job, sample_seconds=0)
    total, written = len(open_job(job).plan.scenes[0].bands), dict[Path, int]()
    again = 0
    for kill in range(options.kills + 1):
        process = subprocess.Popen([sys.executable, "-m", "geodet", *words], cwd=folder)
        goal = (kill + 1) * total // (options.kills + 1)
        while process.poll() is None and len(list(job.rglob("*.parquet"))) < goal:
            time.sleep(0.02)
        if kill < options.kills and process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        now = {path: path.stat().st_mtime_ns for path in job.rglob("*.parquet")}
        again += sum(now[path] != known for path, known in written.items())
        written = now
    _merge(job, folder / "job.gpkg")
    detect_to_files([scene], [folder / "alone.gpkg"], _model(), settings, CPU)
    one, two = (
        geopandas.read_file(folder / f"{n}.gpkg", layer="detections") for n in ("alone", "job")
    )
    table = _table("kills", "kills", "bands", "parts written twice", "rows", "identical")
    table.add_row(*map(str, (options.kills, total, again, len(one), one.equals(two))))
    Console().print(table)


def _merge(job: Path, output: Path) -> int:
    run = MergeRun(open_job(job), [output], replace(CPU, overwrite=True))
    return sum(len(part.detections) for part in run)


def _county(count: int) -> list[PlannedScene]:
    columns = round(count**0.5)
    return [
        PlannedScene(
            f"/scenes/{number:06d}.tif",
            f"{number:06d}.tif",
            GeoBox(SIDE, SIDE, _place(number, columns), UTM),
            "uint8",
            (SIDE, SIDE),
            WindowLimits(),
        )
        for number in range(count)
    ]


def _without_files() -> None:
    """Make a plan that neither looks for the scenes nor samples them."""
    changes = {
        "identify_scene": lambda _: "200000000 bytes of 2026-01-01, header 0123456789abcdef",
        "_choose_all_values": lambda *_: {"uint8": None},
    }
    for name, function in changes.items():
        setattr(job_plan, name, function)


def _place(number: int, columns: int) -> Affine:
    row, column = divmod(number, columns)
    step = STEP * 0.6
    return Affine(0.6, 0, 300_000 + step * column, 0, -0.6, 6_000_000 - step * row)


def _prepare(scenes: list[PlannedScene]) -> PreparedRun:
    model, config = _model(), DetectConfig(precision="float32")
    records = tuple(SceneRecord(path=one.path, scene=one.name) for one in scenes)
    return PreparedRun(
        plan=DetectionPlan(tuple(scenes), UTM, records, {}),
        model=model,
        config=config,
        predictor=build_predictor(model, config, "cpu"),
        opened=OpenScenes(model.description, config),
        watch=Stopwatch(),
        fingerprint={},
        started=time.monotonic(),
    )


def _model() -> Model:
    return load_model("urban-trees")


def _apart(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Call a function in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        # Not a daemon, which may have no processes.
        return pool.apply(_measure, (function, arguments))


def _measure(function: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    if function in (_run_alone, _run_job):
        _model().network  # noqa: B018 - imports what the run would import
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, wall = _cpu(), time.monotonic()
    result = function(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = {"cpu": _cpu() - began, "wall": time.monotonic() - wall}
    return {"result": result, "before": before, "peak": peak} | times


def _cpu() -> float:
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


if __name__ == "__main__":
    main()
