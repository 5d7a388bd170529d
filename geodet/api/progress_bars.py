"""Progress bars for people, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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

__all__ = ["count_bar", "detect_bars"]


@contextmanager
def detect_bars(*, is_shown: bool) -> Iterator[Callable[[DetectProgress], None]]:
    """Show a bar for each scene: windows, megapixels a second, time left, detections so far.

    Args:
        is_shown: Whether to show anything; nothing is shown where stderr is not a terminal.
    """
    with _progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("chips  {task.fields[rate]:.1f} Mpx/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[found]} found"),
        is_shown=is_shown,
    ) as bar:
        tasks: dict[str, Any] = {}
        pixels: dict[str, int] = {}  # since the first report, which starts the clock

        def show(step: DetectProgress) -> None:
            if step.scene not in tasks:
                tasks[step.scene] = bar.add_task(step.scene, total=step.total, rate=0.0, found=0)
                pixels[step.scene] = -step.pixels
            task = tasks[step.scene]
            pixels[step.scene] += step.pixels
            rate = pixels[step.scene] / 1e6 / max(bar.tasks[task].elapsed or 0.0, 1e-3)
            bar.update(task, advance=step.chips, rate=rate, found=step.detections)

        yield show


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
