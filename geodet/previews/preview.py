"""Draw detections over a scene, or over a part of it, as a picture."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geodet.config.reading_config import ReadingConfig
from geodet.files.outputs import check_apart, check_destination, replacing
from geodet.files.shown_names import shown_name
from geodet.geometry.boxes import Detections
from geodet.geometry.true_north import north_angle
from geodet.geometry.windows import Window
from geodet.previews.footer import ClassCount, Margin, ScaleBar, density_text, lay_out
from geodet.previews.map_outlines import MapOutlines, OutlineLayer, draw_outlines, read_outlines
from geodet.previews.marks import draw_density, draw_objects, is_crowded, is_dot
from geodet.previews.sheet import Line, Sheet, Words, paint, paint_shapes
from geodet.previews.shown_part import choose_part
from geodet.previews.vector_pictures import VECTOR_SUFFIXES, write_vector_picture
from geodet.previews.views import SceneView, read_objects, read_view, to_image, warn_of_miss
from geodet.raster.bands import choose_bands
from geodet.raster.scene import Scene
from geodet.raster.unplaced import warn_of_unplaced
from geodet.vector.formats import path_of
from geodet.vector.palette import class_colour

__all__ = ["PICTURE_SUFFIXES", "PreviewReport", "draw_preview", "draw_scene", "select_colours"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", *VECTOR_SUFFIXES)
"""Endings of the formats of pictures."""

_COLOURS = ("red", "green", "blue")
_QUALITY = 92  # of JPEG and WebP

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """The contents of a picture.

    Example:
        >>> geodet.preview(scene, labels, folder / "look.png").labels["tree"] > 0
        True
    """

    output: Path
    """The picture."""
    window: Window
    """The part of the scene, in the scene's pixels."""
    labels: dict[str, int]
    """Number of objects of each class whose centre is in the window."""


def draw_scene(
    scene: str | Path,
    detections: Path | None,
    output: Path,
    *,
    window: Window | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    bands: Sequence[int | str] = (),
    min_score: float = 0.0,
    score_field: str | None = None,
    max_side: int = 2048,
    heading: str = "",
    outlines: Sequence[OutlineLayer] = (),
    on_error: Literal["stop", "skip"] = "stop",
    overwrite: bool = False,
) -> PreviewReport:
    """Draw the objects of a vector file over a scene, with a legend, a scale bar and north.

    Args:
        scene: A raster, anything that GDAL opens.
        detections: A vector file with points or polygons in any CRS, written by detect or by
            another program. Its ``label`` and ``score`` are used if it has them. None: no objects.
        output: Ends in one of :data:`PICTURE_SUFFIXES`.
        window: Part of the scene to draw, in the scene's pixels, clipped to the scene.
        bounds: Part of the scene to draw as xmin, ymin, xmax, ymax, in place of ``window``.
        bounds_crs: CRS of the bounds, such as ``EPSG:4326``; None: the CRS of the scene.
        bands: Bands of the scene to draw as red, green and blue; empty: the bands with these
            meanings, or else the first ones.
        min_score: Lowest score of the objects that are drawn.
        score_field: Attribute with the score; None: ``score`` if there is one; empty: every object
            has score 1.
        max_side: Longest side of the image in pixels, without what is written around it.
        heading: Title above the image; empty: none.
        outlines: Polygons to draw over the scene.
        on_error: What becomes of an area of the scene that cannot be read; skip: it is left blank,
            with a warning.
        overwrite: Replace an existing file.

    Returns:
        The part that was drawn and the number of objects of each class in it.

    Raises:
        ConfigError: The part lies outside of the scene, or both a window and bounds are given.
        OutputError: The output exists, cannot be written, or is one of the inputs.
        SceneError: The scene cannot be read.
        VectorError: The detections or the outlines cannot be read.
    """
    check_destination(output, PICTURE_SUFFIXES, overwrite=overwrite)
    vectors = [*([detections] if detections else []), *(layer.path for layer in outlines)]
    check_apart([output], [Path(scene), *(Path(path_of(path)) for path in vectors)])
    limits = ReadingConfig(on_error=on_error)
    with Scene(scene, bands=bands, limits=limits) as raster:
        select_colours(raster, bands)
        whole = Window(0, 0, raster.geobox.width, raster.geobox.height)
        part = choose_part(raster.geobox, window, bounds, bounds_crs)
        found, classes = Detections.empty(), tuple[str, ...]()
        if detections is not None:
            objects = read_objects(detections, raster, score_field=score_field)
            found, classes = objects.detections, objects.classes
            warn_of_miss(detections, found, raster)
        warn_of_unplaced({raster.name: raster.unplaced_crs})
        shown = found.select(found.scores >= np.float32(min_score))
        draw_preview(
            output,
            raster,
            shown,
            classes,
            window=part,
            max_side=max_side,
            heading=heading,
            outlines=[read_outlines(layer, raster) for layer in outlines],
            has_objects=detections is not None,
            overwrite=overwrite,
        )
        if blank := raster.unreadable.meeting([part or whole]):
            logger.warning("%s: areas that cannot be read are left blank: %d", scene, len(blank))
    if len(found) and not _is_in_window(found, whole).any():
        logger.warning(
            "none of the %d objects in %s lies in the scene: check the CRS of both",
            len(found),
            shown_name(detections or ""),
        )
    part = part or whole
    labels = shown.labels[_is_in_window(shown, part)]
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return PreviewReport(output, part, dict(zip(classes, counts, strict=True)))


