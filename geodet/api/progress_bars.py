"""Progress bars for people, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from geodet.detection.detect import DetectProgress

__all__ = ["DetectBar", "count_bar", "detect_bars"]


class DetectBar:
    """A progress bar of a detection, called with each :class:`DetectProgress`.

    Args:
        bar: The rich progress display.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=1.0, rate=0.0, found=0, visible=False)
        self._pixels: int | None = None  # since the first report, which starts the clock
        self._found = dict[str, int]()

    def __call__(self, step: DetectProgress) -> None:
        """Show how far a run has come, and what it has found, duplicates included."""
        if self._pixels is None or step.resumed:
            self._bar.reset(self._task, visible=True)
            self._pixels = 0
        else:
            self._pixels += step.pixels
        self._found[step.scene] = step.detections
        self._bar.update(
            self._task,
            description=_describe(step),
            completed=step.share,
            rate=self._pixels / 1e6 / max(self._bar.tasks[0].elapsed or 0.0, 1e-3),
            found=sum(self._found.values()),
        )

    def finish(self, written: int) -> None:
        """Show the number of objects that were written, without duplicates."""
        self._bar.update(self._task, found=written)


def _describe(step: DetectProgress) -> str:
    if step.all_parts:  # of several workers, which are in several scenes
        failed = f", {step.failures} scenes failed" if step.failures else ""
        return f"{step.parts} of {step.all_parts} parts{failed}"
    where = f"scene {step.number} of {step.scenes}: " if step.scenes > 1 else ""
    return f"{where}{step.scene}"


@contextmanager
def detect_bars(*, is_shown: bool) -> Iterator[DetectBar]:
    """Show a bar for a run: scene, share of the pixels done, megapixels a second, time left.

    Args:
        is_shown: Whether to show anything; nothing is shown where stderr is not a terminal.
    """
    with _progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.1f} %  {task.fields[rate]:.1f} Mpx/s"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[found]} found"),
        is_shown=is_shown,
    ) as bar:
        yield DetectBar(bar)


@contextmanager
def count_bar(name: str, *, is_shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar that counts: call it with the number done and the number of all."""
    columns = TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with _progress(*columns, is_shown=is_shown) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _progress(*columns: ProgressColumn, is_shown: bool) -> Iterator[Progress]:
    console = Console(stderr=True)
    is_seen = is_shown and (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, disable=not is_seen) as bar:
        yield bar
