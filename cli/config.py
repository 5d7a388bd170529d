"""The command ``geodet config``."""

from __future__ import annotations

import typer

from . import options as opt
from .report import print_json

__all__ = ["EXAMPLES", "config"]

EXAMPLES = """\
Examples:

  geodet config
  geodet config -c urban-trees
  geodet config -c fast-cpu --set train.epochs=20 > mine.toml
"""


def config(
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    as_json: opt.Json = False,
) -> None:
    """Print every key of the configuration with its value and meaning.

    The output is a TOML file that --config of the other commands reads. The bundled recipes are
    listed on stderr.
    """
    from geodet.config.recipes import iter_recipes, to_toml

    resolved = opt.resolve(recipe, settings, flags={}, sections=())
    if as_json:
        print_json(resolved)
        return
    for name, about in iter_recipes():
        typer.echo(f"recipe {name}: {about}", err=True)
    typer.echo(to_toml(resolved))
