"""The entry point: registers the commands and turns errors into messages.

Commands import their tool inside the body, so ``geodet --help`` loads neither torch nor GDAL.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import geodet
from geodet.errors import GeodetError

from . import (
    commands,
    data_commands,
    evaluate_command,
    export_command,
    info_commands,
    preview_command,
)

__all__ = ["app", "run"]

app = typer.Typer(
    name="geodet",
    help="Find small, dense objects in very large georeferenced images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a bug keeps its plain traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("detect")(commands.detect)
app.command("train")(commands.train)
app.command("tile")(data_commands.tile)
app.command("evaluate")(evaluate_command.evaluate)
app.command("export")(export_command.export)
app.command("preview")(preview_command.preview)
app.command("models")(info_commands.models)
app.command("info")(info_commands.info)
app.command("config")(info_commands.config)
app.command("demo")(data_commands.demo)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"geodet {geodet.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Find small, dense objects in very large georeferenced images."""


def run() -> None:
    """Run the command line: exit 0, 1 for an error with a hint, 2 for usage, 130 if interrupted."""
    try:
        app()
    except GeodetError as error:
        typer.echo(f"error: {error}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        sys.exit(1)
    except SystemExit as leaving:
        if leaving.code == 130:  # typer's code for Ctrl-C
            typer.echo("interrupted: nothing half-written is left behind", err=True)
        raise


if __name__ == "__main__":
    run()