def select_colours(scene: Scene, bands: Sequence[int | str] = ()) -> None:
    """Select the bands of an open scene that a picture shows.

    Args:
        scene: May have been opened with other bands. From now on it reads those selected here.
        bands: Bands to draw as red, green and blue; empty: the bands with these meanings, or else
            all, of which a picture shows the first ones.

    Raises:
        SceneError: The scene lacks a band.
    """
    scene.select(bands)
    places = () if bands else choose_bands(_COLOURS, scene.band_meanings)
    if places:
        scene.select([scene.bands[place] for place in places])


def draw_preview(
    path: Path,
    scene: Scene,
    detections: Detections,
    classes: Sequence[str],
    *,
    window: Window | None = None,
    max_side: int = 2048,
    heading: str = "",
    outlines: Sequence[MapOutlines] = (),
    has_objects: bool = True,
    overwrite: bool = False,
) -> None:
    """Draw an open scene or a part of it with its detections, a legend, a scale bar and north.

    The first three bands are red, green and blue, see :func:`select_colours`; a scene with fewer is
    grey. Values that are not uint8 are stretched between their percentiles 2 and 98. Boxes of a
    class that would mostly be smaller than six pixels are drawn as dots, and a higher score is more
    opaque. Where dots would run together, a shading shows their density over a darkened image. The
    colours are those of :func:`geodet.vector.palette.class_colour`, as in QGIS.

    Args:
        path: Ends in one of :data:`PICTURE_SUFFIXES`; appears when it is complete. PDF and SVG hold
            the scene as an image, and all else as vectors.
        scene: Read at the resolution of the picture. Its grid does not matter and stays.
        detections: Boxes in the scene's pixels.
        classes: Names of the classes, by label.
        window: Part of the scene, in the scene's pixels; None: all of it.
        max_side: Longest side of the image in pixels, without what is written around it. An image
            of at most 512 px is enlarged by a whole factor.
        heading: Title above the image; empty: none.
        outlines: Polygons over the scene, in its pixels.
        has_objects: Whether the legend counts the objects.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The file exists or cannot be written.
        SceneError: The scene cannot be read.
        ValueError: A label has no class, or the window is not within the scene.
    """
    check_destination(path, PICTURE_SUFFIXES, overwrite=overwrite)
    _check_labels(detections, classes)
    view = read_view(scene, window, max_side)
    image = to_image(view.chip, max_side)
    shown = view.place(detections, image.size)
    counts = _count(shown.select(_is_in_image(shown, image.size)), classes)
    is_vector = path.suffix.lower() in VECTOR_SUFFIXES
    remark, left = _draw(image, shown, scene, view, keeps=is_vector)
    em = min(max(max(image.size) / 64, 13.0), 28.0)
    over, legend = draw_outlines(outlines, view, image.size, em)
    middle = view.left + view.width / 2, view.top + view.height / 2
    sheet = lay_out(
        image.size,
        Margin(
            scene.name,
            counts,
            ScaleBar.of(scene, view.width, image.width),
            remark=remark,
            heading=heading,
            north=north_angle(scene.geobox, middle),
            outlines=legend,
            has_objects=has_objects,
        ),
    )
    with replacing(path) as temporary:
        if is_vector:
            write_vector_picture(temporary, _with_shapes(sheet, over), image, left)
            return
        paint_shapes(image, over)
        options: dict[str, Any] = {"quality": _QUALITY} if path.suffix.lower() != ".png" else {}
        paint(sheet, image).save(temporary, **options)


def _with_shapes(sheet: Sheet, over: Sequence[Line | Words]) -> Sheet:
    """Add shapes over the image, which are in its pixels, to those of a sheet."""
    dx, dy = sheet.image_at
    moved: list[Line | Words] = []
    for shape in over:
        if isinstance(shape, Words):
            moved.append(shape._replace(at=(shape.at[0] + dx, shape.at[1] + dy)))
        else:
            moved.append(shape._replace(points=[(x + dx, y + dy) for x, y in shape.points]))
    return replace(sheet, shapes=[*moved, *sheet.shapes])


def _check_labels(detections: Detections, classes: Sequence[str]) -> None:
    wrong = (detections.labels < 0) | (detections.labels >= len(classes))
    if wrong.any():
        raise ValueError(f"label {detections.labels[wrong][0]} of {len(classes)} classes")


def _draw(
    image: Image.Image, shown: Detections, scene: Scene, view: SceneView, *, keeps: bool
) -> tuple[str, Detections]:
    """Draw the objects, or with ``keeps`` only the shading of those that are crowded.

    Returns:
        What the legend says of a shading, empty without one, and the objects that are not drawn.
    """
    are_dots, remark = is_dot(shown), ""
    if is_crowded(shown.select(are_dots), image.size):
        peak = draw_density(image, shown.select(are_dots))
        shown = shown.select(~are_dots)
        pixels = (view.width / image.width) * (view.height / image.height)
        remark = f"brightest: {density_text(peak / pixels, scene.resolution)}"
    if keeps:
        return remark, shown
    draw_objects(image, shown)
    return remark, Detections.empty()


def _count(shown: Detections, classes: Sequence[str]) -> list[ClassCount]:
    """Count the objects of each class that occurs."""
    counts = np.bincount(shown.labels, minlength=len(classes)).tolist()
    return [
        ClassCount(classes[label], count, class_colour(label))
        for label, count in enumerate(counts)
        if count
    ]


def _is_in_image(shown: Detections, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether the centre of each object is in the image, edges included: (N,)."""
    inside = (shown.centres >= 0) & (shown.centres <= size)
    return np.asarray(inside.all(axis=1), np.bool_)


def _is_in_window(found: Detections, part: Window) -> NDArray[np.bool_]:
    """Whether the centre of each object is in a window, edges included: (N,)."""
    x, y = found.centres.T
    columns = (x >= part.col_off) & (x <= part.col_end)
    return np.asarray(columns & (y >= part.row_off) & (y <= part.row_end), np.bool_)
