"""The output of ``geodet train``: the plan of a dry run, the result, and the next steps."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from geodet.training.train import TrainReport
    from geodet.training.train_plan import TrainPlan

__all__ = ["hint_at_resume", "print_plan", "print_training"]


def print_plan(plan: TrainPlan) -> None:
    """Print what would be trained, and the command line that trains it."""
    objects = ", ".join(f"{count} {name}" for name, count in plan.classes.items())
    low, middle, high = plan.sides_px
    metres = f", {middle * plan.gsd:.3g} m" if plan.gsd else ""
    gsd = f"{plan.gsd:.3g} m per pixel" if plan.gsd else "metres per pixel unknown"
    sizes = ", ".join(f"{size:g}" for size in plan.anchor_sizes)
    lines = {
        "train": f"{plan.train.images} images with {plan.train.objects} objects ({objects})",
        "validate": f"{plan.val.images} images with {plan.val.objects} objects",
        "images": gsd,
        "objects": f"median length {middle:.0f} px{metres}; 98 % from {low:.0f} to {high:.0f} px",
        "anchors": f"{sizes} px; they cover {100 * plan.anchor_recall:.0f} % of the objects",
        "epoch": f"{plan.crops} chips of {plan.chip_size} px, about {plan.seconds_an_epoch:.0f} s "
        f"on {plan.device}; {100 * plan.crops_with_objects:.0f} % show an object",
        "training": f"{plan.epochs} epochs, {plan.steps} steps, about "
        f"{plan.epochs * plan.seconds_an_epoch / 60:.0f} min",
    }
    if plan.init is not None:
        lines["init"] = plan.init.summary
    for name, text in lines.items():
        typer.echo(f"{name:9} {text}")
    for one in plan.proposals:
        typer.echo(f"{'proposed':9} {' '.join(one.typed)}: {one.reason}")
    typer.echo(f"{'type':9} {_line_to_type(plan)}")


def _line_to_type(plan: TrainPlan) -> str:
    """Return the command line that was typed, with the proposed settings, as a training."""
    typed = list(sys.argv[1:])
    typed = [word for word in typed if word not in ("--dry-run", "--json")]
    for one in plan.proposals:
        option = one.typed[0]
        typed = [word for word in typed if not word.startswith(f"{option}=")]
        if option != "--set" and option in typed:
            at = typed.index(option)
            del typed[at : at + 2]
        typed += one.typed
    if not any(text.startswith(("-o", "--output")) for text in typed):
        typed += ["-o", "model.safetensors"]
    return shlex.join(["geodet", *typed])


def print_training(report: TrainReport, *, quiet: bool) -> None:
    """Print how good the trained model is, and where its report lies."""
    has_validation = report.best_f1 >= 0
    best = f"best F1 {report.best_f1:.3f} on the validation chips"
    what = best if has_validation else "no objects in validation chips, so the last epoch"
    early = f", stopped early after {report.epochs}" if report.stopped_early else ""
    typer.echo(f"{report.model}: {what}, epoch {report.best_epoch}{early}, {report.seconds:.0f} s")
    if report.report is not None and not quiet:
        typer.echo(str(report.report))
    if report.best_f1_interval is not None:
        low, high = report.best_f1_interval
        typer.echo(
            "fewer than 50 validation objects, so this F1 is uncertain: 95 % confidence interval "
            f"{low:.2f} to {high:.2f}; label more, or give more of them to validation",
            err=True,
        )


@contextmanager
def hint_at_resume(output: Path) -> Iterator[None]:
    """Print, when Ctrl-C or a signal ends a run, that it can be continued."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        from geodet.files.output_folders import STATE_FILE, run_folder

        if (run_folder(output) / STATE_FILE).exists():
            typer.echo(
                f"{output} holds the best epoch so far; --resume continues after the last complete "
                "one",
                err=True,
            )
        raise
