"""Draw detections over a scene, or over a part of it, as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodet.errors import ConfigError
from geodet.geobox import GeoBox
from geodet.outputs import check_destination
from geodet.preview import draw_preview
from geodet.scene import Scene
from geodet.vector_objects import read_objects
from geodet.windows import Window

__all__ = ["DrawReport", "draw"]


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
        bounds: xmin, ymin, xmax, ymax of the part to show, in the scene's CRS, instead.
        bands: Bands of the scene that are red, green and blue.
        min_score: Objects with lower scores are left out.
        score_field: Attribute with the score; None: ``score``, if any; empty: all are equally sure.
        max_side: Longest side of the image in pixels, without its footer.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ConfigError: The part lies outside of the scene.
        OutputError: The output is there already or cannot be written.
        SceneError: The scene cannot be read.
        VectorError: The detections cannot be read.
    """
    check_destination(output, (".png",), overwrite=overwrite)
    with Scene(scene, bands=bands) as raster:
        part = _choose_window(raster.geobox, window, bounds)
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
        part = part or Window(0, 0, raster.geobox.width, raster.geobox.height)
    x, y = shown.centres.T
    inside = (x >= part.col_off) & (x <= part.col_end) & (y >= part.row_off) & (y <= part.row_end)
    counts = np.bincount(shown.labels[inside], minlength=len(objects.classes)).tolist()
    return DrawReport(output, part, dict(zip(objects.classes, counts, strict=True)))


def _choose_window(
    geobox: GeoBox, window: Window | None, bounds: Sequence[float] | None
) -> Window | None:
    """Give the part of a raster to show, None for all of it."""
    if window is not None and bounds is not None:
        raise ConfigError("a window and bounds are two parts", hint="give one of them")
    if window is not None:
        sides = (window.col_off, window.row_off, window.col_end, window.row_end)
        return _cut(geobox, *sides, text=str(window))
    if bounds is None:
        return None
    xmin, ymin, xmax, ymax = bounds
    if not (xmin < xmax and ymin < ymax and np.isfinite(bounds).all()):
        raise ConfigError(
            f"bounds {xmin:g},{ymin:g},{xmax:g},{ymax:g} hold no ground",
            hint="give xmin,ymin,xmax,ymax in the scene's CRS",
        )
    corners = np.array([[xmin, ymin], [xmin, ymax], [xmax, ymin], [xmax, ymax]])
    pixels = geobox.to_pixels(corners)
    sides = (*np.floor(pixels.min(axis=0) + 1e-6), *np.ceil(pixels.max(axis=0) - 1e-6))
    return _cut(geobox, *sides, text=f"bounds {xmin:g},{ymin:g},{xmax:g},{ymax:g}")


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
