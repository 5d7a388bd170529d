"""Draw detections over a scene, or over a part of it, as a picture."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from geodet.config.reading_config import ReadingConfig
from geodet.errors import ConfigError
from geodet.files.outputs import check_apart, check_destination, replacing
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.previews.footer import ClassCount, ScaleBar, density_text, with_footer
from geodet.previews.marks import draw_density, draw_objects, is_crowded, is_dot
from geodet.previews.views import SceneView, read_objects, read_view, to_image
from geodet.raster.bands import choose_bands
from geodet.raster.scene import Scene
from geodet.vector.area_of_interest import aoi_of_bounds
from geodet.vector.formats import path_of
from geodet.vector.palette import class_colour

__all__ = ["PreviewReport", "draw_preview", "draw_scene", "select_colours"]

_COLOURS = ("red", "green", "blue")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """What a picture shows.

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
    detections: Path,
    output: Path,
    *,
    window: Window | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    bands: Sequence[int | str] = (),
    min_score: float = 0.0,
    score_field: str | None = None,
    max_side: int = 2048,
    on_error: Literal["stop", "skip"] = "stop",
    overwrite: bool = False,
) -> PreviewReport:
    """Draw the objects of a vector file over a scene into a PNG, with a legend and a scale bar.

    Args:
        scene: A raster, anything that GDAL opens.
        detections: A vector file with points or polygons in any CRS, written by detect or by
            another program. Its ``label`` and ``score`` are used if it has them.
        output: Ends in ``.png``.
        window: Part of the scene to draw, in the scene's pixels, clipped to the scene.
        bounds: Part of the scene to draw as xmin, ymin, xmax, ymax, in place of ``window``.
        bounds_crs: CRS of the bounds, such as ``EPSG:4326``; None: the CRS of the scene.
        bands: Bands of the scene to draw as red, green and blue; empty: the bands with these
            meanings, or else the first ones.
        min_score: Lowest score of the objects that are drawn.
        score_field: Attribute with the score; None: ``score`` if there is one; empty: every object
            has score 1.
        max_side: Longest side of the image in pixels, without its footer.
        on_error: What becomes of an area of the scene that cannot be read; skip: it is left blank,
            with a warning.
        overwrite: Replace an existing file.

    Returns:
        The part that was drawn and the number of objects of each class in it.

    Raises:
        ConfigError: The part lies outside of the scene, or both a window and bounds are given.
        OutputError: The output exists, cannot be written, or is one of the inputs.
        SceneError: The scene cannot be read.
        VectorError: The detections cannot be read.
    """
    check_destination(output, (".png",), overwrite=overwrite)
    check_apart([output], [Path(scene), Path(path_of(detections))])
    limits = ReadingConfig(on_error=on_error)
    with Scene(scene, bands=bands, limits=limits) as raster:
        select_colours(raster, bands)
        whole = Window(0, 0, raster.geobox.width, raster.geobox.height)
        part = _choose_window(raster.geobox, window, bounds, bounds_crs)
        objects = read_objects(detections, raster, score_field=score_field)
        shown = objects.detections.select(objects.detections.scores >= np.float32(min_score))
        draw_preview(
            output,
            raster,
            shown,
            objects.classes,
            window=part,
            max_side=max_side,
            overwrite=overwrite,
        )
        if blank := raster.unreadable.meeting([part or whole]):
            logger.warning(
                "%s: areas that cannot be read and are left blank: %d", scene, len(blank)
            )
    if len(objects.detections) and not _is_in_window(objects.detections, whole).any():
        logger.warning(
            "none of the %d objects in %s lies in the scene: check the CRS of both",
            len(objects.detections),
            detections,
        )
    part = part or whole
    labels = shown.labels[_is_in_window(shown, part)]
    counts = np.bincount(labels, minlength=len(objects.classes)).tolist()
    return PreviewReport(output, part, dict(zip(objects.classes, counts, strict=True)))


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
    overwrite: bool = False,
) -> None:
    """Draw an open scene or a part of it with its detections, a legend and a scale bar into a PNG.

    The first three bands are red, green and blue, see :func:`select_colours`; a scene with fewer is
    grey. Values that are not uint8 are stretched between their percentiles 2 and 98. A box that
    would be smaller than six pixels is drawn as a dot, and a higher score is more opaque. Where
    dots would run together, a shading shows their density over a darkened image. The colours are
    those of :func:`geodet.vector.palette.class_colour`, as in QGIS.

    Args:
        path: Ends in ``.png``; appears when it is complete.
        scene: Read at the resolution of the picture. Its grid does not matter and stays.
        detections: Boxes in the scene's pixels.
        classes: Names of the classes, by label.
        window: Part of the scene, in the scene's pixels; None: all of it.
        max_side: Longest side of the image in pixels, without its footer. An image of at most
            512 px is enlarged by a whole factor.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The file exists or cannot be written.
        SceneError: The scene cannot be read.
        ValueError: A label has no class, or the window is not within the scene.
    """
    check_destination(path, (".png",), overwrite=overwrite)
    _check_labels(detections, classes)
    view = read_view(scene, window, max_side)
    image = to_image(view.chip, max_side)
    shown = view.place(detections, image.size)
    counts = _count(shown.select(_is_in_image(shown, image.size)), classes)
    remark = _draw(image, shown, scene, view)
    scale = ScaleBar.of(scene, view.width, image.width)
    picture = with_footer(image, scene.name, counts, scale, remark=remark)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _check_labels(detections: Detections, classes: Sequence[str]) -> None:
    wrong = (detections.labels < 0) | (detections.labels >= len(classes))
    if wrong.any():
        raise ValueError(f"label {detections.labels[wrong][0]} of {len(classes)} classes")


