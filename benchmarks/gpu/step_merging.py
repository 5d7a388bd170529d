"""Merging a million candidates, which the CPU does whatever detects."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import merge_speed
from harness import Setting
from measuring import peak_host_mib

__all__ = ["merging"]


def merging(setting: Setting) -> Iterator[dict[str, Any]]:
    """Measure all at once and row by row of windows, as detect does."""
    for count in (10_000,) if setting.is_tiny else (1_000_000,):
        found = merge_speed._scatter(count)
        for name, way in (("rows", merge_speed._rows), ("at once", merge_speed._suppress)):
            start, cpu = time.perf_counter(), time.process_time()
            kept = way(found)
            taken, used = time.perf_counter() - start, time.process_time() - cpu
            yield {
                **{"boxes": count, "way": name, "kept": kept, "seconds": taken, "CPU s": used},
                **{"us a box": taken / count * 1e6, "peak MiB": peak_host_mib()},
            }
