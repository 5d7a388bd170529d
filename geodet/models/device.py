"""Choose the device that computes, and the precision; device names are checked without PyTorch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from geodet.errors import DeviceError

if TYPE_CHECKING:
    import torch

__all__ = ["check_device_name", "resolve_device", "resolve_precision"]

logger = logging.getLogger(__name__)


def check_device_name(name: str) -> None:
    """Check that a name is one of a device, whether or not this machine has it.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: It is another word.

    Example:
        >>> check_device_name("cuda:1")
    """
    kind, _, index = name.partition(":")
    if name not in ("auto", "cpu", "cuda") and (kind != "cuda" or not index.isdigit()):
        raise DeviceError(
            f"unknown device {name!r}", hint="use auto, cpu, cuda or cuda:N", device=name
        )


def resolve_device(name: str) -> torch.device:
    """Return the device of a name.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. ``auto`` chooses the first CUDA device if
            there is one, else the CPU, and logs the choice.

    Raises:
        DeviceError: The name is unknown, or this machine has no such device.
    """
    check_device_name(name)
    import torch

    if name == "auto":
        device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        logger.info("device: %s", _described(device))
        return device
    kind, _, index = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if int(index or 0) >= count:
        raise DeviceError(
            f"no device {name!r}: this machine has {count or 'no'} CUDA devices",
            hint="use --device auto or --device cpu",
            device=name,
        )
    return torch.device(name if index or kind == "cpu" else "cuda:0")


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the floating-point type of the network's computations.

    Args:
        name: ``float32``, ``bfloat16`` or ``auto``: bfloat16 on hardware that multiplies it
            natively, else float32, since emulated bfloat16 is slower.
        device: Where the network runs.
    """
    import torch

    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    return torch.bfloat16 if _has_bfloat16(device) else torch.float32


def _has_bfloat16(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def _described(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"
