"""The options on labelled objects that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from . import options as opt

__all__ = [
    "CHIPS",
    "AllowOutside",
    "ChipGsd",
    "Data",
    "LabelField",
    "LabelledAoi",
    "LabelsCrs",
    "Split",
    "allow_outside_option",
    "label_field_option",
    "labelled_aoi_option",
]

CHIPS = "Labelled chips"

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="PATH", help="A tileset: chips with labels.", rich_help_panel=CHIPS
    ),
]
Split = Annotated[
    Literal["train", "val", "test", "all"],
    typer.Option(
        "--split", help="The part of the split to use, or all chips.", rich_help_panel=CHIPS
    ),
]


def allow_outside_option(panel: str = opt.INPUT) -> Any:
    """Return the option ``--allow-outside`` of a tileset, for a group of the help."""
    return typer.Option(
        "--allow-outside",
        help="Read files outside the folder of the tileset that it names or links to.",
        rich_help_panel=panel,
    )


AllowOutside = Annotated[bool, allow_outside_option()]


def label_field_option(attribute: str = "Attribute") -> Any:
    """Return the option ``--label-field``; ``attribute`` says in the help what it belongs to."""
    return typer.Option(
        "--label-field",
        metavar="NAME",
        help=f"{attribute} with the class; '' takes all objects as one class.",
        show_default="label, class or name, if there is one",
        rich_help_panel=opt.INPUT,
    )


LabelField = Annotated[str | None, label_field_option("Attribute of the labels")]
LabelsCrs = Annotated[
    str | None,
    typer.Option(
        "--crs",
        metavar="CRS",
        help="CRS of labels whose file has none, such as a CSV.",
        show_default="that of the scene",
        rich_help_panel=opt.INPUT,
    ),
]


def labelled_aoi_option(panel: str = opt.AREA) -> Any:
    """Return the option ``--aoi`` of what was labelled, for a group of the help."""
    return typer.Option(
        "--aoi",
        metavar="FILE",
        help="A vector file with polygons, in any CRS: only this part was labelled.",
        rich_help_panel=panel,
    )


LabelledAoi = Annotated[Path | None, labelled_aoi_option()]
ChipGsd = Annotated[
    float | None,
    typer.Option(
        "--gsd",
        metavar="METRES",
        help="Metres per pixel of the chips; the scenes are resampled as detect does.",
        show_default="those of each scene; pixels that are not square on the ground are made "
        "square",
        rich_help_panel=opt.SETTINGS,
    ),
]
