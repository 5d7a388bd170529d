"""The options that commands share, each written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from geodet.config import Config

__all__ = [
    "BatchSize",
    "ChipSize",
    "ConfigRecipe",
    "Device",
    "IouThreshold",
    "Json",
    "ModelName",
    "Overlap",
    "Overwrite",
    "Quiet",
    "ScoreThreshold",
    "Settings",
    "Verbose",
    "Workers",
    "parse_bands",
    "resolve",
]

_SETTINGS = "Settings"

ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME|PATH", help="A bundled model or a model file.")
]
Device = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda[:N]", help="Where the network runs.")
]
ConfigRecipe = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|FILE.toml",
        help="A bundled recipe or a TOML file; see `geodet config`.",
        rich_help_panel=_SETTINGS,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="section.key=value",
        help="Set any key; may be repeated and wins over all else.",
        rich_help_panel=_SETTINGS,
    ),
]
ScoreThreshold = Annotated[
    float | None,
    typer.Option(
        "--score-threshold",
        min=0,
        max=1,
        help="Lowest score kept.  [default: the model's own]",
        rich_help_panel=_SETTINGS,
    ),
]
IouThreshold = Annotated[
    float | None,
    typer.Option(
        "--iou-threshold",
        min=0,
        max=1,
        help="Overlap above which the weaker box goes.  [default: the model's own]",
        rich_help_panel=_SETTINGS,
    ),
]
ChipSize = Annotated[
    int | None,
    typer.Option("--chip-size", help="Side of a chip in pixels.", rich_help_panel=_SETTINGS),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        "--overlap", help="Pixels that neighbouring chips share.", rich_help_panel=_SETTINGS
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", help="Chips in one pass.", rich_help_panel=_SETTINGS),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Readers that work ahead.", rich_help_panel=_SETTINGS),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace output that is there already.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for everything.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


def resolve(
    recipe: str | None,
    settings: list[str] | None,
    *,
    flags: dict[str, dict[str, Any]],
    sections: tuple[str, ...],
) -> Config:
    """Make the configuration: defaults < recipe < flags < ``--set``."""
    from geodet.recipes import resolve_config

    return resolve_config(recipe, flags=flags, settings=settings or (), sections=sections)


def parse_bands(text: str | None) -> tuple[int, ...] | None:
    """Read ``3,2,1`` as band numbers."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a list of band numbers such as 1,2,3", param_hint="--bands"
        ) from error
