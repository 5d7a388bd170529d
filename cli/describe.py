"""Models and scenes as lines of names and values, for ``geodet info`` and ``geodet models``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from geodet.models.description import ModelDescription

__all__ = ["metres", "model_fields", "print_fields"]


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, fields))
    for key, value in fields.items():
        typer.echo(f"{key:<{width}}  {value}")


def model_fields(about: ModelDescription) -> dict[str, Any]:
    """Choose what is printed of a model."""
    return {
        "model": about.name,
        "finds": about.description,
        "classes": ", ".join(about.classes),
        "bands": ", ".join(about.bands),
        "values": about.dtype,
        "gsd": metres(about.gsd),
        "backbone": about.architecture.backbone,
        "score threshold": about.score_threshold,
        "iou threshold": about.iou_threshold,
        **{f"training {key}": value for key, value in about.training.items()},
        **{key: round(value, 4) for key, value in about.figures.items()},
        "written by": f"geodet {about.version}",
    }


def metres(gsd: float | None) -> str:
    """Format a ground sample distance."""
    return "unknown" if gsd is None else f"{gsd:.3g} m"
