"""The command ``geodet info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import label_options as label
from . import options as opt
from .describe import (
    job_fields,
    metres,
    model_fields,
    print_fields,
    review_fields,
    run_fields,
    tileset_fields,
    vector_fields,
)
from .report import print_json

if TYPE_CHECKING:
    from pyproj import CRS

    from geodet.api.path_kinds import PathKind

__all__ = ["EXAMPLES", "info"]

EXAMPLES = """\
Examples:

  geodet info trees.gpkg
  geodet info suggested.gpkg
  geodet info scene.tif
  geodet info tiles
  geodet info mine.run
  geodet info job/
  geodet info mine.safetensors
  geodet info urban-trees --json
"""


def info(
    path: Annotated[
        str,
        typer.Argument(
            help="A raster that GDAL opens, a vector file, a folder of labelled images, the "
            "folder of a training or of a job, a model file, or a bundled model.",
            show_default=False,
        ),
    ],
    allow_outside: label.AllowOutside = False,
    as_json: opt.Json = False,
) -> None:
    """Describe a file of detections or reviews, a scene, a tileset, a training, a job or a model.

    Detections: their number, and the model, settings and thresholds that made them. Reviews: the
    suggested windows, and how many are done. A scene: its size, bands, data type, CRS and ground
    sample distance. A tileset: its format, images, objects, classes, sizes and split, and possible
    mistakes. A training: its settings and the figures of its best epoch. A job: how much of it is
    computed, and which scenes could not be read. A model: its classes, bands, resolution and
    figures.
    """
    from geodet.api.path_kinds import kind_of

    kind = kind_of(path)
    if kind == "tileset":
        _print_tileset(Path(path), as_json=as_json, allow_outside=allow_outside)
        return
    about, fields = _describe(path, kind)
    print_json(about) if as_json else print_fields(fields)


def _describe(path: str, kind: PathKind) -> tuple[Any, dict[str, Any]]:
    """Return what there is to say about a path, for JSON and for people."""
    if kind == "model":
        from geodet.onnx.model_files import load_named_description

        model = load_named_description(path)
        return model, model_fields(model)
    if kind == "run":
        from geodet.training.run_records import read_run

        run = read_run(path)
        return run, run_fields(run)
    if kind == "job":
        from geodet.jobs.job_summary import summarise_job

        job = summarise_job(path)
        return job, job_fields(job)
    if kind == "reviews":
        from geodet.reviewing.review_summary import summarise_reviews

        reviews = summarise_reviews(path)
        return reviews, review_fields(reviews)
    if kind in ("results", "vector"):
        from geodet.tilesets.pixel_summary import summarise_pixel_results
        from geodet.vector.vector_summary import summarise_vector

        found = (summarise_vector if kind == "vector" else summarise_pixel_results)(path)
        return found, vector_fields(found)
    fields = _scene_fields(path)
    return fields, fields


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


def _scene_fields(path: str) -> dict[str, Any]:
    from geodet.api.path_kinds import summarise_as_scene

    about = summarise_as_scene(path)
    return {
        "scene": about.path,
        "size": f"{about.width} x {about.height} px",
        "bands": ", ".join(about.bands) + _doubt(about.doubtful_alpha),
        "values": about.dtype,
        "crs": _place(about.crs, about.unplaced_crs),
        "gsd": metres(about.gsd),
    } | ({"reads": about.reads} if about.reads else {})


def _doubt(band: int | None) -> str:
    """Describe a band that is flagged as alpha but looks like another."""
    return "" if band is None else f"; band {band} is flagged as alpha, but varies like imagery"


def _place(crs: CRS | None, unplaced: CRS | None) -> str:
    if unplaced is not None:
        return f"none: {_crs(unplaced)} is declared, but there is no geotransform"
    return "none" if crs is None else _crs(crs)


def _crs(crs: CRS) -> str:
    authority = crs.to_authority()
    return f"{crs.name} ({':'.join(authority)})" if authority else str(crs.name)
