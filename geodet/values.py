"""What the values of a scene mean to a model: which of them are dark, and which are bright."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from geodet.config import DetectConfig
from geodet.models.checkpoint import ModelDescription
from geodet.models.inputs import InputValues, trained_bounds
from geodet.survey import Survey

__all__ = ["fit_values", "input_values"]

logger = logging.getLogger(__name__)

_MOSTLY = 0.5  # of the pixels
# Beyond, detections are lost by the dozen: see "What a scene of other values costs" in the
# benchmark notes.
_FLAT, _RICH = 0.5, 2.5  # times the contrast of the training images
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
    """Choose what the values of a scene mean, where the configuration leaves that to the scene.

    The scene is given the mean and the contrast of the training images, with one gain and one
    offset for all bands, so that colours stay what they are. Left open, that is done where values
    of another type cannot be what the model was trained on. Says what was done, and warns of a
    scene that is far from what the model knows, or mostly empty.

    Args:
        seen: A look at the scene.
        name: Of the scene, for the messages.
        dtype: Its type.
        about: The model.
        config: ``value_range``.

    Returns:
        What to read the scene with; None: what the configuration says.
    """
    _report_emptiness(seen, name)
    if isinstance(config.value_range, tuple):
        return None
    is_far, is_other = _is_far(seen, about), dtype != about.dtype
    if config.value_range is None and not is_far:
        return None
    if config.value_range is None and not is_other:
        _report_distance(seen, name, about)
        return None
    if not seen.std > 0:  # NaN where nothing is seen
        logger.warning("%s shows no contrast: its values are taken as they are", name)
        return None
    gain = _contrast(seen, about)
    offset = seen.mean - gain * float(np.mean(about.mean))
    lows, highs = (gain * ends + offset for ends in _ends(about))
    _report_choice(name, dtype, about, (lows.min(), highs.max()), is_asked=bool(config.value_range))
    mean, std = gain * np.array(about.mean) + offset, gain * np.array(about.std)
    return InputValues(*(part.tolist() for part in (mean, std, lows, highs)))


def _ends(about: ModelDescription) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the lowest and the highest value of each band."""
    if about.dtype == "uint8":  # training sees all of them
        return np.zeros(len(about.mean)), np.full(len(about.mean), 255.0)
    return np.array(about.low), np.array(about.high)


def _contrast(seen: Survey, about: ModelDescription) -> float:
    return seen.std / float(np.mean(about.std))


def _shift(seen: Survey, about: ModelDescription) -> float:
    return (seen.mean - float(np.mean(about.mean))) / float(np.mean(about.std))


def _is_far(seen: Survey, about: ModelDescription) -> bool:
    """Tell whether a scene is darker, brighter, flatter or richer than what the model knows."""
    contrast, shift = _contrast(seen, about), _shift(seen, about)
    return not (_FLAT <= contrast <= _RICH and abs(shift) <= _FAR) and seen.std > 0


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


def _report_choice(
    name: str,
    dtype: str,
    about: ModelDescription,
    ends: tuple[float, float],
    *,
    is_asked: bool,
) -> None:
    if is_asked:
        logger.info("%s: %.4g and %.4g are taken for dark and bright", name, *ends)
        return
    logger.warning(
        "%s holds %s values and %s was trained on %s: of these, %.4g and %.4g are taken for dark "
        "and bright; choose others with --set detect.value_range=[DARK,BRIGHT]",
        name,
        dtype,
        about.name,
        about.dtype,
        *ends,
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
