"""Images and the label files that lie beside them, one for each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from geodet.errors import TilesetError
from geodet.tilesets.labels import read_text
from geodet.tilesets.splits import natural_key

__all__ = ["IMAGE_FOLDERS", "IMAGE_SUFFIXES", "check_pairs", "find_beside", "list_images"]

IMAGE_FOLDERS = ("images", "JPEGImages")
IMAGE_SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".webp", ".bmp"})

logger = logging.getLogger(__name__)


def list_images(folder: Path) -> list[Path]:
    """List the images below the folder's ``images``, or else its own, in natural order."""
    below = [file for name in IMAGE_FOLDERS for file in (folder / name).rglob("*")]
    found = [file for file in below if _is_image(file)]
    found = found or [file for file in folder.iterdir() if _is_image(file)]
    return sorted(found, key=lambda file: natural_key(str(file)))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()


def find_beside(image: Path, folder: Path, names: Sequence[str], suffix: str) -> Path:
    """Give the label file of an image: in a sibling folder of one of the names, or beside it."""
    inner = image.relative_to(folder).with_suffix(suffix)
    if inner.parts[0] in IMAGE_FOLDERS:
        inner = Path(*inner.parts[1:])
    candidates = [folder / name / inner for name in names]
    beside = image.with_suffix(suffix)
    for candidate in (*candidates, beside):
        if candidate.is_file():
            return candidate
    return next((c for c in candidates if c.parent.is_dir()), beside)


def check_pairs(pairs: Sequence[tuple[Path, Path]], folder: Path) -> None:
    """Refuse labels whose image is missing, and report images without labels.

    Args:
        pairs: Each image and its label file, which need not exist.
        folder: Where they are.

    Raises:
        TilesetError: Label files are left over.
    """
    expected = {file for _, file in pairs}
    suffix = pairs[0][1].suffix
    orphans = [
        file
        for place in {file.parent for file in expected}
        for file in sorted(place.glob(f"*{suffix}"))
        if file not in expected and _is_label(file)
    ]
    if orphans:
        raise TilesetError(
            f"{folder}: {len(orphans)} label files have no image, such as {orphans[0]}",
            hint="put the images beside their labels or in images/, under the same name",
        )
    bare = [image for image, file in pairs if not file.is_file()]
    if bare:
        logger.warning(
            "%s: %d of %d images have no label file and count as empty, such as %s",
            folder,
            len(bare),
            len(pairs),
            bare[0].name,
        )


def _is_label(file: Path) -> bool:
    """Tell a label file from a list of classes or a read-me, which may lie beside it."""
    if file.suffix == ".xml":
        return "<annotation" in read_text(file)
    first = read_text(file).strip().partition("\n")[0].split()
    return len(first) >= 5 and first[0].isdigit()
