"""A first look at a scene, by a small part of its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from geodet.scene import Chip, Scene
from geodet.windows import Window

__all__ = ["Survey", "iter_samples", "survey", "survey_chips"]

_WHOLE = 1024  # a raster no longer than this is looked at as a whole
_PLACES, _SIDE = 6, 32  # windows along each axis of a larger one, and their side in pixels
_PERCENTILES = (2.0, 98.0)
_PIXELS = 100_000  # enough for percentiles


@dataclass(frozen=True, slots=True)
class Survey:
    """What a scene holds, as far as a first look tells."""

    empty_share: float
    """Share of the pixels without data, in [0, 1]."""
    black_share: float
    """Share of the pixels with data that are 0 in all bands, in [0, 1] of all pixels."""
    low: float
    """The 2nd percentile of all bands; NaN where nothing has data."""
    high: float
    """The 98th percentile likewise."""
    mean: float
    """The mean of all bands where not all of them are 0; NaN where nothing is."""
    std: float
    """The mean of the bands' standard deviations likewise."""


def survey(scene: Scene) -> Survey:
    """Look at a small scene as a whole, and at windows spread over a large one.

    Args:
        scene: On the grid that a model sees.

    Raises:
        SceneError: A window cannot be read.
    """
    return survey_chips(iter_samples(scene))


def survey_chips(chips: Iterable[Chip]) -> Survey:
    """Look at all pixels of some chips.

    Args:
        chips: At least one, all with the same bands.
    """
    some = list(chips)
    empty = 1.0 - np.concatenate([chip.valid.ravel() for chip in some]).mean()
    values = np.concatenate([chip.pixels[:, chip.valid] for chip in some], axis=1)
    if not values.size:
        return Survey(1.0, 0.0, *[math.nan] * 4)
    is_black = (values == 0).all(axis=0)
    every = max(1, values.shape[1] // _PIXELS)
    taken = values[:, ::every].astype(np.float64)
    low, high = np.percentile(taken, _PERCENTILES)
    shown = taken[:, ~is_black[::every]]
    mean, std = (shown.mean(), shown.std(axis=1).mean()) if shown.size else [math.nan] * 2
    black = is_black.mean() * (1 - empty)
    return Survey(float(empty), float(black), float(low), float(high), float(mean), float(std))


def iter_samples(scene: Scene) -> Iterator[Chip]:
    """Yield a small scene as a whole, or windows spread over a large one."""
    width, height = scene.grid
    if max(width, height, scene.geobox.width, scene.geobox.height) <= _WHOLE:
        yield scene.read(Window(0, 0, width, height))
        return
    for row in range(_PLACES):
        for column in range(_PLACES):
            yield scene.read(_spread(width, height, column, row))


def _spread(width: int, height: int, column: int, row: int) -> Window:
    """Place a window in the middle of one of the equal parts of the scene."""
    across, down = min(_SIDE, width), min(_SIDE, height)
    left = int((column + 0.5) * width / _PLACES - across / 2)
    top = int((row + 0.5) * height / _PLACES - down / 2)
    return Window(min(max(left, 0), width - across), min(max(top, 0), height - down), across, down)
