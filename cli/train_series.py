"""The options ``--seeds`` and ``--sweep`` of ``geodet train``: several runs, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as opt
from .report import print_json, print_table
from .train_display import train_display

if TYPE_CHECKING:
    from geodet.config import Config
    from geodet.training.run_series import SeriesReport, SeriesRun
    from geodet.training.scene_chips import ScenesWithLabels

__all__ = ["Seeds", "Sweep", "plan_runs", "train_runs"]

Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        min=1,
        metavar="N",
        help="Train N times with different seeds; print mean and standard deviation.",
        rich_help_panel=opt.RUN,
    ),
]
Sweep = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep",
        metavar="KEY=VALUE,VALUE",
        help="Train with each value, such as train.learning_rate=1e-3,3e-4. Repeated, every "
        "combination is trained; finished runs are not done again.",
        rich_help_panel=opt.RUN,
    ),
]


def plan_runs(
    output: Path | None, config: Config, seeds: int, sweep: list[str] | None, *, dry_run: bool
) -> list[SeriesRun]:
    """List the runs; none where neither option asks for several."""
    if seeds == 1 and not sweep:
        return []
    if dry_run:
        raise typer.BadParameter("cannot be used with --seeds and --sweep", param_hint="--dry-run")
    assert output is not None  # only a dry run has none
    from geodet.files.torchrun import count_processes

    if count_processes() > 1:
        raise typer.BadParameter("cannot be used with torchrun", param_hint="--seeds")
    from geodet.training.run_series import parse_sweep, plan_series

    return plan_series(output, config, seeds=seeds, sweep=parse_sweep(sweep or ()))


def train_runs(
    source: Path | ScenesWithLabels,
    output: Path,
    runs: list[SeriesRun],
    *,
    device: str,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train the runs one after another, and print them side by side."""
    from geodet.training.run_series import run_series
    from geodet.training.train import run_training

    def train(run: SeriesRun, goes_on: bool) -> None:
        with train_display(quiet=quiet) as display:
            run_training(
                source,
                run.output,
                run.config,
                device=device,
                resume=goes_on,
                overwrite=not goes_on,
                labels_of=run.labels_of,
                progress=display.epoch,
                step_progress=display.step,
                cut_progress=display.cut,
            )

    def announce(number: int, count: int, run: SeriesRun) -> None:
        if not quiet:
            typer.echo(f"run {number} of {count}: {run.output.name}", err=True)

    options: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "progress": announce}
    with _hint_at_command():
        report = run_series(output, runs, train, **options)
    print_json(report) if as_json else _print_series(report)


@contextmanager
def _hint_at_command() -> Iterator[None]:
    """Print, when Ctrl-C or a signal ends a series, how it goes on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        typer.echo("run the same command without --overwrite to continue", err=True)
        raise


def _print_series(report: SeriesReport) -> None:
    print_table("", list(report.table.columns), [list(row) for row in report.table.rows])
    for group, figures in report.spread.items():
        texts = [f"{name} {mean:.3f} +- {spread:.3f}" for name, (mean, spread) in figures.items()]
        typer.echo(f"{group or 'all runs'}: {', '.join(texts)}")
    typer.echo(f"{report.model}: the model with the best F1")
