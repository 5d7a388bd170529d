"""What goes into the network: pixels scaled by statistics that never depend on the chip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["standardise"]

_ABSURD = 1e4  # standard deviations; 16-bit values in a model of bytes stay below


def standardise(
    pixels: Tensor, valid: Tensor, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Scale pixels to zero mean and unit deviation; what is no data becomes the mean.

    Args:
        pixels: (N, C, H, W) of any dtype, in the data's units.
        valid: (N, H, W) bool.
        mean: C means of the training data in the same units.
        std: C standard deviations, positive.

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
        unseen = unseen | ~(scaled.abs() < _ABSURD)
    return scaled.masked_fill_(unseen, 0.0)


def _is_tame(dtype: torch.dtype, mean: Sequence[float], std: Sequence[float]) -> bool:
    """Tell whether no value of a type can be absurd, so that none has to be looked at."""
    farthest = (max(abs(m), abs(255 - m)) / s for m, s in zip(mean, std, strict=True))
    return dtype == torch.uint8 and max(farthest) < _ABSURD
