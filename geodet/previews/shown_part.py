"""Choose the part of a scene that a picture shows: a window, or bounds in any CRS."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import shapely

from geodet.errors import ConfigError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.vector.area_of_interest import aoi_of_bounds

__all__ = ["choose_part"]


def choose_part(
    geobox: GeoBox, window: Window | None, bounds: Sequence[float] | None, crs: str | None
) -> Window | None:
    """Return the window of a scene to draw, clipped to the scene; None for all of it.

    Args:
        geobox: The scene's.
        window: The part, in the scene's pixels.
        bounds: The part as xmin, ymin, xmax, ymax, in place of a window.
        crs: CRS of the bounds; None: that of the scene.

    Raises:
        ConfigError: The part lies outside of the scene, or both are given.
    """
    if window is not None and bounds is not None:
        raise ConfigError(
            f"both are given: {window} and bounds {_typed(bounds)}",
            hint="give one of them",
        )
    if window is not None:
        sides = (window.col_off, window.row_off, window.col_end, window.row_end)
        return _clip(geobox, *sides, text=str(window))
    if bounds is None:
        return None
    aoi = aoi_of_bounds(bounds, geobox, crs)
    text = f"bounds {_typed(bounds)}{f',{crs}' if crs else ''}"
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


def _typed(numbers: Iterable[float]) -> str:
    """Write numbers as they are typed on the command line."""
    return ",".join(f"{number:.10g}" for number in numbers)


def _world_bounds(geobox: GeoBox) -> tuple[float, float, float, float]:
    """Return xmin, ymin, xmax, ymax of a scene."""
    w, h = geobox.width, geobox.height
    world = geobox.to_world(np.array([[0.0, 0], [w, 0], [0, h], [w, h]]))
    return (*world.min(axis=0).tolist(), *world.max(axis=0).tolist())
