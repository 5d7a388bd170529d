"""Output files and folders that appear when they are complete, and the checks before that."""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from geodet.errors import GeodetError, OutputError
from geodet.files.leftovers import name_temporary

__all__ = [
    "PendingFile",
    "PendingFolder",
    "PendingOutput",
    "PendingRows",
    "check_apart",
    "check_destination",
    "check_output_folder",
    "raising_output_errors",
    "replace_folder",
    "replacing",
]

# Beside a SQLite database that is open, or was when its program died.
_SIDECARS = ("-wal", "-shm", "-journal")


def check_destination(path: Path, suffixes: Sequence[str], *, overwrite: bool) -> None:
    """Check that a file with one of the suffixes can be written to a path.

    Raises:
        OutputError: Another suffix, no such folder, a folder that cannot be written to, or a file
            that is there and may not be replaced.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(
            f"cannot tell the format of {path}",
            hint=f"end its name in {' or '.join(suffixes)}",
            path=path,
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"no folder {path.parent} to write {path.name} to",
            hint="create the folder first",
            path=path,
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder", hint="name a file in it", path=path)
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already", hint="--overwrite replaces it", path=path)
    try:  # permission bits say nothing of root, network drives and read-only mounts
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OutputError(
            f"cannot write to {path.parent}: {error.strerror}",
            hint="choose another folder",
            path=path,
        ) from error


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


class PendingOutput(ABC):
    """An output that is written beside its path and takes its place when it is complete."""

    path: Path
    """Where the output will be."""
    temporary: Path
    """Where to write it. It is in the folder of ``path``, so that renaming it is atomic."""

    @abstractmethod
    def commit(self) -> None:
        """Rename the temporary output to its path, in place of what was there.

        Raises:
            OSError: It cannot be renamed; what was there before is unharmed.
        """

    @abstractmethod
    def abort(self) -> None:
        """Remove the temporary output; after :meth:`commit` this does nothing."""


class PendingFile(PendingOutput):
    """A file that is written beside its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = name_temporary(path)
        self._is_new = not path.exists()
        self._is_kept = False

    def commit(self) -> None:
        """Rename the temporary file to its path; it never replaces one that has come meanwhile.

        Raises:
            OutputError: It cannot be renamed; the complete file is kept under another name, which
                the message has.
        """
        try:
            if self._is_new:
                _rename_new(self.temporary, self.path)
            else:
                _remove_sidecars(self.path)  # SQLite would replay an old -wal into the new file
                self.temporary.replace(self.path)
        except OSError as error:
            if not self.temporary.exists():
                raise
            kept, self._is_kept = _keep(self.temporary, self.path), True
            what = "another program has created it meanwhile" if self.path.exists() else ""
            if not isinstance(error, FileExistsError):
                what = error.strerror or str(error)
            raise OutputError(
                f"cannot write {self.path}: {what}; the complete file is {kept}",
                hint=f"close {self.path.name} in other programs, and rename {kept.name} to it",
                path=self.path,
            ) from error

    def abort(self) -> None:
        """Remove the temporary file and what SQLite left beside it."""
        if self._is_kept:
            return
        with contextlib.suppress(OSError):
            self.temporary.unlink(missing_ok=True)
            _remove_sidecars(self.temporary)


class PendingRows(PendingFile):
    """Rows that are collected beside a file which exists, and are then added to it."""

    def commit(self) -> None:
        """Remove the collected rows, which are in the file now."""
        self.abort()


class PendingFolder(PendingOutput):
    """A folder that is written beside its path; parent folders are created.

    Raises:
        OSError: The temporary folder cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.temporary = name_temporary(self.path)
        self.temporary.mkdir(parents=True)

    def commit(self) -> None:
        """Rename the temporary folder to its path; what was there comes back if that fails."""
        old = self.temporary.with_name(f"{self.temporary.name}.old")
        if self.path.exists():
            self.path.rename(old)
        try:
            self.temporary.rename(self.path)
        except BaseException:
            if old.exists():
                old.rename(self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def abort(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self.temporary, ignore_errors=True)


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
    """Turn an ``OSError`` of the block into an ``OutputError`` that names the output."""
    try:
        yield
    except GeodetError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error}",
            hint=f"check the free space and the permissions of {path.parent}",
            path=path,
        ) from error


@contextmanager
def _committing(output: PendingOutput) -> Iterator[Path]:
    try:
        yield output.temporary
        output.commit()
    finally:
        output.abort()


def _rename_new(temporary: Path, path: Path) -> None:
    """Rename a file, in one step, to a path where there is none.

    Raises:
        FileExistsError: There is one.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a drive without links
        if path.exists():
            raise FileExistsError(errno.EEXIST, "it exists", str(path)) from None
        temporary.replace(path)
    else:
        temporary.unlink()


def _keep(temporary: Path, path: Path) -> Path:
    """Rename a complete file to a name that people recognise, if that is possible."""
    kept = path.with_name(f"{path.stem}.complete-{secrets.token_hex(3)}{path.suffix}")
    try:
        return temporary.rename(kept)
    except OSError:
        return temporary


def _remove_sidecars(path: Path) -> None:
    for suffix in _SIDECARS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


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
        OutputError: The folder is a file, is not empty, or holds something else.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file", hint="give a folder", path=output)
    found = {entry.name for entry in output.iterdir()} if output.exists() else set()
    if found and not overwrite:
        raise OutputError(
            f"{output} is not empty", hint="give another folder, or use --overwrite", path=output
        )
    others = sorted(found - set(known))
    others += [p.name for p in inputs if p.resolve().is_relative_to(output.resolve())]
    if others:
        raise OutputError(
            f"{output} holds more than an earlier output: {', '.join(others[:3])}",
            hint="give another folder, since overwriting removes everything in it",
            path=output,
        )
