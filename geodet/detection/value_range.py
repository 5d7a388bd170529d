"""Choose which values of a scene count as dark and bright, to match the training images."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from geodet.config import DetectConfig
from geodet.detection.scene_statistics import SceneStatistics
from geodet.models.description import ModelDescription
from geodet.models.input_values import InputValues, trained_bounds

__all__ = ["describe_range", "fit_input_values", "input_values"]


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
    ``value_range="scene"`` this is always done; without a range, only for scenes of another type
    whose values are far from the training images. Logs the choice, and warns of scenes that are
    mostly empty or far from the training images.

    Args:
        seen: Statistics of the scenes.
        name: What to call the scenes in messages.
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
            logger.warning("%s contains only noise: its values are not rescaled", name)
        return None
    if not is_asked and not is_other:
        _report_distance(seen, name, about)
        return None
    values = _matched(seen, about, by_band=is_other)
    if is_asked:
        logger.info("%s: the value range %s is used", name, describe_range(values, about))
    else:
        logger.warning(
            "%s: %s values, but %s was trained on %s: the value range %s is used; choose another "
            "with --set detect.value_range=DARK,BRIGHT",
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
            "most values of %s are outside of detect.value_range=%g,%g: their mean is %.6g",
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
