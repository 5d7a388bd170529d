"""A first look at scenes, by a small part of their pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geodet.errors import SceneError
from geodet.geometry.arrays import Floats
from geodet.geometry.windows import Window
from geodet.raster.scene import Chip, Scene
from geodet.vector.regions import Region

__all__ = ["Survey", "iter_samples", "survey_chips"]

_PLACES, _SIDE = 12, 16  # windows along each axis at most, and their side in pixels
_FAILURES = 8  # a server that is gone would let each window wait
_PERCENTILES = (0.5, 99.5)  # what lies beyond are glints, clouds and broken pixels
_COMMON = 0.005  # of the pixels
_FAR = 4.0  # times the range of all others
_ABSURD = 1e30
_ROUNDING = 1e-6  # of a mean


@dataclass(frozen=True, slots=True)
class Survey:
    """What scenes hold, as far as a first look tells, without fill and outliers."""

    empty_share: float
    """Share of the pixels without data, in [0, 1]."""
    black_share: float
    """Share of the pixels with data that are 0 in all bands, in [0, 1] of all pixels."""
    mean: Floats
    """(C,) means of the bands; (0,) where nothing has data."""
    std: Floats
    """(C,) standard deviations likewise, 0 where a band has no contrast."""
    correlation: float
    """Of neighbouring pixels, 1 in a smooth picture, 0 in mere noise; NaN where none has one."""


class _Band(NamedTuple):
    mean: float
    std: float
    low: float
    high: float


def iter_samples(scene: Scene, region: Region | None = None) -> Iterator[Chip]:
    """Yield small windows that are spread evenly; what cannot be read is left out.

    Args:
        scene: On the grid that a model sees.
        region: Where to look, in the scene's own pixels; None: everywhere.
    """
    failures = 0
    for window in _places(scene, region):
        try:
            chip = scene.read(window)
        except SceneError:  # detection will say so, if it ever gets there
            failures += 1
            if failures == _FAILURES:
                return
        else:
            yield chip


def survey_chips(chips: Iterable[Chip]) -> Survey:
    """Look at all pixels of some chips.

    Args:
        chips: All with the same bands.
    """
    some = list(chips)
    if not some:
        return Survey(0.0, 0.0, np.zeros(0), np.zeros(0), math.nan)
    empty = 1.0 - np.concatenate([chip.valid.ravel() for chip in some]).mean()
    values = np.concatenate([chip.pixels[:, chip.valid] for chip in some], axis=1)
    if not values.size:
        return Survey(1.0, 0.0, np.zeros(0), np.zeros(0), math.nan)
    is_black = (values == 0).all(axis=0)
    black = is_black.mean() * (1 - empty)
    shown = values if is_black.all() else values[:, ~is_black]
    bands = [_statistics(band.astype(np.float64)) for band in shown]
    mean, std = np.array([band.mean for band in bands]), np.array([band.std for band in bands])
    if np.isnan(mean).all():
        mean = std = np.zeros(0)  # all is fill
    likeness = [_correlation(some, n, band) for n, band in enumerate(bands) if band.std > 0]
    correlation = float(np.mean(likeness)) if likeness else math.nan
    return Survey(float(empty), float(black), mean, std, correlation)


def _places(scene: Scene, region: Region | None) -> Sequence[Window]:
    """Place windows in the middle of equal parts of the scene, or of the region's extent."""
    width, height = scene.grid
    if region is None:
        return list(_spread((0, 0, width, height)))
    sx, sy = scene.scale
    region = region.scaled(1 / sx, 1 / sy)
    x1, y1, x2, y2 = region.bounds
    left, top = min(max(int(x1), 0), width - 1), min(max(int(y1), 0), height - 1)
    right, bottom = (
        max(min(math.ceil(x2), width), left + 1),
        max(min(math.ceil(y2), height), top + 1),
    )
    everywhere = list(_spread((left, top, right, bottom)))
    return [window for window in everywhere if region.touches(window)] or everywhere


def _spread(extent: tuple[int, int, int, int]) -> Iterator[Window]:
    left, top, right, bottom = extent
    for row, down in _starts(bottom - top):
        for column, across in _starts(right - left):
            yield Window(left + column, top + row, across, down)


def _starts(length: int) -> list[tuple[int, int]]:
    """Give the start and the length of the windows along an axis."""
    side = min(_SIDE, length)
    count = min(_PLACES, -(-length // side))
    starts = (int((n + 0.5) * length / count - side / 2) for n in range(count))
    return [(min(max(start, 0), length - side), side) for start in starts]


def _statistics(band: Floats) -> _Band:
    """Give mean, deviation and percentiles of (N,) values, without fill that is not declared.

    Fill is a common value at either end, far from all others; there may be several.
    """
    rest = band[np.abs(band) < _ABSURD]  # NaN is not
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
    return bool(abs(value - middle) > _FAR * max(high - low, _ROUNDING * abs(middle)))


def _correlation(chips: Sequence[Chip], number: int, about: _Band) -> float:
    """Correlate neighbours in a row, of one band, where both lie between the percentiles."""
    total, count = 0.0, 0
    for chip in chips:
        band = chip.pixels[number].astype(np.float64)
        seen = chip.valid & (band >= about.low) & (band <= about.high)
        steps = np.diff(band, axis=1)[seen[:, 1:] & seen[:, :-1]]
        total, count = total + float(steps @ steps), count + len(steps)
    return 1 - total / count / (2 * about.std**2) if count else 1.0
