"""Steps in child processes: each has its time, and what goes wrong in one costs only that one."""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["Book", "Setting", "Step", "run_steps"]

Row = dict[str, Any]
_LEAST_SECONDS = 8.0  # less is not worth to start a step
_PRELOADED = ["torch", "torchvision", "rasterio", "geodet.detection.detect"]
_PRELOADED_TO_TRAIN = ["geodet.training.train"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something to measure: a function of a module that yields rows."""

    name: str
    title: str
    module: str
    function: str
    seconds: float
    """It is stopped after so long; the rows until then count."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all steps are told."""

    device: str
    """``cuda`` or ``cpu``."""
    is_tiny: bool
    """Whether the figures do not count: the steps are only tried out."""
    folder: Path
    """For scenes and outputs, in memory where the machine has such a place."""
    data: Path | None
    """A tileset to train on; None: a painted one."""


class Book:
    """The results of all steps in a folder: ``results.json`` and ``table.txt``.

    Args:
        folder: Made where it is missing.
        earlier: Results to go on with.
    """

    def __init__(self, folder: Path, earlier: Path | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.log = folder / "log.txt"
        self.results: dict[str, dict[str, Any]] = {}
        for path in (earlier, folder / "results.json"):
            if path and path.is_file():
                self.results |= json.loads(path.read_text(encoding="utf-8"))

    def is_done(self, step: Step) -> bool:
        """Whether a step need not run again."""
        return self.results.get(step.name, {}).get("outcome") == "done"

    def write(self, step: Step, result: dict[str, Any], steps: Iterable[Step]) -> None:
        """Keep a step's result, unless an earlier one has more rows."""
        before = self.results.get(step.name, {})
        if result["outcome"] == "done" or len(result["rows"]) >= len(before.get("rows", ())):
            self.results[step.name] = result
        _replace(self._folder / "results.json", json.dumps(self.results, indent=1))
        with (self._folder / "table.txt").open("w", encoding="utf-8") as file:
            self.print(steps, Console(file=file, width=180))

    def print(self, steps: Iterable[Step], console: Console) -> None:
        """Print a table of each step."""
        for step in steps:
            if step.name in self.results:
                _print(step, self.results[step.name], console)


def run_steps(steps: Iterable[Step], setting: Setting, book: Book, *, seconds: float) -> None:
    """Run the steps that are not done, as long as there is time.

    Args:
        steps: In their order.
        setting: What they are told.
        book: Takes the results.
        seconds: For all.
    """
    steps = list(steps)
    end = time.monotonic() + seconds
    signal.signal(signal.SIGTERM, _interrupt)
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_list_preloaded(steps))
    for step in steps:
        left = end - time.monotonic()
        if book.is_done(step) or left < _LEAST_SECONDS:
            continue
        print(f"{step.name}: begins, {left:.0f} s left", flush=True)
        result = _run(step, setting, book.log, min(step.seconds, left), context)
        if "forked subprocess" in result.get("error", ""):  # CUDA was begun before: start anew
            context = multiprocessing.get_context("spawn")
            result = _run(step, setting, book.log, min(step.seconds, left), context)
        book.write(step, result, steps)
        print(f"{step.name}: {result['outcome']} in {result['seconds']} s", flush=True)


def _list_preloaded(steps: list[Step]) -> list[str]:
    """Return the modules that are loaded once for all these steps."""
    modules = {step.module for step in steps}
    to_train = _PRELOADED_TO_TRAIN if "step_training" in modules else []
    return [*_PRELOADED, *to_train] if any(name.startswith("step_") for name in modules) else []


def _run(step: Step, setting: Setting, log: Path, limit: float, context: Any) -> dict[str, Any]:
    """Run one step in a child and collect its rows, whatever becomes of it."""
    rows = setting.folder / f"{step.name}.jsonl"
    rows.unlink(missing_ok=True)
    started = time.monotonic()
    child = context.Process(target=_work, args=(step, setting, rows, log))
    child.start()
    try:
        child.join(limit)
    finally:
        was_running = child.is_alive()
        if was_running:
            _kill(child)
    found = list(_read(rows))
    errors = [row["error"] for row in found if "error" in row]
    outcome = "failed" if errors or child.exitcode else "done"
    result = {
        "title": step.title,
        "outcome": "cut off" if was_running else outcome,
        "seconds": round(time.monotonic() - started, 1),
        "rows": [row for row in found if "error" not in row],
        "setting": {name: str(value) for name, value in asdict(setting).items()},
    }
    if outcome == "failed":
        result["error"] = errors[0] if errors else f"exit code {child.exitcode}"
    return result


def _work(step: Step, setting: Setting, rows: Path, log: Path) -> None:
    """Run in the child."""
    os.setsid()  # so that its own children end with it
    with log.open("a", encoding="utf-8") as file, rows.open("w", encoding="utf-8") as out:
        file.write(f"\n--- {step.name}\n")
        file.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            importlib.import_module("geodet_cli.process").prepare_process(setting.device)
            if setting.is_tiny:  # beside others, threads that wait for each other take ages
                importlib.import_module("torch").set_num_threads(1)
            for row in getattr(importlib.import_module(step.module), step.function)(setting):
                out.write(json.dumps(_rounded(row)) + "\n")
                out.flush()
        except BaseException:
            out.write(json.dumps({"error": traceback.format_exc()}) + "\n")
            out.flush()
            raise


def _kill(child: Any) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.join()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _read(path: Path) -> Iterator[Row]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last one may be cut short
                yield json.loads(line)


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _rounded(row: Row) -> Row:
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()}


def _print(step: Step, result: dict[str, Any], console: Console) -> None:
    rows = result["rows"]
    title = f"{step.name}: {result['title']} ({result['outcome']}, {result['seconds']} s)"
    console.print(title, markup=False, highlight=False)
    columns = list(dict.fromkeys(k for row in rows for k, v in row.items() if v is not None))
    wide = [k for k in columns if any(isinstance(row.get(k), dict) for row in rows)]
    table = Table("", *(column for column in columns if column not in wide), box=SIMPLE_HEAD)
    for number, row in enumerate(rows, start=1):
        cells = (_cell(row.get(column)) for column in columns if column not in wide)
        table.add_row(str(number), *cells)
    if rows:
        console.print(table)
    for number, row in enumerate(rows, start=1):
        for column in (column for column in wide if row.get(column)):
            text = f"  {number} {column}: {_cell(row[column])}"
            console.print(text, markup=False, highlight=False)
    if "error" in result:
        console.print(result["error"].strip().splitlines()[-1], markup=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
