"""Which device computes, and in which precision."""

from __future__ import annotations

import logging

import torch

from geodet.errors import DeviceError

__all__ = ["resolve_device", "resolve_precision"]

logger = logging.getLogger(__name__)


def resolve_device(name: str) -> torch.device:
    """Find a device by name.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. ``auto`` takes the first CUDA device where
            there is one and says what it took.

    Raises:
        DeviceError: No such device on this machine.
    """
    if name == "auto":
        device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        logger.info("device: %s", _described(device))
        return device
    kind, _, index = name.partition(":")
    if name not in ("cpu", "cuda") and (kind != "cuda" or not index.isdigit()):
        raise DeviceError(f"unknown device {name!r}", hint="use auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if int(index or 0) >= count:
        raise DeviceError(
            f"device {name!r} is not there: this machine has {count or 'no'} CUDA devices",
            hint="use --device auto or --device cpu",
        )
    return torch.device(name if index or kind == "cpu" else "cuda:0")


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Choose the arithmetic of the network: float32 or bfloat16.

    ``auto`` is bfloat16 where the hardware multiplies it natively: elsewhere it would be emulated,
    slower than float32.
    """
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    return torch.bfloat16 if _has_bfloat16(device) else torch.float32


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def _described(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"
