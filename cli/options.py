"""The options that commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from geodet.config import Config

__all__ = [
    "Aoi",
    "Append",
    "Bands",
    "BatchSize",
    "Bounds",
    "ChipSize",
    "ConfigRecipe",
    "Device",
    "Format",
    "GeometryKind",
    "IouThreshold",
    "Json",
    "ModelName",
    "Overlap",
    "Overwrite",
    "Quiet",
    "ScoreThreshold",
    "Settings",
    "Style",
    "Verbose",
    "Workers",
    "parse_bands",
    "parse_bounds",
    "resolve",
]

_WHERE = "Where"
_OUTPUT = "Output"
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
Aoi = Annotated[
    Path | None,
    typer.Option("--aoi", help="Polygons: look only there.", rich_help_panel=_WHERE),
]
Bounds = Annotated[
    str | None,
    typer.Option(
        "--bounds",
        metavar="XMIN,YMIN,XMAX,YMAX[,CRS]",
        help="Look only there; in the scene's CRS unless one is named.",
        rich_help_panel=_WHERE,
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(
        "--bands", metavar="R,G,B", help="Bands of the scene for the model's: numbers or names."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="gpkg, geojson, geojsonl, flatgeobuf, geoparquet, csv, coco or yolo.  "
        "[default: by the extension]",
        rich_help_panel=_OUTPUT,
    ),
]
GeometryKind = Annotated[
    Literal["box", "centroid"],
    typer.Option("--geometry", help="What is drawn of each object.", rich_help_panel=_OUTPUT),
]
Append = Annotated[
    bool,
    typer.Option("--append", help="Add to a GeoPackage that is there.", rich_help_panel=_OUTPUT),
]
Style = Annotated[
    bool,
    typer.Option(
        "--style", help="Write a QGIS style beside other formats.", rich_help_panel=_OUTPUT
    ),
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
    from geodet.config.recipes import resolve_config

    return resolve_config(recipe, flags=flags, settings=settings or (), sections=sections)


def parse_bands(text: str | None) -> tuple[int | str, ...] | None:
    """Read ``3,2,1`` as band numbers, and ``red,nir`` as names."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise typer.BadParameter(
            f"{text!r} is not a list of bands such as 1,2,3 or red,nir", param_hint="--bands"
        )
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def parse_bounds(text: str | None) -> tuple[tuple[float, float, float, float] | None, str | None]:
    """Read ``xmin,ymin,xmax,ymax`` and the CRS that may follow."""
    if text is None:
        return None, None
    parts = text.split(",", 4)
    try:
        xmin, ymin, xmax, ymax = map(float, parts[:4])
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not xmin,ymin,xmax,ymax", param_hint="--bounds"
        ) from error
    return (xmin, ymin, xmax, ymax), parts[4].strip() if len(parts) > 4 else None
