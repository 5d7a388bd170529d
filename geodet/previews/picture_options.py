"""Options of a folder of pictures, and the checks that need no GDAL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geodet.errors import OutputError

__all__ = [
    "PICTURE_SUFFIXES",
    "PictureFormat",
    "PictureOptions",
    "check_picture_folder",
    "is_picture_folder",
]

PictureFormat = Literal["jpeg", "png", "webp"]

PICTURE_SUFFIXES: Mapping[PictureFormat, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
"""Ends of the names of pictures, by format."""


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """Options of the pictures in a folder."""

    format: PictureFormat = "jpeg"
    """Format of the files."""
    only_with_objects: bool = False
    """Leave out pictures without any object."""
    max_side: int = 2048
    """Longest side of a picture in pixels, and the side of the tiles of a scene."""


def is_picture_folder(preview: str | Path) -> bool:
    """Whether a preview is a folder of pictures.

    It is one that ends in a slash, has no extension, or is there.
    """
    path = Path(preview)
    return str(preview).endswith(("/", "\\")) or path.is_dir() or not path.suffix


def check_picture_folder(folder: Path, *, overwrite: bool) -> None:
    """Check that pictures can be written to a folder.

    Args:
        folder: Created when the pictures are drawn.
        overwrite: Whether it may hold files already.

    Raises:
        OutputError: It is a file, it cannot be created, or it holds something.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise OutputError(f"{there} is a file", hint="give a folder", path=folder)
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise OutputError(
            f"{folder} is not empty",
            hint="give another folder, or use --overwrite (overwrite=True), which replaces the "
            "pictures of the same scenes in it",
            path=folder,
        )
