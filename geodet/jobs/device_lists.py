"""Several devices in one name: ``cuda:0,1`` or ``all``, and several processes on each."""

from __future__ import annotations

from geodet.errors import ConfigError, DeviceError
from geodet.models.device import check_device_name, has_cuda, import_torch

__all__ = ["list_devices"]


def list_devices(name: str, processes: int = 1) -> list[str]:
    """List the device of each worker process.

    Args:
        name: ``all`` CUDA devices, several as ``cuda:0,1``, or one as
            :func:`geodet.models.device.choose_device` takes it.
        processes: Processes on each device.

    Raises:
        DeviceError: The name is unknown, or there is no CUDA device.
        ConfigError: The number of processes is not positive, or not whole.

    Example:
        >>> list_devices("cuda:0,2"), list_devices("cpu", 2)
        (['cuda:0', 'cuda:2'], ['cpu', 'cpu'])
    """
    if not hasattr(processes, "__index__") or processes < 1:
        raise ConfigError(f"{processes} processes are given", hint="give 1 or more")
    return [device for device in _list_names(name) for _ in range(processes)]


def _list_names(name: str) -> list[str]:
    if name == "all":
        count = import_torch().cuda.device_count() if has_cuda() else 0
        if not count:
            raise DeviceError(
                "this machine has no CUDA devices",
                hint="use --device cpu, with --processes N for several processes",
                device=name,
            )
        return [f"cuda:{number}" for number in range(count)]
    kind, _, numbers = str(name).partition(":")
    names = [f"{kind}:{number}" for number in numbers.split(",")] if "," in numbers else [name]
    for one in names:
        check_device_name(one)
    return names
