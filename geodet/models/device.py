"""Choose the device that computes, and the precision; PyTorch is loaded only where it is needed."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from geodet.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    import torch

__all__ = [
    "check_device_name",
    "choose_device",
    "count_cores",
    "count_threads",
    "cpu_name",
    "has_cuda",
    "has_torch",
    "import_torch",
    "loaded_torch",
    "resolve_device",
    "resolve_precision",
]

logger = logging.getLogger(__name__)

_DRIVERS = ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so")
"""Libraries of which a machine with a device that PyTorch calls CUDA has one."""


def check_device_name(name: str) -> None:
    """Check that a name is one of a device, whether or not this machine has it.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: It is not one of these.

    Example:
        >>> check_device_name("cuda:1")
    """
    kind, _, index = str(name).partition(":")  # from Python also None
    if name not in ("auto", "cpu", "cuda") and (kind != "cuda" or not index.isdigit()):
        raise DeviceError(
            f"unknown device {name!r}", hint="use auto, cpu, cuda or cuda:N", device=name
        )


def has_torch() -> bool:
    """Whether PyTorch is installed; it is not loaded."""
    return loaded_torch() is not None or importlib.util.find_spec("torch") is not None


def loaded_torch() -> Any:
    """Return PyTorch if something has loaded it, else None."""
    return sys.modules.get("torch")


def import_torch() -> Any:
    """Import PyTorch.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            "this needs the package torch, which is not installed",
            hint="python -m pip install torch torchvision; without them geodet detects on the CPU, "
            "with models that have an eight-bit file or are ONNX files",
        ) from error
    return torch


def choose_device(name: str) -> str:
    """Return the name of the device to use, such as ``cpu`` or ``cuda:0``.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. ``auto`` chooses the first CUDA device if
            there is one, else the CPU, and logs the choice.

    Raises:
        DeviceError: The name is unknown, or this machine has no such device.
    """
    check_device_name(name)
    if name == "auto":
        device = "cuda:0" if has_cuda() else "cpu"
        logger.info("device: %s", _described(device))
        return device
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return name
    count = import_torch().cuda.device_count() if has_torch() else 0
    if int(index or 0) >= count:
        raise DeviceError(
            f"no device {name!r}: this machine has {count or 'no'} CUDA devices",
            hint="use --device auto or --device cpu",
            device=name,
        )
    return name if index else "cuda:0"


def has_cuda() -> bool:
    """Whether PyTorch has a CUDA device; where no driver is, PyTorch is not loaded to ask it."""
    if not has_torch() or (loaded_torch() is None and not _has_driver()):
        return False
    return bool(import_torch().cuda.is_available())


def _has_driver() -> bool:
    for name in _DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def resolve_device(name: str) -> torch.device:
    """Return the device of a name as PyTorch's object, see :func:`choose_device`.

    Raises:
        DeviceError: The name is unknown, or this machine has no such device.
    """
    chosen = choose_device(name)
    device: torch.device = import_torch().device(chosen)
    return device


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


def count_threads() -> int:
    """Return the threads that a network uses on the CPU: PyTorch's number where it is loaded."""
    torch = loaded_torch()
    if torch is not None:
        return int(torch.get_num_threads())
    if given := os.environ.get("OMP_NUM_THREADS", ""):
        return int(given) if given.isdigit() else 1
    return min(psutil.cpu_count(logical=False) or 1, count_cores())


def count_cores() -> int:
    """Return the cores that this process may use; some systems tell only how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """Return the name of the processor, where the system has it."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _has_bfloat16(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def _described(device: str) -> str:
    if device != "cpu":
        return f"{device} ({import_torch().cuda.get_device_name(import_torch().device(device))})"
    return f"cpu ({count_threads()} threads)"
