"""The files of scenes that an unfinished run has written, and may replace when it goes on."""

from __future__ import annotations

import json
from pathlib import Path

from geodet.files.outputs import raising_output_errors

__all__ = ["note_written", "read_written"]

_NAMES = "plan.json.files"


def note_written(journal: Path, file: Path) -> None:
    """Write to a run's journal that it is about to write a file of a scene.

    Raises:
        OutputError: It cannot be written.
    """
    with raising_output_errors(journal), (journal / _NAMES).open("a", encoding="utf-8") as names:
        names.write(f"{json.dumps(file.name)}\n")


def read_written(journal: Path) -> frozenset[str]:
    """Read the names of the files that :func:`note_written` wrote; none where there is no run."""
    try:
        lines = (journal / _NAMES).read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    whole = [line for line in lines if len(line) > 1 and line.endswith('"')]  # the last may be cut
    return frozenset(str(json.loads(line)) for line in whole)
