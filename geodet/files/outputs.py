"""Output folders that appear when they are complete, and not before."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from geodet.errors import GeodetError, OutputError

__all__ = ["check_apart", "check_destination", "check_output_folder", "replace_folder", "replacing"]

# What SQLite keeps beside a database that is open, or was when its program died.
_SIDECARS = ("-wal", "-shm", "-journal")


def check_destination(path: Path, suffixes: Sequence[str], *, overwrite: bool) -> None:
    """Check that a file with one of the suffixes can be written to a path.

    Raises:
        OutputError: Another suffix, no such folder, a folder that cannot be written to, or a file
            that is there and may not be replaced.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(
            f"cannot tell the format of {path}", hint=f"end its name in {' or '.join(suffixes)}"
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"no folder {path.parent} to write {path.name} to", hint="create the folder first"
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder", hint="name a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already", hint="--overwrite replaces it")
    try:  # the only question that root, network drives and read-only mounts answer truly
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OutputError(
            f"cannot write to {path.parent}: {error.strerror}", hint="choose another folder"
        ) from error


def check_apart(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Check that no output takes the place of what is read, or of another output.

    Raises:
        OutputError: One does, by this name or through a link.
    """
    read, written = {path.resolve() for path in inputs}, [path.resolve() for path in outputs]
    for path in written:
        if path in read:
            raise OutputError(
                f"{path} is read here and would be written over", hint="name another output"
            )
        if written.count(path) > 1:
            raise OutputError(f"{path} would be written twice", hint="name another output")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a temporary path beside ``path``, which takes its place when the block ends well.

    When the block fails or is interrupted, ``path`` is as it was and the temporary file is gone.

    Raises:
        OutputError: The block or the renaming failed to write.
    """
    # The same folder, so that the renaming is atomic; the same suffix, which GDAL looks at.
    temporary = path.with_name(f".geodet-{secrets.token_hex(6)}{path.suffix.lower()}")
    try:
        yield temporary
        _remove_sidecars(path)  # SQLite would replay an old -wal into the new file
        temporary.replace(path)
    except GeodetError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error}",
            hint=f"check the free space and the permissions of {path.parent}",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
            _remove_sidecars(temporary)


def _remove_sidecars(path: Path) -> None:
    for suffix in _SIDECARS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def check_output_folder(
    output: Path, known: Collection[str], *, overwrite: bool, inputs: Sequence[Path] = ()
) -> None:
    """Refuse an output folder that would cost somebody their files.

    Args:
        output: The folder.
        known: Names that the tool itself writes; a folder with others is never replaced.
        overwrite: Whether a folder with only those may be replaced.
        inputs: Files that the tool reads.

    Raises:
        OutputError: The folder is a file, is not empty, or holds something else.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file", hint="give a folder")
    found = {entry.name for entry in output.iterdir()} if output.exists() else set()
    if found and not overwrite:
        raise OutputError(f"{output} is not empty", hint="give another folder, or use --overwrite")
    others = sorted(found - set(known))
    others += [p.name for p in inputs if p.resolve().is_relative_to(output.resolve())]
    if others:
        raise OutputError(
            f"{output} holds more than an earlier output: {', '.join(others[:3])}",
            hint="give another folder, since overwriting removes everything in it",
        )


@contextmanager
def replace_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``output`` when the block ends well.

    It lies beside the output, so the last step is a rename; when the block fails it is removed and
    the output is as before.

    Raises:
        OutputError: A folder or a file cannot be written.
    """
    output = output.resolve()
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        _swap(partial, output)
    except GeodetError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {output}: {error}", hint="check the free space and the permissions"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(new: Path, output: Path) -> None:
    """Rename a folder over another, which comes back if that fails."""
    old = new.with_suffix(".old")
    if output.exists():
        output.rename(old)
    try:
        new.rename(output)
    except BaseException:
        if old.exists():
            old.rename(output)
        raise
    shutil.rmtree(old, ignore_errors=True)
