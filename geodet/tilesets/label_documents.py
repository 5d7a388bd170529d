"""Read the files of labels, and find the images that they name."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from geodet.documents.json_documents import read_json
from geodet.documents.text import DocumentError, read_document, to_text
from geodet.documents.values import check_name
from geodet.documents.yaml_documents import parse_yaml
from geodet.errors import TilesetError
from geodet.files.existence import find_alike
from geodet.tilesets.boundary import check_inside, is_inside

__all__ = [
    "find_image",
    "join_path",
    "parse_yaml_labels",
    "raising_tileset_errors",
    "read_json_labels",
    "read_text",
]


@contextmanager
def raising_tileset_errors(path: Path) -> Iterator[None]:
    """Raise what is wrong with a document as an error of the tileset.

    Raises:
        TilesetError: The document in this file is broken or beyond a limit, or the file is outside
            of the tileset that is being read.
    """
    check_inside(path)
    try:
        yield
    except DocumentError as error:
        raise TilesetError(f"{path}: {error}", hint=error.hint, path=path) from error


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises:
        TilesetError: The file cannot be read.
    """
    with raising_tileset_errors(path):
        text = to_text(read_document(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json_labels(path: Path) -> Any:
    """Read a JSON file, within the limits of :mod:`geodet.documents`.

    Raises:
        TilesetError: It cannot be read, is broken or beyond a limit.
    """
    with raising_tileset_errors(path):
        return read_json(path)


def parse_yaml_labels(text: str, path: Path) -> Any:
    """Parse the text of a YAML file, within the limits of :mod:`geodet.documents`.

    Raises:
        TilesetError: It is broken or beyond a limit.
    """
    with raising_tileset_errors(path):
        return parse_yaml(text)


def find_image(name: str, folders: Sequence[Path]) -> Path:
    """Find an image in one of several folders.

    Returns:
        The first existing file of that path, or else of that name without folders, since programs
        write paths of their own, or one that differs in case or accents; if there is none, its path
        in the first folder. One that is outside of the tileset that is being read comes last, to be
        refused with the others.

    Raises:
        TilesetError: There can be no file of that name.
    """
    try:
        path = check_name(name.strip().replace("\\", "/"))
    except ValueError as error:
        raise TilesetError(
            f"the image {error}", hint="correct the name of the image in the label file"
        ) from error
    words = dict.fromkeys((path, path.rpartition("/")[2] or path))
    candidates = [join_path(folder, word) for word in words for folder in folders]
    found = [candidate for candidate in candidates if candidate.is_file()]
    alike = None if found else find_alike(list(filter(is_inside, candidates)))
    return alike or next((c for c in found if is_inside(c)), (found or candidates)[0])


def join_path(folder: Path, path: str | PurePosixPath) -> Path:
    """Return a path from a folder without ``..``, as far as the folder has a name.

    Each image then has one path, by whichever files it is named, and the folder stays as it was
    typed.

    Args:
        folder: Where the path begins.
        path: As a label file has it; an absolute one stays as it is.

    Example:
        >>> join_path(Path("a/../tiles/labels"), "../images/./1.png").as_posix()
        'a/../tiles/images/1.png'
    """
    parts = PurePosixPath(posixpath.normpath(path)).parts
    while parts[:1] == ("..",) and folder.name not in ("", ".."):
        folder, parts = folder.parent, parts[1:]
    return folder / str(PurePosixPath(*parts))  # as one text: a drive alone is no root on Windows
