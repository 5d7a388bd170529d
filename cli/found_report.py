"""The output of a run that writes detections, also when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from geodet.errors import GeodetError

from .report import print_json

if TYPE_CHECKING:
    from geodet.detection.detect import DetectReport

    from .count_by import CountBy

__all__ = ["print_detections", "reporting"]

_MOST_PRINTED = 10  # names of outputs


@contextmanager
def reporting(as_json: bool) -> Iterator[Callable[[DetectReport], None]]:
    """Print a failure as JSON too, with what became of each scene.

    Yields:
        A function that takes the report of the run, once there is one.
    """
    reports: list[DetectReport] = []
    try:
        yield reports.append
    except GeodetError as error:
        _print_failure(str(error), error.hint, reports, as_json=as_json)
        raise
    except (KeyboardInterrupt, SystemExit):
        hint = "run the same command again to continue"
        _print_failure("interrupted", hint, reports, as_json=as_json)
        raise


def print_detections(
    report: DetectReport,
    counting: CountBy,
    *,
    as_json: bool,
    quiet: bool,
    to_stderr: bool = False,
    is_merge: bool = False,
) -> None:
    """Print the numbers of objects, the outputs, the time, and what was counted in polygons.

    Args:
        report: Of the run.
        counting: Counts beside its output.
        as_json: Whether the report is printed as JSON instead.
        quiet: Whether only the numbers are printed.
        to_stderr: Whether standard output is taken by the objects themselves.
        is_merge: Whether nothing was searched, so that there is no speed.
    """
    if as_json:
        print_json(report)
        return
    for name, count in report.labels.items():
        typer.echo(f"{count} x {name}", err=to_stderr)
    if quiet:
        return
    for output in report.outputs[:_MOST_PRINTED]:
        typer.echo(str(output), err=to_stderr)
    if len(report.outputs) > _MOST_PRINTED:
        typer.echo(f"and {len(report.outputs) - _MOST_PRINTED} more files", err=to_stderr)
    rate = report.megapixels / report.seconds
    speed = "" if is_merge else f", {rate:.2f} Mpx/s on {report.device}"
    typer.echo(f"{report.seconds:.1f} s{speed}", err=True)
    counting.show()


def _print_failure(error: str, hint: str, reports: list[DetectReport], *, as_json: bool) -> None:
    if as_json:
        scenes = [scene for report in reports for scene in report.scenes]
        print_json({"error": error, "hint": hint, "scenes": scenes})
