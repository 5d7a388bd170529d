"""Checks of output files and folders, and blocks that write one as a whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from geodet.errors import GeodetError, OutputError
from geodet.files.databases import check_replaceable
from geodet.files.decisions import check_undecided
from geodet.files.gdal_paths import check_gdal_output
from geodet.files.leftovers import without_temporary
from geodet.files.pending import PendingFile, PendingFolder, PendingOutput

__all__ = [
    "check_apart",
    "check_destination",
    "check_output_folder",
    "check_parent",
    "hint_at_folder",
    "int8_path",
    "raising_output_errors",
    "replace_folder",
    "replacing",
]

_GDAL_SUFFIXES = (".gpkg", ".geojson", ".fgb")  # that only GDAL writes
_LONGEST_SIDECAR = ".not_examined.geojson"  # of the names beside an output
_SHORTER = "choose a shorter name; the file of a scene is named after the scene"
_LEAST_FREE = 1 << 20  # bytes; SQLite and GDAL fail before the last one is taken


def check_destination(
    path: Path, suffixes: Sequence[str], *, overwrite: bool, append: bool = False
) -> None:
    """Check that a file with one of the suffixes can be written to a path.

    Args:
        path: The file.
        suffixes: What its name may end in.
        overwrite: Whether an existing file may be replaced.
        append: Whether it is changed in place.

    Raises:
        OutputError: Another suffix, a name that is too long, a path that GDAL cannot write to, no
            such folder, a folder that cannot be written to, a link to what does not exist, or an
            existing file that may not be replaced, that holds the decisions of a review, or that
            another program works with.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(
            f"cannot tell the format of {path}",
            hint=f"end its name in {' or '.join(suffixes)}",
            path=path,
        )
    if path.suffix.lower() in _GDAL_SUFFIXES:
        check_gdal_output(path)
    _check_name(path)
    _check_folder_is_there(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder", hint="name a file in it", path=path)
    if path.is_symlink() and not path.exists():  # a new file is not renamed to the place of a link
        raise OutputError(
            f"{path} is a link to {path.readlink()}, which does not exist",
            hint="remove the link, or name the file that it leads to",
            path=path,
        )
    if not append:
        check_undecided(path)
    if path.exists() and not (overwrite or append):
        raise OutputError(
            f"{path} exists already", hint="--overwrite (overwrite=True) replaces it", path=path
        )
    if not append:
        check_replaceable(path)
    _check_folder_is_writable(path)


def check_parent(path: Path) -> None:
    """Check that the folder of an output is there and can be written to.

    Raises:
        OutputError: It is not.
    """
    _check_folder_is_there(path)
    _check_folder_is_writable(path)


def _check_folder_is_there(path: Path) -> None:
    if not path.parent.is_dir():
        raise OutputError(
            f"no folder {path.parent} to write {path.name} to",
            hint=hint_at_folder(path.parent),
            path=path,
        )


def _check_folder_is_writable(path: Path) -> None:
    try:  # permission bits say nothing of root, network drives and read-only mounts
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OutputError(
            f"cannot write to {path.parent}: {error.strerror}",
            hint="choose another folder",
            path=path,
        ) from error


def _check_name(path: Path) -> None:
    """Check that the system takes the name of a file, and those of the files beside it."""
    try:
        path.with_name(f"{path.name}{_LONGEST_SIDECAR}").exists()
    except OSError as error:
        is_long = error.errno == errno.ENAMETOOLONG
        raise OutputError(
            f"cannot write {path}: {error.strerror}",
            hint=_SHORTER if is_long else "choose another folder",
            path=path,
        ) from error


def hint_at_folder(folder: Path) -> str:
    """Return what to do about a folder that is not there: a file may be in its place."""
    for place in (folder, *folder.parents):
        if place.is_file():
            return f"{place} is a file: choose another folder"
    return "create the folder first"


def check_apart(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Check that no output replaces an input or another output.

    Raises:
        OutputError: One does, by its name or through a link.
    """
    read, written = {path.resolve() for path in inputs}, [path.resolve() for path in outputs]
    for path in written:
        if path in read:
            raise OutputError(
                f"{path} is an input and would be overwritten",
                hint="name another output",
                path=path,
            )
        if written.count(path) > 1:
            raise OutputError(
                f"{path} would be written twice", hint="name another output", path=path
            )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` when the block succeeds.

    When the block fails or is interrupted, ``path`` is unchanged and the temporary file is removed.

    Raises:
        OutputError: The file cannot be written or renamed.
    """
    with raising_output_errors(path), _committing(PendingFile(path)) as temporary:
        yield temporary


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces ``path`` when the block succeeds.

    When the block fails or is interrupted, ``path`` is unchanged and the temporary folder is
    removed.

    Raises:
        OutputError: The folder or a file in it cannot be written.
    """
    with raising_output_errors(path), _committing(PendingFolder(path)) as temporary:
        yield temporary


@contextmanager
def raising_output_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into an ``OutputError`` that names the output.

    A file in the output has its name there, not that in the temporary folder, which is gone.
    """
    try:
        yield
    except GeodetError:
        raise
    except OSError as error:
        cause = "no space is left on its disk: " if _is_full(path.parent, error) else ""
        raise OutputError(
            f"cannot write {path}: {cause}{_text_of(error)}", hint=_hint_at(error, path), path=path
        ) from error


def _hint_at(error: OSError, path: Path) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return _SHORTER
    if not path.parent.exists():  # removed since the run has begun
        return f"the folder {path.parent} does not exist: create it, and run the command again"
    return f"check the free space and the permissions of {path.parent}"


def _text_of(error: OSError) -> str:
    name = error.filename
    inside = without_temporary(name) if isinstance(name, str) else name
    if inside == name:
        return str(error)
    return f"{error.strerror}: {inside}" if inside else str(error.strerror)


def _is_full(folder: Path, error: OSError) -> bool:
    """Whether a disk is full, where the error does not say what is wrong, as those of GDAL."""
    try:
        return error.errno is None and shutil.disk_usage(folder).free < _LEAST_FREE
    except OSError:  # no such folder
        return False


@contextmanager
def _committing(output: PendingOutput) -> Iterator[Path]:
    try:
        yield output.temporary
        output.commit()
    finally:
        output.abort()


def check_output_folder(
    output: Path, known: Collection[str], *, overwrite: bool, inputs: Sequence[Path] = ()
) -> None:
    """Check that replacing a folder removes nothing but an earlier output.

    Args:
        output: The folder.
        known: Names of the files of an output; a folder with others is never replaced.
        overwrite: Whether a folder that holds only those may be replaced.
        inputs: Files that are read.

    Raises:
        OutputError: The folder is a file, is not empty, or holds something else; or it is a mount
            point, or the current folder or one above it, which no other folder can replace.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file", hint="give a folder", path=output)
    _check_may_be_moved(output)
    found = {entry.name for entry in output.iterdir()} if output.exists() else set()
    if found and not overwrite:
        raise OutputError(
            f"{output} is not empty",
            hint="give another folder, or use --overwrite (overwrite=True)",
            path=output,
        )
    others = sorted(found - set(known))
    others += [p.name for p in inputs if p.resolve().is_relative_to(output.resolve())]
    if others:
        raise OutputError(
            f"{output} holds more than an earlier output: {', '.join(others[:3])}",
            hint="give another folder, since overwriting removes everything in it",
            path=output,
        )


def _is_current(folder: Path) -> bool:
    """Whether a folder is the current one, or one above it."""
    try:
        return Path.cwd().is_relative_to(folder)
    except FileNotFoundError:  # the current folder has been removed
        return False


def _check_may_be_moved(output: Path) -> None:
    """Check that a folder can be replaced by a new one, which is renamed to its path."""
    place = output.resolve()
    if os.path.ismount(place):  # Path.is_mount is missing on Windows before Python 3.12
        what = "is a mount point"
    elif _is_current(place):
        what = "is the current folder, or holds it"
    else:
        return
    raise OutputError(
        f"{output} {what}, so no new folder can take its place",
        hint=f"give a folder in it, such as {output / 'new'}",
        path=output,
    )


def int8_path(path: Path) -> Path:
    """Return where the eight-bit file of a model file is.

    Example:
        >>> int8_path(Path("runs/mine.safetensors")).name
        'mine.int8.onnx'
    """
    return path.with_name(f"{path.stem}.int8.onnx")
