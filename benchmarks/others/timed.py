"""What each process of ``peers.py`` does alike, whatever environment it runs in: stdlib only.

A process reads its order, holds itself to the cores and the memory that all get, loads its model,
detects in a small scene to warm up, and then detects once in the scene that is timed. Starting
Python, imports and loading are not timed; the peak of the memory includes all.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")
Rows = list[list[float]]
"""x1, y1, x2, y2 in the scene's pixels, score, label of each object."""

_STATUS = Path("/proc/self/status")


def read_order() -> dict[str, Any]:
    """Read the order that the command line names, and hold this process to it."""
    order: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if hasattr(os, "sched_setaffinity"):  # else the number of threads alone limits it
        cores = sorted(os.sched_getaffinity(0))[: order["threads"]]
        os.sched_setaffinity(0, cores)
    # Beyond it Python and torch raise an error, where the system would end any process.
    limit = int(order["memory_gib"] * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return order


def measure(
    order: dict[str, Any],
    detect: Callable[[str], Result],
    to_rows: Callable[[Result], Rows],
    packages: Sequence[str],
) -> None:
    """Time one detection after another that warms up, and write the answer.

    Args:
        order: With the paths of the ``scene``, of the ``warm`` one and of the ``answer``.
        detect: From the path of a scene to its objects, in the detector's own form.
        to_rows: Gives these as rows; neither timed nor in the peak.
        packages: Whose versions are answered, the detector's first.
    """
    detect(order["warm"])
    start = time.perf_counter()
    result = detect(order["scene"])
    seconds = time.perf_counter() - start
    answer = {
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "found": to_rows(result),
    }
    Path(order["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def peak_mib() -> float:
    """Return the peak resident memory of this process, in MiB.

    ``getrusage`` of a process that a large one started begins with the large one's on Linux.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        (kilobytes,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
        return int(kilobytes) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
