"""The paths of tilesets, and the checks of them that open no file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geodet.errors import TilesetError
from geodet.files.outputs import check_output_folder

__all__ = ["LABEL_SUFFIXES", "TILESET_FILES", "check_new_tileset", "check_tileset_exists"]

LABEL_SUFFIXES = frozenset({".json", ".csv", ".xml", ".geojson", ".yaml", ".yml", ".data"})
"""Endings of files that label several images."""
TILESET_FILES = ("images", "train.json", "val.json")
"""Names of what `geodet tile` writes to a folder."""


def check_tileset_exists(path: Path) -> None:
    """Check that a tileset to read is a folder, or a file with labels.

    Raises:
        TilesetError: It does not exist, or is another kind of file.
    """
    if path.is_dir():
        return
    if not path.exists():
        raise TilesetError(f"{path} does not exist", hint="give the folder of a tileset", path=path)
    if path.suffix.lower() not in LABEL_SUFFIXES:
        raise TilesetError(
            f"{path} is not a folder, a COCO JSON file or a CSV file",
            hint="give a folder of images with COCO, CSV, Pascal VOC or YOLO labels",
            path=path,
        )


def check_new_tileset(output: Path, *, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Check that a tileset can be written to a folder.

    Args:
        output: The folder.
        overwrite: Whether an earlier tileset may be replaced.
        inputs: Files that are read, which must not lie in the folder.

    Raises:
        OutputError: The folder holds something that may not be replaced.
    """
    check_output_folder(output, TILESET_FILES, overwrite=overwrite, inputs=inputs)
