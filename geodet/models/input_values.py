"""The statistics that turn pixel values into inputs of the network, and that step in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ABSURD",
    "InputValues",
    "is_tame",
    "standardise_array",
    "to_model_units",
    "trained_bounds",
]

ABSURD = 1e4
"""Standard deviations beyond which a value is taken for undeclared nodata; 16-bit values in a model
of bytes stay below."""


class InputValues(NamedTuple):
    """Statistics of each band, in the units of a scene, that turn its values into inputs."""

    mean: Sequence[float]
    """Values that become 0."""
    std: Sequence[float]
    """Differences that become 1."""
    low: Sequence[float] = ()
    """Lower values are clipped to these; empty: none is."""
    high: Sequence[float] = ()
    """Higher values are clipped to these; empty: none is."""


def trained_bounds(
    dtype: str, low: Sequence[float], high: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Return the bounds for :func:`geodet.models.inputs.standardise`.

    Bytes have none, as training uses all values.

    Args:
        dtype: Data type of the training data, as numpy names it.
        low: C low quantiles at which training clips other types.
        high: C high quantiles, likewise.
    """
    return ((), ()) if dtype == "uint8" else (low, high)


def is_tame(is_bytes: bool, mean: Sequence[float], std: Sequence[float]) -> bool:
    """Whether no value of a data type can be absurd, so that none needs a check.

    Args:
        is_bytes: Whether the values are of 8 bits.
        mean: C means.
        std: C standard deviations.
    """
    farthest = (max(abs(m), abs(255 - m)) / s for m, s in zip(mean, std, strict=True))
    return is_bytes and max(farthest) < ABSURD


def standardise_array(
    pixels: NDArray[Any], valid: NDArray[np.bool_], values: InputValues
) -> NDArray[np.float32]:
    """Scale pixels as :func:`geodet.models.inputs.standardise` does, without PyTorch.

    Args:
        pixels: (N, C, H, W) of any dtype, in the units of the data.
        valid: (N, H, W).
        values: The statistics of C bands.

    Returns:
        (N, C, H, W).
    """
    centre, spread, *bounds = (_column(numbers) for numbers in values)
    scaled = pixels.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # undeclared nodata
        scaled -= centre
        scaled /= spread
    unseen = None if _is_whole(valid) else ~valid[:, None]
    if not is_tame(pixels.dtype == np.uint8, values.mean, values.std):
        absurd = ~(np.abs(scaled) < ABSURD)
        unseen = absurd if unseen is None else unseen | absurd
    if len(values.low):
        least, most = ((bound - centre) / spread for bound in bounds)
        np.clip(scaled, least, most, out=scaled)
    if unseen is not None:
        np.copyto(scaled, 0, where=unseen)
    return scaled


def to_model_units(
    pixels: NDArray[Any], valid: NDArray[np.bool_], values: InputValues, own: InputValues
) -> NDArray[np.float32]:
    """Return pixels in the units of a model, which an ONNX file standardises itself.

    Args:
        pixels: (N, C, H, W) of any dtype, in the units of a scene.
        valid: (N, H, W); pixels without data become the mean.
        values: The statistics of the scene.
        own: Those of the model.
    """
    mean, std = _column(own.mean), _column(own.std)
    if values == own and pixels.dtype == np.uint8:
        units = pixels.astype(np.float32)
        if not _is_whole(valid):
            np.copyto(units, mean, where=~valid[:, None])
        return units
    units = standardise_array(pixels, valid, values)
    units *= std
    units += mean
    return units


def _is_whole(valid: NDArray[np.bool_]) -> bool:
    """Whether a mask is a single byte, True, that is repeated."""
    return not any(valid.strides)


def _column(values: Sequence[float]) -> NDArray[np.float32]:
    """Return (C, 1, 1), a value for each band."""
    return np.asarray(values, np.float32).reshape(-1, 1, 1)
