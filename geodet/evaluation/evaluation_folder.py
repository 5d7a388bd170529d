"""The folder that an evaluation writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geodet.files.outputs import check_output_folder

__all__ = ["EVALUATION_FILES", "check_evaluation_folder"]

EVALUATION_FILES = ("metrics.json", "metrics.csv", "curves.png", "errors.gpkg")
"""The names of the files in it."""


def check_evaluation_folder(output: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Check that an evaluation can be written to a folder, before it begins.

    Args:
        output: The folder.
        overwrite: Whether the files of an earlier evaluation may be replaced.
        inputs: What the evaluation reads.

    Raises:
        OutputError: The folder holds something that may not be replaced.
    """
    check_output_folder(output, EVALUATION_FILES, overwrite=overwrite, inputs=inputs)
