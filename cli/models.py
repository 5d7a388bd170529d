"""The command ``geodet models``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import options as opt
from .describe import metres, model_fields, print_fields
from .report import print_json, print_table

if TYPE_CHECKING:
    from geodet.models.description import ModelDescription

__all__ = ["EXAMPLES", "models"]

EXAMPLES = """\
Examples:

  geodet models
  geodet models urban-trees
"""


def models(
    name: Annotated[
        str | None,
        typer.Argument(help="A bundled model, to print its card.", show_default=False),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """List the bundled models, or print the card of one.

    The card says what the model finds, in which images, how well, and on which data it was trained.
    """
    from geodet.models.description import find_model, iter_bundled, load_description

    if name is None:
        found = [load_description(path) for _, path in iter_bundled()]
        print_json(found) if as_json else _print_models(found)
        return
    path = find_model(name)
    description = load_description(path)
    card = path.with_suffix(".md")
    if as_json:
        print_json(description)
    elif card.is_file():
        typer.echo(card.read_text(encoding="utf-8").rstrip())
    else:
        print_fields(model_fields(description))


def _print_models(found: list[ModelDescription]) -> None:
    rows = [
        [m.name, ", ".join(m.classes), ", ".join(m.bands), metres(m.gsd), m.description]
        for m in found
    ]
    print_table("Bundled models", ["name", "classes", "bands", "m/px", "finds"], rows)
