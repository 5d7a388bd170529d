"""Output folders that appear when they are complete, and not before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from geodet.errors import GeodetError, OutputError

__all__ = ["check_output_folder", "replace_folder"]


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
