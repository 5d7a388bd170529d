"""The command ``geodet preview``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as opt
from . import search_options as search
from . import vector_options as vec
from .report import print_json, set_up_logging

if TYPE_CHECKING:
    from geodet.previews.map_outlines import OutlineLayer
    from geodet.previews.picture_options import PictureOptions
    from geodet.previews.preview import PreviewReport

__all__ = ["EXAMPLES", "preview"]

EXAMPLES = """\
Examples:

  geodet preview scene.tif trees.gpkg -o trees.png
  geodet preview scene.tif trees.gpkg -o part.png --window 500,500,800,600
  geodet preview scene.tif cars.geojson -o cars.png --min-score 0.5
  geodet preview scene.tif trees.gpkg -o map.pdf --outline stands.gpkg
  geodet preview photos/ animals.gpkg -o looks/ --only-with-objects
"""

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".pdf", ".svg")


def preview(
    scene: Annotated[
        str,
        typer.Argument(
            help="A raster that GDAL opens; for a folder of pictures also a folder, a quoted "
            "'pattern', or @FILE.",
            show_default=False,
        ),
    ],
    typed_output: Annotated[
        str,  # a slash at its end is not lost
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER/",
            help="The picture to write: .png, .jpg, .webp, .pdf or .svg. A folder gets a picture "
            "of each photograph, and of each tile of other scenes.",
            rich_help_panel=opt.OUTPUT,
        ),
    ],
    detections: Annotated[
        Path | None,
        typer.Argument(
            help="A vector file with points or polygons, such as the output of detect.",
            show_default=False,
        ),
    ] = None,
    outlines: Annotated[
        list[str] | None,
        typer.Option(
            "--outline",
            metavar="FILE",
            help="Polygons to outline, in any vector format and CRS. May be repeated.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME",
            help="Attribute to write in each polygon: that of the first --outline, then of the "
            "second.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    title: Annotated[
        str,
        typer.Option(
            "--title",
            metavar="TEXT",
            help="Title above the picture.",
            show_default="none",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = "",
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            metavar="COL,ROW,WIDTH,HEIGHT",
            help="A part of the scene, in its pixels.",
            rich_help_panel=opt.AREA,
        ),
    ] = None,
    bounds: opt.Bounds = None,
    max_side: Annotated[
        int,
        typer.Option(
            "--max-side",
            min=64,
            max=16384,
            metavar="PX",
            help="Longest side of the picture in pixels.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = 2048,
    preview_format: search.PreviewFormat = "jpeg",
    only_with_objects: search.OnlyWithObjects = False,
    min_score: vec.MinScore = 0.0,
    score_field: vec.ScoreField = None,
    bands: vec.ShownBands = None,
    on_error: opt.OnError = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Draw detections over a scene, or a part of it, as a map with a legend.

    A scale bar and an arrow to true north are drawn where the scene has a CRS. PDF and SVG hold
    boxes, outlines and texts as vectors.

    Objects are boxes, or dots where boxes would be too small. Where dots would run together, a
    shading shows their density.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    corners, crs = opt.parse_bounds(bounds)
    part = _parse_window(window, has_bounds=corners is not None)
    from geodet.config.reading_config import ReadingConfig
    from geodet.previews.picture_options import PictureOptions, is_picture_folder

    output = Path(typed_output)
    if is_picture_folder(typed_output):
        given = {"--outline": outlines, "--title": title, "--window": window, "--bounds": bounds}
        _refuse_for_folder(given)
        options = PictureOptions(preview_format, only_with_objects, max_side)
        about = {
            "bands": opt.parse_bands(bands) or (),
            "limits": ReadingConfig(on_error=on_error or "stop"),
        }
        chosen = {"min_score": min_score, "score_field": score_field, "overwrite": overwrite}
        _draw_folder(scene, detections, output, options, as_json=as_json, **about, **chosen)
        return
    _refuse_for_picture(only_with_objects=only_with_objects, preview_format=preview_format)
    if len(labels or ()) > len(outlines or ()):
        raise typer.BadParameter("more labels than outlines", param_hint="--label")
    _check_paths(scene, detections, outlines or [], output, overwrite=overwrite)
    from geodet.geometry.windows import Window
    from geodet.previews.preview import draw_scene

    report = draw_scene(
        scene,
        detections,
        output,
        window=Window(*part) if part else None,
        bounds=corners,
        bounds_crs=crs,
        bands=opt.parse_bands(bands) or (),
        min_score=min_score,
        score_field=score_field,
        max_side=max_side,
        heading=title,
        outlines=_pair_outlines(outlines or [], labels or []),
        on_error=on_error or "stop",
        overwrite=overwrite,
    )
    print_json(report) if as_json else _print(report)


def _refuse_for_folder(given: Mapping[str, object]) -> None:
    """Refuse options that only a single picture has, where their values are not empty."""
    for option, value in given.items():
        if value:
            raise typer.BadParameter("cannot be used with a folder of pictures", param_hint=option)


def _refuse_for_picture(*, only_with_objects: bool, preview_format: str) -> None:
    """Refuse options that only a folder of pictures has."""
    if only_with_objects or preview_format != "jpeg":
        name = "--only-with-objects" if only_with_objects else "--preview-format"
        raise typer.BadParameter("needs a folder of pictures: -o FOLDER/", param_hint=name)


def _check_paths(
    scene: str, detections: Path | None, outlines: list[str], output: Path, *, overwrite: bool
) -> None:
    """Check that the inputs exist and the picture can be written, before slow imports."""
    from geodet.files.outputs import check_destination
    from geodet.raster.reach import announce_reach
    from geodet.raster.scene_lists import check_scene_exists
    from geodet.vector.formats import check_vector_exists

    check_destination(output, _PICTURES, overwrite=overwrite)
    check_scene_exists(scene)
    announce_reach([scene])
    if detections is not None:
        check_vector_exists(detections)
    for outline in outlines:
        check_vector_exists(outline)


def _pair_outlines(outlines: list[str], labels: list[str]) -> list[OutlineLayer]:
    """Pair each file of outlines with its label; the last ones may have none."""
    from geodet.previews.map_outlines import OutlineLayer

    pairs = zip_longest(outlines, labels, fillvalue="")
    return [OutlineLayer(path, label) for path, label in pairs]


def _print(report: PreviewReport) -> None:
    from geodet.documents.values import counted

    typer.echo(f"{report.output}: {counted(sum(report.labels.values()), 'object')}")


def _draw_folder(
    scene: str,
    detections: Path | None,
    folder: Path,
    options: PictureOptions,
    *,
    as_json: bool,
    **more: Any,
) -> None:
    """Draw a picture of each scene or tile, and print how many."""
    if detections is None:
        raise typer.BadParameter("name the detections to draw", param_hint="DETECTIONS")
    from geodet.vector.formats import check_vector_exists

    check_vector_exists(detections)
    from geodet.detection.previewed_scenes import draw_scenes
    from geodet.documents.values import counted

    report = draw_scenes([scene], detections, folder, options, **more)
    if as_json:
        print_json(report)
        return
    typer.echo(f"{folder}: {counted(len(report.pictures), 'picture')}")


def _parse_window(text: str | None, *, has_bounds: bool) -> tuple[int, ...]:
    """Parse columns and rows of a window; empty without a text."""
    if text is None:
        return ()
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise typer.BadParameter(
            f"{text!r} is not four numbers separated by commas", param_hint="--window"
        )
    if has_bounds:
        raise typer.BadParameter("give --window or --bounds, but not both", param_hint="--window")
    if not (all(map(float.is_integer, numbers)) and min(numbers[2:]) > 0):
        raise typer.BadParameter(f"{text!r} is not a window of whole pixels", param_hint="--window")
    return tuple(map(int, numbers))
