"""Draw detections over a scene, or over a part of it, as a picture."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from geodet.errors import ConfigError
from geodet.files.outputs import check_apart, check_destination, replacing
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.previews.footer import ClassCount, ScaleBar, with_footer
from geodet.previews.marks import draw_density, draw_objects, is_crowded, is_dot
from geodet.previews.scene_objects import read_objects
from geodet.previews.views import SceneView, read_view, to_image
from geodet.raster.bands import choose_bands
from geodet.raster.scene import Scene
from geodet.vector.formats import path_of
from geodet.vector.palette import class_colour
from geodet.vector.regions import region_of_bounds

__all__ = ["PreviewReport", "draw_preview", "draw_scene", "open_in_colour"]

_COLOURS = ("red", "green", "blue")


def open_in_colour(path: str | Path, bands: Sequence[int | str] = ()) -> Scene:
    """Open a scene with the bands that a picture shows.

    Args:
        path: A raster.
        bands: Bands that are red, green and blue; empty: those that say so, or else the first ones.

    Raises:
        SceneError: The scene cannot be opened, or lacks a band.
    """
    with Scene(path, bands=bands) as scene:
        places = () if bands else choose_bands(_COLOURS, scene.band_meanings)
        chosen = tuple(scene.bands[place] for place in places)
    return Scene(path, bands=chosen or bands)


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
    """Draw a scene or a part of it with its detections, a legend and a scale bar into a PNG.

    The first three bands are red, green and blue, a single one is grey; values that are not uint8
    are stretched between their percentiles 2 and 98. Boxes that would be smaller than six pixels
    are dots, and stronger detections are more opaque. Where dots would run together, a shading
    shows how many there are, over an image that is darkened for it. Colours are those of
    :func:`geodet.vector.palette.class_colour`, as in QGIS.

    Args:
        path: Ends in ``.png``; appears only when complete.
        scene: Read at the resolution of the picture.
        detections: Boxes in the scene's own pixels.
        classes: Names of the classes, by label.
        window: The part of the scene, in its own pixels; None: all of it.
        max_side: Longest side of the image in pixels, without its footer. Images of less than half
            of 1024 px are enlarged.
        overwrite: Whether an existing file may be replaced.

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
    counts = _count(shown.select(_is_within(shown, image.size)), classes)
    remark = _draw(image, shown, scene, view)
    scale = ScaleBar.of(scene, view.width, image.width)
    picture = with_footer(image, scene.name, counts, scale, remark=remark)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _is_within(shown: Detections, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which objects have their centre in the image, edges included: (N,)."""
    inside = (shown.centres >= 0) & (shown.centres <= size)
    return np.asarray(inside.all(axis=1), np.bool_)


def _count(shown: Detections, classes: Sequence[str]) -> list[ClassCount]:
    """Count the objects of each class that occurs, with its colour."""
    counts = np.bincount(shown.labels, minlength=len(classes)).tolist()
    return [
        ClassCount(classes[label], count, class_colour(label))
        for label, count in enumerate(counts)
        if count
    ]


def _check_labels(detections: Detections, classes: Sequence[str]) -> None:
    wrong = (detections.labels < 0) | (detections.labels >= len(classes))
    if wrong.any():
        raise ValueError(f"label {detections.labels[wrong][0]} of {len(classes)} classes")


def _draw(image: Image.Image, shown: Detections, scene: Scene, view: SceneView) -> str:
    """Draw the objects, and say what a shading means."""
    are_dots = is_dot(shown)
    if not is_crowded(shown.select(are_dots), image.size):
        draw_objects(image, shown)
        return ""
    peak = draw_density(image, shown.select(are_dots))
    draw_objects(image, shown.select(~are_dots))
    pixels = (view.width / image.width) * (view.height / image.height)
    return f"brightest: {_density_text(peak / pixels, scene.resolution)}"


def _density_text(per_pixel: float, resolution: tuple[float, float] | None) -> str:
    """Write how many objects there are, in an area that holds some."""
    if resolution is None:
        return f"{_two_digits(per_pixel * 1e4)} in 100 x 100 px"
    per_m2 = per_pixel / (resolution[0] * resolution[1])
    wide = per_m2 < 2e-4
    return f"{_two_digits(per_m2 * 1e6)} per km²" if wide else f"{_two_digits(per_m2 * 1e4)} per ha"


def _two_digits(number: float) -> str:
    """Round to two digits, with commas for the thousands."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """What a picture shows."""

    output: Path
    """The picture."""
    window: Window
    """The part of the scene, in its own pixels."""
    labels: dict[str, int]
    """Objects by class, of those whose centre is in the window."""


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
    overwrite: bool = False,
) -> PreviewReport:
    """Draw the objects of a vector file over a scene into a PNG, with a legend and a scale bar.

    Args:
        scene: A raster, anything that GDAL opens.
        detections: A vector file with points or polygons in any CRS, as detect writes it or of
            another program; ``label`` and ``score`` are used where it has them.
        output: Ends in ``.png``.
        window: The part of the scene to show, in its own pixels; what lies beyond its edges is cut.
        bounds: xmin, ymin, xmax, ymax of the part to show, instead.
        bounds_crs: What they are in, such as ``EPSG:4326``; None: in the CRS of the scene.
        bands: Bands of the scene that are red, green and blue; empty: those that say so, or else
            the first ones.
        min_score: Objects with lower scores are left out.
        score_field: Attribute with the score; None: ``score``, if any; empty: all are equally sure.
        max_side: Longest side of the image in pixels, without its footer.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ConfigError: The part lies outside of the scene.
        OutputError: The output is there already or cannot be written, or is what is read.
        SceneError: The scene cannot be read.
        VectorError: The detections cannot be read.
    """
    check_destination(output, (".png",), overwrite=overwrite)
    check_apart([output], [Path(scene), Path(path_of(detections))])
    with open_in_colour(scene, bands) as raster:
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
        whole = Window(0, 0, raster.geobox.width, raster.geobox.height)
    if len(objects.detections) and not _is_within_part(objects.detections, whole).any():
        logger.warning(
            "none of the %d objects in %s lies in the scene: check the CRS of both",
            len(objects.detections),
            detections,
        )
    part = part or whole
    labels = shown.labels[_is_within_part(shown, part)]
    counts = np.bincount(labels, minlength=len(objects.classes)).tolist()
    return PreviewReport(output, part, dict(zip(objects.classes, counts, strict=True)))


def _is_within_part(found: Detections, part: Window) -> NDArray[np.bool_]:
    """Tell which objects have their centre in a part of a raster, edges included: (N,)."""
    x, y = found.centres.T
    columns = (x >= part.col_off) & (x <= part.col_end)
    return np.asarray(columns & (y >= part.row_off) & (y <= part.row_end), np.bool_)


def _choose_window(
    geobox: GeoBox, window: Window | None, bounds: Sequence[float] | None, crs: str | None
) -> Window | None:
    """Give the part of a raster to show, None for all of it."""
    if window is not None and bounds is not None:
        raise ConfigError("a window and bounds are two parts", hint="give one of them")
    if window is not None:
        sides = (window.col_off, window.row_off, window.col_end, window.row_end)
        return _cut(geobox, *sides, text=str(window))
    if bounds is None:
        return None
    region = region_of_bounds(bounds, geobox, crs)
    text = f"bounds {','.join(f'{value:.10g}' for value in bounds)}{f',{crs}' if crs else ''}"
    if not len(region.polygons):
        raise ConfigError(
            f"{text} lies outside of the scene", hint=f"check their CRS: {region.extents}"
        )
    x1, y1, x2, y2 = shapely.total_bounds(region.polygons)
    return _cut(geobox, x1 + 1e-6, y1 + 1e-6, x2 - 1e-6, y2 - 1e-6, text=text)


def _cut(geobox: GeoBox, x1: float, y1: float, x2: float, y2: float, *, text: str) -> Window:
    """Cut a part at the edges of a raster."""
    x1, y1 = max(math.floor(x1), 0), max(math.floor(y1), 0)
    x2, y2 = min(math.ceil(x2), geobox.width), min(math.ceil(y2), geobox.height)
    if x1 >= x2 or y1 >= y2:
        left, bottom, right, top = _bounds(geobox)
        raise ConfigError(
            f"{text} lies outside of the scene",
            hint=f"it has {geobox.width} x {geobox.height} px and the bounds "
            f"{left:.10g},{bottom:.10g},{right:.10g},{top:.10g}",
        )
    return Window(int(x1), int(y1), int(x2 - x1), int(y2 - y1))


def _bounds(geobox: GeoBox) -> tuple[float, float, float, float]:
    """Give xmin, ymin, xmax, ymax of a raster."""
    w, h = geobox.width, geobox.height
    world = geobox.to_world(np.array([[0.0, 0], [w, 0], [0, h], [w, h]]))
    return (*world.min(axis=0).tolist(), *world.max(axis=0).tolist())
