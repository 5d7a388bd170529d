"""The names of devices, which are checked without PyTorch."""

from __future__ import annotations

from geodet.errors import DeviceError

__all__ = ["check_device_name"]


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
