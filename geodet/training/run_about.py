"""The file that says what a training run is."""

from __future__ import annotations

import json
from pathlib import Path

from geodet.config import Config
from geodet.files.outputs import replacing
from geodet.files.version import __version__

__all__ = ["ABOUT_RUN", "write_run_about"]

ABOUT_RUN = "run.json"
"""In the folder of a run: its name, the version of geodet, and all settings."""


def write_run_about(folder: Path, config: Config) -> None:
    """Write ``run.json``: the name of a run, the version of geodet, and all settings.

    Raises:
        OutputError: It cannot be written.
    """
    about = {
        "run": folder.stem,
        "software": f"geodet {__version__}",
        "configuration": config.model_dump(mode="json"),
    }
    with replacing(folder / ABOUT_RUN) as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
