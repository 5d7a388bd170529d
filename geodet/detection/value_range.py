"""What the values of a scene mean to a model: which of them are dark, and which are bright."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from geodet.config import DetectConfig
from geodet.detection.scene_statistics import Survey
from geodet.models.description import ModelDescription
from geodet.models.inputs import InputValues, trained_bounds

__all__ = ["fit_values", "in_words", "input_values"]

logger = logging.getLogger(__name__)

_MOSTLY = 0.5  # of the pixels
# Beyond, detections are lost by the dozen: see "What a scene of other values costs" in the
# benchmark notes.
_FLAT, _RICH = 0.5, 2.5  # times the contrast of the training images
_NOISE = 0.3  # correlation of neighbours: that of imagery is at least 0.7
_FAR = 2.0  # of their standard deviations between the means


def input_values(
    about: ModelDescription, value_range: tuple[float, float] | None = None
) -> InputValues:
    """Map a scene's range onto the model's.

    That and then standardising is one affine map, so the statistics are moved instead of the
    pixels. The ends of the range are bounds, as the model's own are.

    Args:
        about: The model.
        value_range: Scene values that become the model's lowest and highest; None: its own.
    """
    if value_range is None:
        bounds = trained_bounds(about.dtype, about.low, about.high)
        return InputValues(about.mean, about.std, *bounds)
    (start, end), (lows, highs) = value_range, _ends(about)
    gains = (end - start) / np.maximum(highs - lows, 1e-6)
    mean = start + (np.array(about.mean) - lows) * gains
    std = np.array(about.std) * gains
    return InputValues(mean.tolist(), std.tolist(), [start] * len(mean), [end] * len(mean))


def fit_values(
    seen: Survey, name: str, dtype: str, about: ModelDescription, config: DetectConfig
) -> InputValues | None:
    """Choose what the values of scenes mean, where the configuration leaves that to them.

    They are given the mean and the contrast of the training images: bytes for a model of bytes with
    one gain and one offset, so that colours stay what they are; values of another type band by
    band, as each has an offset and a gain of its own in raw imagery. Left open, that is done where
    values of another type cannot be what the model was trained on. Says what was done, and warns of
    scenes that are far from what the model knows, or mostly empty.

    Args:
        seen: A look at the scenes.
        name: Of the scenes, for the messages.
        dtype: Their type.
        about: The model.
        config: ``value_range``.

    Returns:
        What to read the scenes with; None: what the configuration says.
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
            logger.warning("%s shows nothing but noise: its values are taken as they are", name)
        return None
    if not is_asked and not is_other:
        _report_distance(seen, name, about)
        return None
    values = _matched(seen, about, by_band=is_other)
    if is_asked:
        logger.info("%s: %s are taken for dark to bright", name, in_words(values, about))
    else:
        logger.warning(
            "%s: %s values, while %s was trained on %s: %s are taken for dark to bright; choose "
            "others with --set detect.value_range=[DARK,BRIGHT]",
            name,
            dtype,
            about.name,
            about.dtype,
            in_words(values, about),
        )
    return values


def in_words(values: InputValues, about: ModelDescription) -> str:
    """Name the values that count as dark and as bright, of each band where they differ."""
    ranges = [f"{low:.6g} to {high:.6g}" for low, high in zip(values.low, values.high, strict=True)]
    if len(set(ranges)) == 1:
        return ranges[0]
    return ", ".join(f"{ends} ({band})" for ends, band in zip(ranges, about.bands, strict=True))


def _matched(seen: Survey, about: ModelDescription, *, by_band: bool) -> InputValues:
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
    """Give the lowest and the highest value of each band."""
    if about.dtype == "uint8":  # training sees all of them
        return np.zeros(len(about.mean)), np.full(len(about.mean), 255.0)
    return np.array(about.low), np.array(about.high)


def _contrast(seen: Survey, about: ModelDescription) -> float:
    return float(seen.std.mean() / np.mean(about.std))


def _shift(seen: Survey, about: ModelDescription) -> float:
    return float((np.nanmean(seen.mean) - np.mean(about.mean)) / np.mean(about.std))


def _is_far(seen: Survey, about: ModelDescription) -> bool:
    """Tell whether scenes are darker, brighter, flatter or richer than what the model knows."""
    return not (_FLAT <= _contrast(seen, about) <= _RICH and abs(_shift(seen, about)) <= _FAR)


def _check_range(seen: Survey, name: str, ends: tuple[float, float]) -> None:
    mean = float(np.nanmean(seen.mean))
    if not ends[0] <= mean <= ends[1]:
        logger.warning(
            "most values of %s lie beyond detect.value_range=[%g,%g]: their mean is %.6g",
            name,
            *ends,
            mean,
        )


def _report_distance(seen: Survey, name: str, about: ModelDescription) -> None:
    logger.warning(
        "%s is not like what %s was trained on: its contrast is %.2g times as large, and its mean "
        "is %.2g of their standard deviations %s; if objects are missed, try "
        "--set detect.value_range=scene",
        name,
        about.name,
        _contrast(seen, about),
        abs(_shift(seen, about)),
        "below" if _shift(seen, about) < 0 else "above",
    )


def _report_emptiness(seen: Survey, name: str) -> None:
    if seen.empty_share > _MOSTLY:
        logger.warning(
            "more than half of %s has no data: %.0f %% of what was looked at",
            name,
            100 * seen.empty_share,
        )
    elif seen.empty_share + seen.black_share > _MOSTLY:
        logger.warning(
            "more than half of %s is 0 in all bands or has no data: %.0f %% of what was looked at; "
            "where 0 means no data, say so with gdal_edit -a_nodata 0",
            name,
            100 * (seen.empty_share + seen.black_share),
        )
