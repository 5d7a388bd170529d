"""Output files and folders that are written beside their path, and renamed when complete."""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from geodet.errors import OutputError
from geodet.files.databases import replacing_database
from geodet.files.leftovers import make_private_folder
from geodet.files.synced_files import sync_file

__all__ = [
    "PendingFile",
    "PendingFolder",
    "PendingOutput",
    "PendingRows",
    "announce",
    "announcing",
    "keep_complete",
    "rename_new",
]

_announced: ContextVar[Callable[[Path, Path], None] | None] = ContextVar("announced", default=None)


@contextmanager
def announcing(note: Callable[[Path, Path], None]) -> Iterator[None]:
    """Call a function within a block before each output is put in its place.

    Args:
        note: Called with the complete temporary file or folder, and with the place.
    """
    token = _announced.set(note)
    try:
        yield
    finally:
        _announced.reset(token)


def announce(temporary: Path, path: Path) -> None:
    """Report that a complete output is about to be put in its place."""
    if (note := _announced.get()) is not None:
        note(temporary, path)


class PendingOutput(ABC):
    """An output that is written beside its path and takes its place when it is complete."""

    path: Path
    """The path of the finished output."""
    temporary: Path
    """The path to write to. It is in the folder of ``path``, so that renaming it is atomic."""

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
    """A file that is written in a private folder beside its path.

    Raises:
        OSError: The temporary folder cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = make_private_folder(path)
        self.temporary = self._folder / f"new{path.suffix.lower()}"
        self._is_new = not path.exists()
        self._is_kept = False

    def commit(self) -> None:
        """Rename the temporary file to its path; it never replaces one that has come meanwhile.

        Raises:
            OutputError: It cannot be renamed; the complete file is kept under another name, which
                the message has.
            OSError: It cannot be written to its end.
        """
        sync_file(self.temporary)
        announce(self.temporary, self.path)
        try:
            with replacing_database(self.path):
                if self._is_new:
                    rename_new(self.temporary, self.path)
                else:
                    self.temporary.replace(self.path)
        except OSError as error:
            if not self.temporary.exists():
                raise
            self._is_kept = True
            raise keep_complete(self.temporary, self.path, error) from error
        finally:
            _remove_if_empty(self._folder)
        self.abort()

    def abort(self) -> None:
        """Remove the temporary file and what SQLite left beside it."""
        if not self._is_kept:
            shutil.rmtree(self._folder, ignore_errors=True)


class PendingRows(PendingFile):
    """Rows that are collected beside a file which exists, and are then added to it."""

    def commit(self) -> None:
        """Remove the collected rows, which are in the file now."""
        self.abort()


class PendingFolder(PendingOutput):
    """A folder that is written in a private one beside its path; parent folders are created.

    Raises:
        OSError: The temporary folder cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._before = _list_content(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = make_private_folder(self.path)
        self.temporary = self._folder / "new"
        self.temporary.mkdir()
        self._is_kept = False

    def commit(self) -> None:
        """Rename the temporary folder to its path; what was there comes back if that fails.

        It never replaces a folder that has come, or that somebody has changed, meanwhile.

        Raises:
            OutputError: It cannot be renamed; the complete folder is kept under another name, which
                the message has.
        """
        announce(self.temporary, self.path)
        try:
            if self._before:
                self._replace()
            else:
                _rename_new_folder(self.temporary, self.path)
        except OSError as error:
            if not self.temporary.exists():
                raise
            self._is_kept = True
            raise keep_complete(self.temporary, self.path, error) from error
        finally:
            _remove_if_empty(self._folder)

    def abort(self) -> None:
        """Remove the temporary folder."""
        if not self._is_kept:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _replace(self) -> None:
        """Replace a folder whose content is still what it was.

        Where the process dies in between, the old folder is under a name that is never cleared.
        """
        old = self.path.with_name(f"{self.path.name}.before-{secrets.token_hex(3)}")
        self.path.rename(old)
        try:
            if _list_content(old) != self._before:
                raise FileExistsError(errno.EEXIST, "its content has changed", str(self.path))
            self.temporary.rename(self.path)
        except BaseException:
            old.rename(self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)


def rename_new(temporary: Path, path: Path) -> None:
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


def keep_complete(temporary: Path, path: Path, error: OSError) -> OutputError:
    """Rename a complete output that cannot be renamed to its path to a name that people recognise.

    Args:
        temporary: Where it is.
        path: Where it should be.
        error: Why it cannot be there.

    Returns:
        The error to raise, which has the name.
    """
    kept = path.with_name(f"{path.stem}.complete-{secrets.token_hex(3)}{path.suffix}")
    try:
        kept = temporary.rename(kept)
    except OSError:
        kept = temporary
    what = error.strerror or str(error)
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
        what = "another program has created or changed it meanwhile"
    return OutputError(
        f"cannot write {path}: {what}; the complete result is {kept}",
        hint=f"close {path.name} in other programs, and rename {kept.name} to it",
        path=path,
    )


def _rename_new_folder(temporary: Path, path: Path) -> None:
    """Rename a folder to a path where there is none, or an empty one.

    Raises:
        OSError: There is something.
    """
    if sys.platform == "win32":  # where a folder replaces nothing; elsewhere, an empty folder
        with contextlib.suppress(OSError):
            path.rmdir()
    temporary.rename(path)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _list_content(folder: Path) -> set[tuple[str, int, int]]:
    """List the files in a folder with their sizes and times; empty where there is none."""
    if not folder.is_dir():
        return set()
    about = [(str(entry.relative_to(folder)), entry.lstat()) for entry in folder.rglob("*")]
    return {(name, found.st_size, found.st_mtime_ns) for name, found in about}
