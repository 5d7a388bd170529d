"""The command ``geodet info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as opt
from .describe import metres, model_fields, print_fields, tileset_fields
from .report import print_json

if TYPE_CHECKING:
    from pyproj import CRS

    from geodet.models.description import ModelDescription

__all__ = ["EXAMPLES", "info"]

EXAMPLES = """\
Examples:

  geodet info scene.tif
  geodet info tiles
  geodet info mine.safetensors
  geodet info urban-trees --json
"""


def info(
    path: Annotated[
        str,
        typer.Argument(
            help="A raster that GDAL opens, a folder of labelled images, a model file, or a "
            "bundled model.",
            show_default=False,
        ),
    ],
    allow_outside: opt.AllowOutside = False,
    as_json: opt.Json = False,
) -> None:
    """Describe a scene, a tileset or a model.

    Of a scene: its size, bands, data type, CRS and ground sample distance. Of a tileset: its
    format, images, objects, classes, sizes and split, and what looks wrong. Of a model: what it
    finds, in which bands and at which resolution, and its figures.
    """
    about = _find_description(path)
    if about is not None:
        print_json(about) if as_json else print_fields(model_fields(about))
        return
    if _is_tileset(path):
        _print_tileset(Path(path), as_json=as_json, allow_outside=allow_outside)
        return
    fields = _scene_fields(path)
    print_json(fields) if as_json else print_fields(fields)


def _is_tileset(path: str) -> bool:
    """Whether a path is a folder, or a file that labels several images."""
    from geodet.files.output_folders import LABEL_SUFFIXES

    place = Path(path)
    return place.is_dir() or (place.is_file() and place.suffix.lower() in LABEL_SUFFIXES)


def _print_tileset(path: Path, *, as_json: bool, allow_outside: bool) -> None:
    from geodet.errors import SceneError, TilesetError
    from geodet.tilesets.image_lists import list_images
    from geodet.tilesets.tileset_summary import summarise_tileset

    try:
        summary = summarise_tileset(path, allow_outside=allow_outside)
    except TilesetError as error:
        images = list_images(path) if path.is_dir() else []
        try:
            fields = _scene_fields(str(images[0] if len(images) == 1 else path))
        except SceneError:
            raise error from None
        fields |= {"labels": str(error)} if images else {}
        print_json(fields) if as_json else print_fields(fields)
        return
    print_json(summary) if as_json else print_fields(tileset_fields(path, summary))


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
    from geodet.raster.reach import describe_reach
    from geodet.raster.scene import Scene

    reads = describe_reach(path)
    with Scene(Path(path) if Path(path).exists() else path) as scene:
        crs = scene.geobox.crs
        return {
            "scene": scene.path,
            "size": f"{scene.geobox.width} x {scene.geobox.height} px",
            "bands": ", ".join(scene.band_names) + _doubt(scene.doubtful_alpha),
            "values": scene.dtype.name,
            "crs": "none" if crs is None else _crs(crs),
            "gsd": metres(scene.gsd),
        } | ({"reads": reads} if reads else {})


def _doubt(band: int | None) -> str:
    """Describe a band that is flagged as alpha but looks like another."""
    return "" if band is None else f"; band {band} is flagged as alpha, but varies like imagery"


def _crs(crs: CRS) -> str:
    authority = crs.to_authority()
    return f"{crs.name} ({':'.join(authority)})" if authority else str(crs.name)
