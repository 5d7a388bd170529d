"""Models, scenes and tilesets as lines of names and values, for ``geodet info`` and ``models``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from geodet.models.description import ModelDescription
    from geodet.tilesets.tileset_summary import TilesetSummary

__all__ = ["metres", "model_fields", "print_fields", "tileset_fields"]


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


def tileset_fields(path: Path, summary: TilesetSummary) -> dict[str, Any]:
    """Choose what is printed of a tileset."""
    counts: dict[str, str] = {
        part: f"{summary.images[part]} images, {summary.objects[part]} objects"
        for part in summary.images
    }
    own = f"of {summary.split}" if summary.split else "none of its own: training chooses"
    small, large = (f"{width} x {height} px" for width, height in summary.image_sizes)
    fields: dict[str, Any] = {
        "tileset": path,
        "format": summary.layout,
        "split": own,
        **counts,
        "without objects": f"{summary.empty} images",
        "ignored regions": summary.ignored,
        "classes": ", ".join(f"{name} {count}" for name, count in summary.classes.items()),
        "image sizes": small if small == large else f"{small} to {large}",
        "object sizes": _sizes(summary),
        "gsd": _range(summary.gsd),
    }
    return fields | {f"warning {n}": text for n, text in enumerate(summary.warnings, start=1)}


def _sizes(summary: TilesetSummary) -> str:
    """Format the sides of objects: most are between the first and the last."""
    if summary.are_points:
        return "points: set data.box_size_m or data.box_size_px"
    if summary.sides_px is None:
        return "no objects"
    texts = []
    for sides, unit in ((summary.sides_px, "px"), (summary.sides_m, "m")):
        if sides is not None:
            texts.append(
                f"{sides[0]:.3g} to {sides[2]:.3g} {unit}, half above {sides[1]:.3g} {unit}"
            )
    return "; ".join(texts)


def _range(gsd: tuple[float, float] | None) -> str:
    if gsd is None:
        return "unknown"
    low, high = (metres(value) for value in gsd)
    return low if low == high else f"{low} to {high}"


def metres(gsd: float | None) -> str:
    """Format a ground sample distance."""
    return "unknown" if gsd is None else f"{gsd:.3g} m"
