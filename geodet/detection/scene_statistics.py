"""Statistics of a scene's values, from small windows spread over it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geodet.detection.ahead import map_ahead
from geodet.errors import SceneError
from geodet.geometry.arrays import Floats
from geodet.geometry.windows import Window
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["SceneStatistics", "iter_sample_chips", "measure_chips"]

_PLACES, _SIDE = 12, 16  # most windows along each axis, and their side in pixels
_FAILURES = 8  # reading stops then: each window would wait for a server that does not answer
_PERCENTILES = (0.5, 99.5)  # values beyond are glints, clouds and broken pixels
_COMMON = 0.005  # share of the pixels from which a value may be fill
_FAR_FROM_MIDDLE = 4.0  # fill is farther from the median, in ranges of all other values
_LARGEST = 1e30  # no measurement is larger
_ROUNDING = 1e-6  # of a mean; smaller deviations are rounding errors


@dataclass(frozen=True, slots=True)
class SceneStatistics:
    """Statistics of a sample of scenes, without fill and outliers."""

    empty_share: float
    """Share of the pixels that have no data, in [0, 1]."""
    black_share: float
    """Share of the pixels that have data and are 0 in all bands, in [0, 1]."""
    mean: Floats
    """(C,) means of the bands; (0,) if no pixel has data."""
    std: Floats
    """(C,) standard deviations, 0 where a band has no contrast; (0,) if no pixel has data."""
    correlation: float
    """Correlation of neighbouring pixels: 1 in a smooth image, 0 in noise; NaN if undefined."""


class _Band(NamedTuple):
    mean: float
    std: float
    low: float
    high: float


def iter_sample_chips(
    scene: Scene, aoi: AreaOfInterest | None = None, *, workers: int = 1
) -> Iterator[Chip]:
    """Yield the chips of small windows that are spread evenly; unreadable ones are left out.

    Args:
        scene: A scene on the grid of the pixels that a model gets.
        aoi: Area of interest in the scene's own pixels; None: all of the scene.
        workers: Number of threads that read them.
    """

    def read(window: Window) -> Chip | None:
        with suppress(SceneError):  # detection raises it when it reads the window
            return scene.read_sample(window)
        return None

    places, end = _places(scene, aoi), scene.abandon_reads
    chips = map_ahead(read, places, threads=workers, name="geodet-sample", abandon=end)
    failures = 0
    with closing(chips):
        for chip in chips:
            if chip is not None:
                yield chip
            elif (failures := failures + 1) == _FAILURES:
                return


def measure_chips(chips: Iterable[Chip]) -> SceneStatistics:
    """Compute the statistics of all pixels of some chips.

    Args:
        chips: Chips with the same bands.
    """
    some = list(chips)
    if not some:
        return SceneStatistics(0.0, 0.0, np.zeros(0), np.zeros(0), math.nan)
    empty = 1.0 - np.concatenate([chip.valid.ravel() for chip in some]).mean()
    values = np.concatenate([chip.pixels[:, chip.valid] for chip in some], axis=1)
    if not values.size:
        return SceneStatistics(1.0, 0.0, np.zeros(0), np.zeros(0), math.nan)
    is_black = (values == 0).all(axis=0)
    black = is_black.mean() * (1 - empty)
    shown = values if is_black.all() else values[:, ~is_black]
    bands = [_statistics(band.astype(np.float64)) for band in shown]
    mean, std = np.array([band.mean for band in bands]), np.array([band.std for band in bands])
    if np.isnan(mean).all():
        mean = std = np.zeros(0)  # every value is fill
    likeness = [_correlation(some, n, band) for n, band in enumerate(bands) if band.std > 0]
    correlation = float(np.mean(likeness)) if likeness else math.nan
    return SceneStatistics(float(empty), float(black), mean, std, correlation)


def _places(scene: Scene, aoi: AreaOfInterest | None) -> Sequence[Window]:
    """Place windows at the centres of equal parts of the scene, or of the area's extent."""
    width, height = scene.grid
    if aoi is None:
        return list(_spread((0, 0, width, height)))
    sx, sy = scene.scale
    aoi = aoi.scaled(1 / sx, 1 / sy)
    x1, y1, x2, y2 = aoi.bounds
    left, top = min(max(int(x1), 0), width - 1), min(max(int(y1), 0), height - 1)
    right, bottom = (
        max(min(math.ceil(x2), width), left + 1),
        max(min(math.ceil(y2), height), top + 1),
    )
    everywhere = list(_spread((left, top, right, bottom)))
    return [window for window in everywhere if aoi.touches(window)] or everywhere


def _spread(extent: tuple[int, int, int, int]) -> Iterator[Window]:
    left, top, right, bottom = extent
    for row, down in _starts(bottom - top):
        for column, across in _starts(right - left):
            yield Window(left + column, top + row, across, down)


def _starts(length: int) -> list[tuple[int, int]]:
    """Return start and length of the windows along an axis."""
    side = min(_SIDE, length)
    count = min(_PLACES, -(-length // side))
    starts = (int((n + 0.5) * length / count - side / 2) for n in range(count))
    return [(min(max(start, 0), length - side), side) for start in starts]


def _statistics(band: Floats) -> _Band:
    """Compute mean, deviation and percentiles of (N,) values without undeclared fill.

    Fill is a common lowest or highest value, far from all others. There may be several.
    """
    rest = band[np.abs(band) < _LARGEST]  # drops NaN, too
    while rest.size:
        fill = [end for end in (rest.min(), rest.max()) if _is_fill(end, rest)]
        if not fill:
            break
        rest = rest[~np.isin(rest, fill)]
    if not rest.size:
        return _Band(math.nan, 0.0, math.nan, math.nan)
    low, high = np.percentile(rest, _PERCENTILES)
    rest = rest.clip(low, high)
    mean, std = float(rest.mean()), float(rest.std())
    return _Band(mean, std if std > _ROUNDING * abs(mean) else 0.0, float(low), float(high))


def _is_fill(value: float, values: Floats) -> bool:
    others = values[values != value]
    if not others.size or 1 - others.size / values.size < _COMMON:
        return False
    low, middle, high = np.percentile(others, (_PERCENTILES[0], 50.0, _PERCENTILES[1]))
    return bool(abs(value - middle) > _FAR_FROM_MIDDLE * max(high - low, _ROUNDING * abs(middle)))


def _correlation(chips: Sequence[Chip], number: int, about: _Band) -> float:
    """Correlate neighbours along rows of a band, where both lie between the percentiles."""
    total, count = 0.0, 0
    for chip in chips:
        band = chip.pixels[number].astype(np.float64)
        seen = chip.valid & (band >= about.low) & (band <= about.high)
        steps = np.diff(band, axis=1)[seen[:, 1:] & seen[:, :-1]]
        total, count = total + float(steps @ steps), count + len(steps)
    return 1 - total / count / (2 * about.std**2) if count else 1.0
