"""Scale pixels to network inputs, by statistics that do not depend on the chip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from geodet.models.input_values import ABSURD, is_tame

__all__ = ["is_whole_mask", "standardise", "to_device", "whole_mask"]


def standardise(
    pixels: Tensor,
    valid: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    low: Sequence[float] = (),
    high: Sequence[float] = (),
) -> Tensor:
    """Scale pixels to zero mean and unit deviation; pixels without data become the mean.

    Values are clipped to the bounds of the training data. A value that is too far off to be a
    measurement counts as no data.

    Args:
        pixels: (N, C, H, W) of any dtype, in the units of the data.
        valid: (N, H, W) bool; that of :func:`whole_mask` costs nothing.
        mean: C means of the training data in the same units.
        std: C standard deviations, positive.
        low: C lower bounds; empty: values are not clipped.
        high: C upper bounds, likewise.

    Returns:
        (N, C, H, W) float32 in channels-last memory, on which convolutions are faster.
    """
    centre, spread = (_per_band(statistics, pixels.device) for statistics in (mean, std))
    # In place on one copy: temporaries of a large chip would take as much memory as the network's.
    scaled = pixels.to(torch.float32, memory_format=torch.channels_last, copy=True)
    scaled.sub_(centre).div_(spread)
    unseen = None if is_whole_mask(valid) else ~valid[:, None]
    if not is_tame(pixels.dtype == torch.uint8, mean, std):
        # An undeclared nodata value, such as -3.4e38, would dominate the activations of the chip.
        absurd = ~(scaled.abs() < ABSURD)
        unseen = absurd if unseen is None else unseen | absurd
    if low:
        least, most = (_per_band(bounds, pixels.device) for bounds in (low, high))
        scaled.clamp_((least - centre) / spread, (most - centre) / spread)
    return scaled if unseen is None else scaled.masked_fill_(unseen, 0.0)


def _per_band(values: Sequence[float], device: torch.device) -> Tensor:
    """Return one value for each band on a device: (1, C, 1, 1).

    From pinned memory, or a CUDA device would finish all that it has to do before the host goes on.
    """
    made = torch.tensor(values)
    pinned = made.pin_memory() if device.type == "cuda" else made
    return pinned.to(device, non_blocking=True).view(1, len(values), 1, 1)


def whole_mask(shape: tuple[int, int, int], device: torch.device | None = None) -> Tensor:
    """Return a mask of chips without holes: (N, H, W) bool, all True, in a single byte."""
    return torch.ones(1, dtype=torch.bool, device=device).as_strided(shape, (0, 0, 0))


def is_whole_mask(valid: Tensor) -> bool:
    """Whether a mask is one of :func:`whole_mask`; its values are not looked at."""
    return not any(valid.stride())


def to_device(part: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; a CUDA device copies pinned memory while the host goes on."""
    if is_whole_mask(part):
        return part if part.device == device else whole_mask((*part.shape,), device)
    return part.to(device, non_blocking=True)
