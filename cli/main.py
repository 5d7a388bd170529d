"""The entry point: registers the commands and turns errors into messages.

Commands import their tool inside the body, and only after the checks that need no tool, so
``geodet --help`` and most refusals load neither PyTorch nor GDAL.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

import geodet
from geodet.errors import GeodetError, OutputError, SceneError

from . import (
    calibrate,
    compare,
    compare_runs,
    config,
    count,
    demo,
    detect,
    evaluate,
    export,
    info,
    merge,
    models,
    plan,
    preview,
    suggest,
    tile,
    train,
    view,
)
from .command_help import DocumentedCommand, DocumentedGroup
from .process import end_if_signalled, leaving_on_signals
from .restrictions import restrict_process
from .standard_output import is_stuck

__all__ = ["app", "run"]

_EPILOG = """\
Examples:

  geodet demo
  geodet detect scene.tif -o trees.gpkg --preview trees.png
  geodet train --data tiles -o mine.safetensors
  geodet detect -h

Exit codes:

  0    success
  1    an error: stderr says what is wrong and what to do; nothing is written
  2    wrong usage: an unknown command or option, or a value that cannot be read
  3    some scenes could not be read or outputs not written; the others are done
  130  interrupted by Ctrl-C (129: SIGHUP, 143: SIGTERM): nothing half-written
"""

_NAMES = {"help_option_names": ["-h", "--help"]}

_COMMANDS: Mapping[str, tuple[Callable[..., None], str]] = {
    "detect": (detect.detect, detect.EXAMPLES),
    "plan": (plan.plan, plan.EXAMPLES),
    "merge": (merge.merge, merge.EXAMPLES),
    "train": (train.train, train.EXAMPLES),
    "tile": (tile.tile, tile.EXAMPLES),
    "evaluate": (evaluate.evaluate, evaluate.EXAMPLES),
    "calibrate": (calibrate.calibrate, calibrate.EXAMPLES),
    "export": (export.export, export.EXAMPLES),
    "count": (count.count, count.EXAMPLES),
    "compare": (compare.compare, compare.EXAMPLES),
    "compare-runs": (compare_runs.compare_runs, compare_runs.EXAMPLES),
    "preview": (preview.preview, preview.EXAMPLES),
    "view": (view.view, view.EXAMPLES),
    "suggest": (suggest.suggest, suggest.EXAMPLES),
    "models": (models.models, models.EXAMPLES),
    "info": (info.info, info.EXAMPLES),
    "config": (config.config, config.EXAMPLES),
    "demo": (demo.demo, demo.EXAMPLES),
}
_DATE = "SOURCE_DATE_EPOCH"  # see geodet.vector.file_dates
_FLAGS = ("--offline", "--restricted")  # may stand before the command


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"geodet {geodet.__version__}")
        raise typer.Exit


def _main(
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
            rich_help_panel="General",
        ),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            envvar="GEODET_OFFLINE",
            help="Read nothing over the network.",
            rich_help_panel="General",
        ),
    ] = False,
    restricted: Annotated[
        bool,
        typer.Option(
            "--restricted",
            envvar="GEODET_RESTRICTED",
            help="Like --offline, and refuse virtual rasters and lists that name files outside "
            "their folder.",
            rich_help_panel="General",
        ),
    ] = False,
) -> None:
    """Find small, dense objects in very large georeferenced images.

    The bundled models find trees in towns, vehicles from straight above, and people, cars and
    bicycles in thermal images. For other objects, such as animals or buoys, train a model on
    labels of your own.
    """
    restrict_process(offline=offline, restricted=restricted)


def _make_app(names: Iterable[str]) -> typer.Typer:
    """Return the program with some of its commands."""
    program = typer.Typer(
        name="geodet",
        cls=DocumentedGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # a bug keeps its plain traceback
        context_settings=_NAMES,
        epilog=_EPILOG,
    )
    program.callback()(_main)
    for name in names:
        command, examples = _COMMANDS[name]
        register = program.command(
            name, cls=DocumentedCommand, epilog=examples, context_settings=_NAMES
        )
        register(command)
    return program


app = _make_app(_COMMANDS)
"""The program with all of its commands."""


def _app_for(words: Sequence[str]) -> typer.Typer:
    """Return the program with the command of a line alone, since all take 0.1 s to prepare."""
    first = next((word for word in words if word not in _FLAGS), "")
    return _make_app([first]) if first in _COMMANDS else app


def _check_date() -> None:
    """Refuse a date of outputs that is none, before packages stumble over it."""
    if _DATE in os.environ:
        from geodet.vector.file_dates import read_date

        read_date()


def _warn_of_variables() -> None:
    """Warn of misspelt environment variables, without which a run may be less restricted."""
    if not any(name.upper().startswith("GEODET_") for name in os.environ):
        return
    from geodet.files.network import misspelt_variables

    for name, known in misspelt_variables(os.environ).items():
        typer.echo(f"warning: {name} is not read: did you mean {known}?", err=True)


def _has_current_folder() -> bool:
    """Whether the current folder exists: relative paths mean nothing once it is removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def run() -> None:
    """Run the command line, and exit with one of the codes that ``geodet --help`` lists."""
    try:
        with leaving_on_signals():
            _check_date()
            _warn_of_variables()
            _app_for(sys.argv[1:])()
    except GeodetError as error:
        typer.echo(f"error: {error}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        is_partial = isinstance(error, SceneError | OutputError) and error.report is not None
        sys.exit(3 if is_partial else 1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("geodet"):
            raise
        package = error.name.partition(".")[0]
        typer.echo(f"error: this needs the package {package}, which is not installed", err=True)
        typer.echo(f"hint: python -m pip install {package}", err=True)
        sys.exit(1)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not _has_current_folder():
            typer.echo("error: the current folder no longer exists", err=True)
            typer.echo("hint: change to another folder, or give absolute paths", err=True)
            sys.exit(1)
        if error.filename is not None or not is_stuck(sys.stdout):
            raise
        typer.echo(f"error: cannot write to standard output: {error.strerror}", err=True)
        sys.exit(1)
    except SystemExit as leaving:
        if leaving.code in (129, 130, 143):  # 130 is typer's code for Ctrl-C
            typer.echo("interrupted: no incomplete output is left", err=True)
            end_if_signalled(int(leaving.code))
        raise


if __name__ == "__main__":
    run()
