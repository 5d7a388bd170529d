"""The options of commands that read vector files of objects, each defined once."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as opt
from .label_options import label_field_option

__all__ = ["LabelField", "MinScore", "PolygonField", "ScoreField", "ShownBands"]

MinScore = Annotated[
    float,
    typer.Option(
        "--min-score",
        min=0,
        max=1,
        metavar="SCORE",
        help="Leave out objects with a lower score.",
        rich_help_panel=opt.INPUT,
    ),
]
ScoreField = Annotated[
    str | None,
    typer.Option(
        "--score-field",
        metavar="NAME",
        help="Attribute with the score.",
        show_default="score, if there is one",
        rich_help_panel=opt.INPUT,
    ),
]
LabelField = Annotated[str | None, label_field_option()]
PolygonField = Annotated[
    str | None,
    typer.Option(
        "--field",
        metavar="NAME",
        help="The only attribute of the polygons to keep.",
        show_default="all of them",
        rich_help_panel=opt.INPUT,
    ),
]
ShownBands = Annotated[
    str | None,
    typer.Option(
        "--bands",
        metavar="R,G,B",
        help="Bands of the scene to show as red, green and blue: numbers from 1, or names.",
        show_default="by name, or else the first ones",
        rich_help_panel=opt.INPUT,
    ),
]
