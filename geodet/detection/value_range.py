"""The values of a scene: how they are distributed, and which count as dark and bright."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodet.config import DetectConfig
from geodet.errors import SceneError
from geodet.geometry.arrays import Floats
from geodet.geometry.windows import Window
from geodet.models.description import ModelDescription
from geodet.models.input_values import InputValues, trained_bounds
from geodet.raster.scene import Chip, Scene
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = [
    "SceneStatistics",
    "describe_range",
    "fit_input_values",
    "input_values",
    "iter_sample_chips",
    "measure_chips",
]

_PLACES, _SIDE = 12, 16  # most windows along each axis, and their side in pixels
_FAILURES = 8  # reading stops then: each window would wait for a server that does not answer
_PERCENTILES = (0.5, 99.5)  # values beyond are glints, clouds and broken pixels
_COMMON = 0.005  # share of the pixels from which a value may be fill
_FAR_FROM_MIDDLE = 4.0  # fill is so many times the range of all other values away from them
_ABSURD = 1e30  # no measurement is larger
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


def iter_sample_chips(scene: Scene, aoi: AreaOfInterest | None = None) -> Iterator[Chip]:
    """Yield the chips of small windows that are spread evenly; unreadable ones are left out.

    Args:
        scene: A scene on the grid that a model sees.
        aoi: Area of interest in the scene's own pixels; None: all of the scene.
    """
    failures = 0
    for window in _places(scene, aoi):
        try:
            chip = scene.read(window)
        except SceneError:  # detection raises it when it reads the window
            failures += 1
            if failures == _FAILURES:
                return
        else:
            yield chip


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


logger = logging.getLogger(__name__)

_MOSTLY = 0.5  # share of the pixels
# Outside of these many objects are missed: see "What a scene of other values costs" in the
# benchmark notes.
_FLAT, _RICH = 0.5, 2.5  # times the contrast of the training images
_FAR = 2.0  # standard deviations of the training images between the means
_NOISE = 0.3  # correlation of neighbouring pixels: that of imagery is at least 0.7


def input_values(
    about: ModelDescription, value_range: tuple[float, float] | None = None
) -> InputValues:
    """Return the input statistics for scenes of a value range.

    Mapping the range to the model's and then standardising is one affine map, so the statistics
    are mapped instead of the pixels. Values beyond the range are clipped.

    Args:
        about: The model.
        value_range: Scene values that become the model's lowest and highest; None: those of the
            model itself.
    """
    if value_range is None:
        bounds = trained_bounds(about.dtype, about.low, about.high)
        return InputValues(about.mean, about.std, *bounds)
    (start, end), (lows, highs) = value_range, _ends(about)
    gains = (end - start) / np.maximum(highs - lows, 1e-6)
    mean = start + (np.array(about.mean) - lows) * gains
    std = np.array(about.std) * gains
    return InputValues(mean.tolist(), std.tolist(), [start] * len(mean), [end] * len(mean))


def fit_input_values(
    seen: SceneStatistics, name: str, dtype: str, about: ModelDescription, config: DetectConfig
) -> InputValues | None:
    """Choose input statistics that give scenes the mean and contrast of the training images.

    Scenes of the model's data type get one gain and one offset, so that colours are kept; scenes of
    another type get them band by band, as raw imagery has a gain and an offset for each band. With
    ``value_range="scene"`` that is always done; without a range, where values of another type
    cannot be what the model was trained on. Logs the choice, and warns of scenes that are mostly
    empty or far from the training images.

    Args:
        seen: Statistics of the scenes.
        name: Name of the scenes, for messages.
        dtype: Data type of the scenes, as numpy names it.
        about: The model.
        config: ``value_range``.

    Returns:
        The input statistics; None: those that :func:`input_values` returns.
    """
    _report_emptiness(seen, name)
    if not len(seen.mean):
        return None
    if isinstance(config.value_range, tuple):
        _check_range(seen, name, config.value_range)
        return None
    is_asked, is_other = config.value_range is not None, dtype != about.dtype
    if not is_asked and not _is_far(seen, about):
        return None
    if not seen.std.any() or seen.correlation < _NOISE:
        if is_asked or is_other:
            logger.warning("%s shows nothing but noise: its values are used as they are", name)
        return None
    if not is_asked and not is_other:
        _report_distance(seen, name, about)
        return None
    values = _matched(seen, about, by_band=is_other)
    if is_asked:
        logger.info("%s: %s count as dark to bright", name, describe_range(values, about))
    else:
        logger.warning(
            "%s: %s values, while %s was trained on %s: %s count as dark to bright; choose "
            "others with --set detect.value_range=[DARK,BRIGHT]",
            name,
            dtype,
            about.name,
            about.dtype,
            describe_range(values, about),
        )
    return values


def describe_range(values: InputValues, about: ModelDescription) -> str:
    """Describe the values that count as dark and bright, by band where they differ."""
    ranges = [f"{low:.6g} to {high:.6g}" for low, high in zip(values.low, values.high, strict=True)]
    if len(set(ranges)) == 1:
        return ranges[0]
    return ", ".join(f"{ends} ({band})" for ends, band in zip(ranges, about.bands, strict=True))


def _matched(seen: SceneStatistics, about: ModelDescription, *, by_band: bool) -> InputValues:
    mean, std = np.array(about.mean), np.array(about.std)
    gain = np.full(len(std), _contrast(seen, about))
    offset = np.nanmean(seen.mean) - gain * mean.mean()
    if by_band:
        gain = np.where(seen.std > 0, seen.std / std, gain)
        offset = np.where(np.isfinite(seen.mean), seen.mean - gain * mean, offset)
    lows, highs = (gain * ends + offset for ends in _ends(about))
    parts = (gain * mean + offset, gain * std, lows, highs)
    return InputValues(*(part.tolist() for part in parts))


def _ends(about: ModelDescription) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest value of each band in training."""
    if about.dtype == "uint8":  # training uses all values
        return np.zeros(len(about.mean)), np.full(len(about.mean), 255.0)
    return np.array(about.low), np.array(about.high)


