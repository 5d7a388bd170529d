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

from geodet.boxes import Detections
from geodet.errors import ConfigError
from geodet.geobox import GeoBox
from geodet.outputs import check_apart, check_destination
from geodet.preview import draw_preview, open_in_colour
from geodet.regions import region_of_bounds
from geodet.vector_files import path_of
from geodet.vector_objects import read_objects
from geodet.windows import Window

__all__ = ["DrawReport", "draw"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DrawReport:
    """What a picture shows."""

    output: Path
    """The picture."""
    window: Window
    """The part of the scene, in its own pixels."""
    labels: dict[str, int]
    """Objects by class, of those whose centre is in the window."""


def draw(
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
) -> DrawReport:
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
    if len(objects.detections) and not _is_within(objects.detections, whole).any():
        logger.warning(
            "none of the %d objects in %s lies in the scene: check the CRS of both",
            len(objects.detections),
            detections,
        )
    part = part or whole
    labels = shown.labels[_is_within(shown, part)]
    counts = np.bincount(labels, minlength=len(objects.classes)).tolist()
    return DrawReport(output, part, dict(zip(objects.classes, counts, strict=True)))


def _is_within(found: Detections, part: Window) -> NDArray[np.bool_]:
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
