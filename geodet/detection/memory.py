"""How much memory the machine has free, and how it is reused."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path

__all__ = ["free_memory", "keep_freed_memory"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # parameters of mallopt(3)


@cache
def free_memory() -> int:
    """Give the bytes that programs can still take without swapping, as they were when first asked.

    Asked once, so that all scenes of a run are cut alike. On Linux what the kernel says is
    available, or what a container may still take; on Windows the physical memory that is free; on
    other systems, which do not say it plainly, half of the machine's memory.
    """
    if sys.platform == "win32":
        return _free_on_windows()
    if _MEMINFO.exists():
        return min(_available(_MEMINFO.read_text()), _left_in_container(_CGROUP))
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@cache
def keep_freed_memory() -> bool:
    """Let this process reuse large blocks of memory that it has freed.

    GNU's C library hands each of more than 32 MiB back to the system, which gives it anew page by
    page: a fifth of the time of a network whose tensors are that large. What one thread has freed
    all may use, or each would hold as much as it ever needed. The peak stays as it is.

    Returns:
        Whether it can be done: with GNU's C library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    options = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _ARENA_MAX: 1}
    return all(library.mallopt(option, value) for option, value in options.items())


def _available(meminfo: str) -> int:
    """Read the line "MemAvailable:  123 kB"."""
    sizes = dict(line.split(":") for line in meminfo.splitlines() if ":" in line)
    return int(sizes["MemAvailable"].split()[0]) * 1024


def _left_in_container(folder: Path) -> int:
    """Give what a control group (version 2) leaves of its limit; a large number without one.

    What it holds of files counts as free: the kernel gives it up first.
    """
    limit, statistics = folder / "memory.max", folder / "memory.stat"
    if not limit.exists() or limit.read_text().strip() == "max":
        return sys.maxsize
    used = dict(line.split() for line in statistics.read_text().splitlines())
    return max(int(limit.read_text()) - int(used["anon"]), 0)


def _free_on_windows() -> int:
    """Ask the system, which fills ``MEMORYSTATUSEX``: two numbers of 32 bits, seven of 64."""
    numbers = (ctypes.c_uint64 * 8)(ctypes.sizeof(ctypes.c_uint64) * 8)
    ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(numbers))  # type: ignore[attr-defined,unused-ignore]
    return numbers[2]  # ullAvailPhys, after length and load in one, and ullTotalPhys
