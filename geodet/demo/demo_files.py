"""The files of a demonstration."""

from __future__ import annotations

from pathlib import Path

from geodet.errors import OutputError
from geodet.files.outputs import check_destination

__all__ = ["DEMO_FILES", "check_demo_folder"]

DEMO_FILES = ("scene.tif", "truth.gpkg", "trees.gpkg", "trees.geojson", "preview.png")
"""The names of the files: the scene, the painted trees, the detections twice, a picture."""


def check_demo_folder(folder: Path, *, overwrite: bool) -> None:
    """Check that a demonstration can be written to a folder, which need not exist.

    Args:
        folder: The folder.
        overwrite: Whether the files of an earlier demonstration may be replaced.

    Raises:
        OutputError: The folder is a file, or a file in it exists already.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file", hint="give a folder", path=folder)
    if folder.is_dir():
        for name in DEMO_FILES:
            path = folder / name
            check_destination(path, (path.suffix,), overwrite=overwrite)
