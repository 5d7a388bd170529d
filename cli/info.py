"""The command ``geodet info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as opt
from .describe import metres, model_fields, print_fields
from .report import print_json

if TYPE_CHECKING:
    from pyproj import CRS

    from geodet.models.description import ModelDescription

__all__ = ["EXAMPLES", "info"]

EXAMPLES = """\
Examples:

  geodet info scene.tif
  geodet info mine.safetensors
  geodet info urban-trees --json
"""


def info(
    path: Annotated[
        str,
        typer.Argument(
            help="A raster that GDAL opens, a model file, or a bundled model.", show_default=False
        ),
    ],
    as_json: opt.Json = False,
) -> None:
    """Describe a scene or a model.

    Of a scene: its size, bands, data type, CRS and ground sample distance. Of a model: what it
    finds, in which bands and at which resolution, and its figures.
    """
    about = _find_description(path)
    if about is not None:
        print_json(about) if as_json else print_fields(model_fields(about))
        return
    fields = _scene_fields(path)
    print_json(fields) if as_json else print_fields(fields)


def _find_description(path: str) -> ModelDescription | None:
    """Read the description of a model; None where the path is not a model's."""
    from geodet.models.description import find_model, iter_bundled, load_description
    from geodet.raster.scene_lists import is_gdal_path

    if path.endswith(".onnx"):
        find_model(path)
        from geodet.onnx.session import load_onnx_description

        return load_onnx_description(Path(path))
    is_word = not Path(path).suffix and not Path(path).exists() and not is_gdal_path(path)
    if path.endswith(".safetensors") or path in dict(iter_bundled()) or is_word:
        return load_description(find_model(path))
    return None


def _scene_fields(path: str) -> dict[str, Any]:
    from geodet.raster.scene_lists import check_scene_exists

    check_scene_exists(path)
    from geodet.raster.scene import Scene

    with Scene(Path(path) if Path(path).exists() else path) as scene:
        crs = scene.geobox.crs
        return {
            "scene": scene.path,
            "size": f"{scene.geobox.width} x {scene.geobox.height} px",
            "bands": ", ".join(scene.band_names) + _doubt(scene.doubtful_alpha),
            "values": scene.dtype.name,
            "crs": "none" if crs is None else _crs(crs),
            "gsd": metres(scene.gsd),
        }


def _doubt(band: int | None) -> str:
    """Say that a band that is flagged as alpha looks like another."""
    return "" if band is None else f"; band {band} is flagged as alpha, but varies like imagery"


def _crs(crs: CRS) -> str:
    authority = crs.to_authority()
    return f"{crs.name} ({':'.join(authority)})" if authority else str(crs.name)
