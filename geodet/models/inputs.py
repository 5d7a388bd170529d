"""What goes into the network: pixels scaled by statistics that never depend on the chip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["ABSURD", "InputValues", "standardise", "trained_bounds"]

ABSURD = 1e4  # standard deviations; 16-bit values in a model of bytes stay below


class InputValues(NamedTuple):
    """What turns a scene's values into those that a network was trained with, for each band."""

    mean: Sequence[float]
    """What becomes 0, in the scene's units."""
    std: Sequence[float]
    """How much more becomes 1."""
    low: Sequence[float] = ()
    """Values below count as these; empty: all pass."""
    high: Sequence[float] = ()
    """Likewise, from above."""


def standardise(
    pixels: Tensor,
    valid: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    low: Sequence[float] = (),
    high: Sequence[float] = (),
) -> Tensor:
    """Scale pixels to zero mean and unit deviation; what is no data becomes the mean.

    What lies beyond the bounds becomes the bound, as training has never seen anything else. A value
    so far off that it can be no measurement is no data either.

    Args:
        pixels: (N, C, H, W) of any dtype, in the data's units.
        valid: (N, H, W) bool.
        mean: C means of the training data in the same units.
        std: C standard deviations, positive.
        low: C least values that training saw; empty: all values pass.
        high: C greatest ones, likewise.

    Returns:
        (N, C, H, W) float32 in channels-last memory, which convolutions read faster.
    """
    shape = (1, len(mean), 1, 1)
    centre = torch.tensor(mean, device=pixels.device).view(shape)
    spread = torch.tensor(std, device=pixels.device).view(shape)
    # In place, in one copy: a large chip's temporaries would weigh as much as the network's.
    scaled = pixels.to(torch.float32, memory_format=torch.channels_last, copy=True)
    scaled.sub_(centre).div_(spread)
    unseen = ~valid[:, None]
    if not _is_tame(pixels.dtype, mean, std):
        # A nodata value that the file does not declare, such as -3.4e38, would flood the chip.
        unseen = unseen | ~(scaled.abs() < ABSURD)
    if low:
        least, most = (torch.tensor(v, device=pixels.device).view(shape) for v in (low, high))
        scaled.clamp_((least - centre) / spread, (most - centre) / spread)
    return scaled.masked_fill_(unseen, 0.0)


def trained_bounds(
    dtype: str, low: Sequence[float], high: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Give the bounds for :func:`standardise`; bytes have none, as training sees all of them.

    Args:
        dtype: Of the training data, as numpy names it.
        low: C quantiles that training cuts other types off at.
        high: Likewise.
    """
    return ((), ()) if dtype == "uint8" else (low, high)


def _is_tame(dtype: torch.dtype, mean: Sequence[float], std: Sequence[float]) -> bool:
    """Tell whether no value of a type can be absurd, so that none has to be looked at."""
    farthest = (max(abs(m), abs(255 - m)) / s for m, s in zip(mean, std, strict=True))
    return dtype == torch.uint8 and max(farthest) < ABSURD
