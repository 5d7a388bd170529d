"""The file that says what a training run is."""

from __future__ import annotations

import json
from pathlib import Path

from geodet.config import Config
from geodet.documents.json_documents import read_json
from geodet.documents.text import DocumentError
from geodet.files.outputs import replacing
from geodet.files.version import __version__

__all__ = ["ABOUT_RUN", "read_labels_digest", "write_run_about"]

ABOUT_RUN = "run.json"
"""In the folder of a run: its name, the version of geodet, all settings, a digest of the labels."""


def write_run_about(folder: Path, config: Config, *, labels: str = "") -> None:
    """Write ``run.json``: the name of a run, the version of geodet, and all settings.

    Args:
        folder: Folder of the run.
        config: All settings.
        labels: Digest of the labels; empty: not known.

    Raises:
        OutputError: It cannot be written.
    """
    about = {
        "run": folder.stem,
        "software": f"geodet {__version__}",
        "labels": labels,
        "configuration": config.model_dump(mode="json"),
    }
    with replacing(folder / ABOUT_RUN) as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def read_labels_digest(folder: Path) -> str:
    """Return the digest of the labels that a run learns from; empty where it is not known."""
    try:
        return str(read_json(folder / ABOUT_RUN)["labels"])
    except (DocumentError, KeyError, TypeError):  # no run, or one of an earlier version
        return ""
