"""The display of a training run: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from geodet.training.train import EpochReport, StepReport

__all__ = ["TrainDisplay", "train_display"]

_ROWS = 8  # the latest epochs
_EVERY = 30.0  # seconds between two lines on the steps of one epoch
_COLUMNS = {
    "loss": ("loss", ".4f"),
    "classification": ("classification_loss", ".4f"),
    "box": ("box_loss", ".4f"),
    "gradient": ("gradient_norm", ".3g"),
    "rate": ("learning_rate", ".2e"),
    "chips/s": ("chips_per_second", ".1f"),
    "F1": ("f1", ".3f"),
    "precision": ("precision", ".3f"),
    "recall": ("recall", ".3f"),
    "threshold": ("score_threshold", ".2f"),
}


class TrainDisplay(Protocol):
    """Shows a training run; its methods are callbacks of ``run_training``."""

    def cut(self, done: int, total: int) -> None:
        """Show how many windows of the scenes are cut."""
        ...

    def epoch(self, report: EpochReport) -> None:
        """Show the figures of an epoch."""
        ...

    def step(self, report: StepReport) -> None:
        """Show the progress of an epoch."""
        ...


@contextmanager
def train_display(*, quiet: bool) -> Iterator[TrainDisplay]:
    """Show a run on stderr; of several processes only the first does."""
    from rich.console import Console

    from geodet.files.torchrun import is_first_process

    console = Console(stderr=True)
    if quiet or not is_first_process():
        yield _Silence()
    elif console.is_terminal:
        with _LiveTable(console) as table:
            yield table
    else:
        yield _Lines()


class _Silence:
    def cut(self, done: int, total: int) -> None:
        """Show nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Show nothing."""

    def step(self, report: StepReport) -> None:
        """Show nothing."""


class _Lines:
    """One line for each epoch, and one every 30 seconds within an epoch."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def cut(self, done: int, total: int) -> None:
        if time.monotonic() - self._last >= _EVERY:
            self._say(f"cutting chips {done}/{total}")

    def epoch(self, report: EpochReport) -> None:
        cells = _cells(report.figures)
        text = "  ".join(f"{name} {cell}" for name, cell in cells.items() if cell)
        self._say(f"epoch {report.epoch}/{report.epochs}  {text}")

    def step(self, report: StepReport) -> None:
        if time.monotonic() - self._last >= _EVERY:
            self._say(
                f"epoch {report.epoch}/{report.epochs}  step {report.step}/{report.steps}  "
                f"loss {report.loss:.4f}  chips/s {report.chips_per_second:.1f}"
            )

    def _say(self, text: str) -> None:
        typer.echo(text, err=True)
        self._last = time.monotonic()


class _LiveTable:
    """The latest epochs, and progress bars for the current epoch and the run."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._rows: deque[list[str]] = deque(maxlen=_ROWS)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        self._tasks: tuple[Any, Any] | None = None
        self._cutting: Any = None
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=4)

    def __enter__(self) -> _LiveTable:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def cut(self, done: int, total: int) -> None:
        if self._cutting is None:
            self._cutting = self._bars.add_task("cutting", total=total, figures="", unit="chips")
        self._bars.update(self._cutting, completed=done, total=total)

    def epoch(self, report: EpochReport) -> None:
        self._rows.append([str(report.epoch), *_cells(report.figures).values()])

    def step(self, report: StepReport) -> None:
        done = (report.epoch - 1) * report.steps
        if self._tasks is None:  # a resumed run begins further on
            words: dict[str, Any] = {"figures": "", "unit": "steps"}
            epoch = self._bars.add_task("epoch", total=report.steps, **words)
            run = self._bars.add_task("run", total=None, completed=done, **words)
            self._tasks = epoch, run
        epoch, run = self._tasks
        if report.step == 1:
            self._bars.reset(epoch, total=report.steps)
        figures = f"loss {report.loss:.4f}  {report.chips_per_second:.1f} chips/s"
        name = "validation" if report.step == report.steps else f"epoch {report.epoch}"
        self._bars.update(epoch, completed=report.step, description=name, figures=figures)
        self._bars.update(run, completed=done + report.step, total=report.epochs * report.steps)

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name in ("epoch", *_COLUMNS):
            table.add_column(name, justify="right")
        for row in self._rows:
            table.add_row(*row)
        return Group(table, self._bars) if self._rows else self._bars


def _cells(figures: dict[str, float]) -> dict[str, str]:
    """Format the figures that exist; an F1 of -1 means that there was no validation."""
    return {
        name: format(figures[key], form) if figures.get(key, -1.0) >= 0 else ""
        for name, (key, form) in _COLUMNS.items()
    }
