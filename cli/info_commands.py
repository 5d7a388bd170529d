"""The commands that tell: models, info, config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as opt
from .report import print_json, print_table

if TYPE_CHECKING:
    from pyproj import CRS

    from geodet.models.description import ModelDescription

__all__ = ["config", "info", "models"]


def models(
    name: Annotated[str | None, typer.Argument(help="Show the card of this one.")] = None,
    as_json: opt.Json = False,
) -> None:
    """List the bundled models, or describe one."""
    from geodet.models.description import find_model, iter_bundled, load_description

    if name is None:
        found = [load_description(path) for _, path in iter_bundled()]
        print_json(found) if as_json else _print_models(found)
        return
    path = find_model(name)
    description = load_description(path)
    card = path.with_suffix(".md")
    if as_json or not card.is_file():
        print_json(description) if as_json else _print_fields(_model_fields(description))
        return
    typer.echo(card.read_text(encoding="utf-8").rstrip())


def info(
    path: Annotated[str, typer.Argument(help="A scene or a model file.")],
    as_json: opt.Json = False,
) -> None:
    """Describe a scene or a model."""
    from geodet.models.description import find_model, iter_bundled, load_description

    if path.endswith(".onnx"):
        from geodet.onnx.backend import load_onnx_description

        description = load_onnx_description(Path(path))
        print_json(description) if as_json else _print_fields(_model_fields(description))
        return
    if path.endswith(".safetensors") or path in dict(iter_bundled()):
        description = load_description(find_model(path))
        print_json(description) if as_json else _print_fields(_model_fields(description))
        return
    fields = _scene_fields(path)
    print_json(fields) if as_json else _print_fields(fields)


def config(
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    as_json: opt.Json = False,
) -> None:
    """Print the resolved configuration, as a TOML file that --config reads."""
    from geodet.config.recipes import iter_recipes, to_toml

    resolved = opt.resolve(recipe, settings, flags={}, sections=())
    if as_json:
        print_json(resolved)
        return
    for name, about in iter_recipes():
        typer.echo(f"recipe {name}: {about}", err=True)
    typer.echo(to_toml(resolved))


def _print_models(found: list[ModelDescription]) -> None:
    rows = [
        [m.name, ", ".join(m.classes), ", ".join(m.bands), _metres(m.gsd), m.description]
        for m in found
    ]
    print_table("Bundled models", ["name", "classes", "bands", "m/px", "finds"], rows)


def _print_fields(fields: dict[str, Any]) -> None:
    width = max(map(len, fields))
    for key, value in fields.items():
        typer.echo(f"{key:<{width}}  {value}")


def _model_fields(about: ModelDescription) -> dict[str, Any]:
    return {
        "model": about.name,
        "finds": about.description,
        "classes": ", ".join(about.classes),
        "bands": ", ".join(about.bands),
        "values": about.dtype,
        "gsd": _metres(about.gsd),
        "backbone": about.architecture.backbone,
        "score threshold": about.score_threshold,
        "iou threshold": about.iou_threshold,
        **{f"training {key}": value for key, value in about.training.items()},
        **{key: round(value, 4) for key, value in about.figures.items()},
        "written by": f"geodet {about.version}",
    }


def _scene_fields(path: str) -> dict[str, Any]:
    from geodet.raster.scene import Scene

    with Scene(Path(path) if Path(path).exists() else path) as scene:
        crs = scene.geobox.crs
        return {
            "scene": scene.path,
            "size": f"{scene.geobox.width} x {scene.geobox.height} px",
            "bands": ", ".join(scene.band_names),
            "values": scene.dtype.name,
            "crs": "none" if crs is None else _crs(crs),
            "gsd": _metres(scene.gsd),
        }


def _crs(crs: CRS) -> str:
    authority = crs.to_authority()
    return f"{crs.name} ({':'.join(authority)})" if authority else str(crs.name)


def _metres(gsd: float | None) -> str:
    return "unknown" if gsd is None else f"{gsd:.3g} m"
