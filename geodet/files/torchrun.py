"""Read the variables that ``torchrun`` sets for each of its processes."""

from __future__ import annotations

import os

__all__ = ["count_processes", "is_first_process"]


def is_first_process() -> bool:
    """Whether this process is the one that prints and locks; without torchrun it is."""
    return os.environ.get("RANK", "0") == "0"


def count_processes() -> int:
    """Return how many processes train together, on all machines; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))
