"""The files that an unfinished run has written, and may replace when it goes on.

Before a file is moved to its place, its path and its identity are noted in the journal. So the run
recognises it, even if the process dies right then, and never takes a file that another program has
written or changed for its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from geodet.files.leftovers import is_temporary

__all__ = ["WrittenFiles", "note_written", "read_written"]

_NAMES = "plan.json.files"


@dataclass(frozen=True, slots=True)
class WrittenFiles:
    """Files and folders that an unfinished run has noted."""

    identities: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The identities of a file, by its path: one for each time that the run has written it."""

    def includes(self, path: Path) -> bool:
        """Whether the run has written a path, and nobody has changed it since."""
        noted = self.identities.get(_place(path))
        return noted is not None and (not path.exists() or _identify(path) in noted)

    def includes_all_in(self, folder: Path) -> bool:
        """Whether the run has written everything in a folder, and something."""
        if not folder.is_dir():
            return False
        entries = [entry for entry in folder.iterdir() if not is_temporary(entry)]
        return bool(entries) and all(map(self.includes, entries))


def note_written(journal: Path, complete: Path, place: Path) -> None:
    """Note in a run's journal a file that is about to be moved to its place.

    If it cannot be noted, the run goes on; after an interruption it will not replace the file.

    Args:
        journal: The folder of the journal.
        complete: The temporary file or folder, complete.
        place: Where it will be.
    """
    with contextlib.suppress(OSError), (journal / _NAMES).open("a", encoding="utf-8") as names:
        names.write(f"{json.dumps([_place(place), _identify(complete)])}\n")


def read_written(journal: Path) -> WrittenFiles:
    """Read what :func:`note_written` has noted; nothing where there is no run."""
    try:
        lines = (journal / _NAMES).read_text(encoding="utf-8").splitlines()
        noted = [json.loads(line) for line in lines if line.endswith('"]')]  # the last may be cut
    except (OSError, ValueError):
        return WrittenFiles()
    identities = dict[str, set[str]]()
    for place, identity in noted:
        identities.setdefault(place, set()).add(identity)
    return WrittenFiles(identities)


def _place(path: Path) -> str:
    """Return the absolute path of a file; of a link, that of the link itself."""
    return str(path.parent.resolve() / path.name)


def _identify(path: Path) -> str:
    """Hash the sizes and times of a file, or of all files of a folder, which renaming keeps."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    about = [(os.path.relpath(file, path), file.lstat()) for file in files]
    parts = [(name, found.st_size, found.st_mtime_ns) for name, found in about]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
