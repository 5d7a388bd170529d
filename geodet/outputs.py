"""Output files that appear when they are complete, and never replace another unasked."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from geodet.errors import GeodetError, OutputError

__all__ = ["check_apart", "check_destination", "replacing"]

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
