"""Clocks, memory and utilisation, on a GPU and without one."""

from __future__ import annotations

import contextlib
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

__all__ = ["Utilisation", "peak_gpu_mib", "peak_host_mib", "seconds_of", "settle", "timed"]


def settle(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(
    function: Callable[[], Any], device: str, *, repeats: int = 7, warm: int = 2, most: float = 4.0
) -> float:
    """Return the median of some calls, as many as ``most`` seconds allow; at least one."""
    for _ in range(warm):
        function()
    settle(device)
    times: list[float] = []
    while len(times) < repeats and sum(times) < most:
        start = time.perf_counter()
        function()
        settle(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@contextlib.contextmanager
def timed(device: str) -> Iterator[list[float]]:
    """Measure a ``with`` block; the list then holds its seconds."""
    taken: list[float] = []
    settle(device)
    start = time.perf_counter()
    yield taken
    settle(device)
    taken.append(time.perf_counter() - start)


def peak_gpu_mib(*, reset: bool = False) -> float | None:
    """Return the peak of the tensors' memory since the last reset; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    peak = torch.cuda.max_memory_allocated() / 2**20
    if reset:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return peak


def peak_host_mib() -> float:
    """Return the peak of this process's memory, of all so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Utilisation:
    """Samples in a ``with`` block how busy the first GPU is, as NVML says."""

    def __init__(self, device: str) -> None:
        self._samples: list[tuple[float, float]] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._is_on = device == "cuda"

    def __enter__(self) -> Utilisation:
        if self._is_on:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._is_on:
            self._thread.join()

    @property
    def percent(self) -> float | None:
        """Share of the time in which a kernel ran; None where nobody knows."""
        return statistics.fmean(s[0] for s in self._samples) if self._samples else None

    @property
    def watts(self) -> float | None:
        """Mean power draw."""
        return statistics.fmean(s[1] for s in self._samples) if self._samples else None

    def _sample(self) -> None:
        with contextlib.suppress(Exception):  # without NVML there is no figure
            import pynvml

            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self._is_over.wait(0.05):
                busy = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
                self._samples.append((busy, pynvml.nvmlDeviceGetPowerUsage(handle) / 1000))