def _draw(image: Image.Image, shown: Detections, scene: Scene, view: SceneView) -> str:
    """Draw the objects; return what the legend says of a shading, empty without one."""
    are_dots = is_dot(shown)
    if not is_crowded(shown.select(are_dots), image.size):
        draw_objects(image, shown)
        return ""
    peak = draw_density(image, shown.select(are_dots))
    draw_objects(image, shown.select(~are_dots))
    pixels = (view.width / image.width) * (view.height / image.height)
    return f"brightest: {density_text(peak / pixels, scene.resolution)}"


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


def _choose_window(
    geobox: GeoBox, window: Window | None, bounds: Sequence[float] | None, crs: str | None
) -> Window | None:
    """Return the window of a scene to draw, clipped to the scene; None for all of it."""
    if window is not None and bounds is not None:
        raise ConfigError(
            f"both a window and bounds are given: {window} and {tuple(bounds)}",
            hint="give one of them",
        )
    if window is not None:
        sides = (window.col_off, window.row_off, window.col_end, window.row_end)
        return _clip(geobox, *sides, text=str(window))
    if bounds is None:
        return None
    aoi = aoi_of_bounds(bounds, geobox, crs)
    text = f"bounds {','.join(f'{value:.10g}' for value in bounds)}{f',{crs}' if crs else ''}"
    if not len(aoi.polygons):
        raise ConfigError(
            f"{text} lies outside of the scene", hint=f"check their CRS: {aoi.extents}"
        )
    x1, y1, x2, y2 = shapely.total_bounds(aoi.polygons)
    rounding = 1e-6  # px, by which bounds on the edge of a pixel may lie beyond it
    return _clip(geobox, x1 + rounding, y1 + rounding, x2 - rounding, y2 - rounding, text=text)


def _clip(geobox: GeoBox, x1: float, y1: float, x2: float, y2: float, *, text: str) -> Window:
    """Return the window of whole pixels that covers a part, clipped to the scene."""
    x1, y1 = max(math.floor(x1), 0), max(math.floor(y1), 0)
    x2, y2 = min(math.ceil(x2), geobox.width), min(math.ceil(y2), geobox.height)
    if x1 >= x2 or y1 >= y2:
        left, bottom, right, top = _world_bounds(geobox)
        raise ConfigError(
            f"{text} lies outside of the scene",
            hint=f"the scene has {geobox.width} x {geobox.height} px and the bounds "
            f"{left:.10g},{bottom:.10g},{right:.10g},{top:.10g}",
        )
    return Window(int(x1), int(y1), int(x2 - x1), int(y2 - y1))


def _world_bounds(geobox: GeoBox) -> tuple[float, float, float, float]:
    """Return xmin, ymin, xmax, ymax of a scene."""
    w, h = geobox.width, geobox.height
    world = geobox.to_world(np.array([[0.0, 0], [w, 0], [0, h], [w, h]]))
    return (*world.min(axis=0).tolist(), *world.max(axis=0).tolist())
