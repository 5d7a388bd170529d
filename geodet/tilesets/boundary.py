"""Keep the reading of a tileset inside its folder, whatever its files name.

A tileset may come from a stranger. What its files say must not make geodet read other files of this
machine: with ``../``, with absolute paths, through symbolic links, or through virtual rasters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from geodet.errors import TilesetError
from geodet.raster.linked_files import LinkedFiles, find_linked_files

__all__ = ["check_images_inside", "check_inside", "is_inside", "staying_inside", "tileset_root"]

_ANNOTATIONS = "annotations"


class _Boundary:
    """A folder, with links resolved, and what its sub-folders resolve to."""

    def __init__(self, root: Path) -> None:
        self.shown, self._root = root, root.resolve()
        self._folders: dict[Path, Path] = {}

    def encloses(self, path: Path) -> bool:
        """Whether a path, with links resolved, is in the folder; it need not exist."""
        folder = self._folders.get(path.parent)
        if folder is None:
            folder = self._folders[path.parent] = path.parent.resolve()
        place = folder / path.name
        real = place.resolve() if place.is_symlink() or path.name == ".." else place
        return real.is_relative_to(self._root)


_boundary: ContextVar[_Boundary | None] = ContextVar("boundary", default=None)


def tileset_root(path: Path) -> Path:
    """Return the folder of a tileset, which is a folder or one label file.

    A label file in ``annotations`` labels what lies beside that folder, as in COCO.

    Example:
        >>> tileset_root(Path("trees/annotations/train.json")).as_posix()
        'trees'
    """
    if path.is_dir():
        return path
    is_apart = path.absolute().parent.name.lower() == _ANNOTATIONS
    return path.parent.parent if is_apart and path.parent.parent != path.parent else path.parent


@contextmanager
def staying_inside(root: Path, *, is_open: bool = False) -> Iterator[None]:
    """Refuse to read files outside of a folder, for a ``with`` block.

    Args:
        root: The folder of a tileset.
        is_open: Whether everything may be read.
    """
    before = _boundary.set(None if is_open else _Boundary(root))
    try:
        yield
    finally:
        _boundary.reset(before)


def is_inside(path: Path) -> bool:
    """Whether a path may be read: it is in the folder, or nothing says which folder that is."""
    boundary = _boundary.get()
    return boundary is None or boundary.encloses(path)


def check_inside(path: Path) -> None:
    """Check that a file or folder may be read.

    Raises:
        TilesetError: It is outside of the tileset that is being read.
    """
    boundary = _boundary.get()
    if boundary is None or boundary.encloses(path):
        return
    real = path.resolve()
    leads = "" if real == path.absolute() else f": it leads to {real}"
    raise TilesetError(
        f"{path} is outside of the tileset {boundary.shown}{leads}",
        hint="--allow-outside (data.allow_outside) reads it; use it if you know who made the"
        " tileset",
        path=path,
    )


def check_images_inside(images: Iterable[Path]) -> None:
    """Check that images may be read, and what they are made of if they are virtual rasters.

    Raises:
        TilesetError: One is outside of the tileset that is being read, or reads what is.
    """
    boundary = _boundary.get()
    if boundary is None:
        return
    for image in images:
        check_inside(image)
        linked = find_linked_files(image) if image.is_file() else LinkedFiles()
        outside = [file for file in linked.files if not boundary.encloses(file)]
        known = [*outside, *linked.remote]
        if known or linked.encoded:  # GDAL alone can find the tiles of an index
            where = f"{known[0]}, which is" if known else f"{linked.encoded[0]}, which may be"
            raise TilesetError(
                f"{image} reads {where} outside of the tileset {boundary.shown}",
                hint="--allow-outside (data.allow_outside) reads it; use it if you know who made"
                " the tileset",
                path=image,
            )