def _contrast(seen: SceneStatistics, about: ModelDescription) -> float:
    """Return the contrast of the scenes as a multiple of the training images'."""
    return float(seen.std.mean() / np.mean(about.std))


def _shift(seen: SceneStatistics, about: ModelDescription) -> float:
    """Return the distance of the means in standard deviations of the training images."""
    return float((np.nanmean(seen.mean) - np.mean(about.mean)) / np.mean(about.std))


def _is_far(seen: SceneStatistics, about: ModelDescription) -> bool:
    """Whether brightness or contrast are far from those of the training images."""
    return not (_FLAT <= _contrast(seen, about) <= _RICH and abs(_shift(seen, about)) <= _FAR)


def _check_range(seen: SceneStatistics, name: str, ends: tuple[float, float]) -> None:
    mean = float(np.nanmean(seen.mean))
    if not ends[0] <= mean <= ends[1]:
        logger.warning(
            "most values of %s are outside of detect.value_range=[%g,%g]: their mean is %.6g",
            name,
            *ends,
            mean,
        )


def _report_distance(seen: SceneStatistics, name: str, about: ModelDescription) -> None:
    logger.warning(
        "%s differs from the training images of %s: its contrast is %.2g times theirs, and its "
        "mean is %.2g of their standard deviations %s; if objects are missed, try "
        "--set detect.value_range=scene",
        name,
        about.name,
        _contrast(seen, about),
        abs(_shift(seen, about)),
        "below" if _shift(seen, about) < 0 else "above",
    )


def _report_emptiness(seen: SceneStatistics, name: str) -> None:
    if seen.empty_share > _MOSTLY:
        logger.warning(
            "more than half of %s has no data: %.0f %% of the sampled pixels",
            name,
            100 * seen.empty_share,
        )
    elif seen.empty_share + seen.black_share > _MOSTLY:
        logger.warning(
            "more than half of %s is 0 in all bands or has no data: %.0f %% of the sampled pixels; "
            "if 0 means no data, declare it with gdal_edit -a_nodata 0",
            name,
            100 * (seen.empty_share + seen.black_share),
        )
