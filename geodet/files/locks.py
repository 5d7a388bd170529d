"""Locks on outputs, so that two runs do not write to one file."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from geodet.documents.json_documents import parse_json
from geodet.errors import OutputError
from geodet.files.outputs import raising_output_errors

__all__ = ["locked_output"]

logger = logging.getLogger(__name__)

_HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK}


@contextmanager
def locked_output(
    output: Path,
    *,
    part: str = "",
    busy: str = "",
    hint: str = "wait for it to end, or name another output",
) -> Iterator[None]:
    """Keep other runs of geodet from an output, for a ``with`` block.

    The lock is the operating system's on ``.geodet-OUTPUT.lock`` beside the output: it ends with
    the process, however that ends, and the file of a dead process locks nothing. On drives without
    such locks a warning is logged.

    Args:
        output: The file or folder.
        part: Names a part of it that is locked by itself; empty: all of it.
        busy: What the message says of a run that has it; empty: that it is writing the output.
        hint: What to do then.

    Raises:
        OutputError: Another run has it; the message says which process, where, and since when.
    """
    path = output.with_name(f".geodet-{output.name}{part and f'-{part}'}.lock")
    with raising_output_errors(output):
        file = _acquire(path, output, busy or f"another run is writing {output}", hint)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if sys.platform == "win32":  # which removes no open file
                os.close(file)
                path.unlink(missing_ok=True)
            else:
                path.unlink(missing_ok=True)
                os.close(file)


def _acquire(path: Path, output: Path, busy: str, hint: str) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _try_lock(file, path):
                raise OutputError(f"{busy}: {_holder(path)}", hint=hint, path=output)
            if _is_same(file, path):  # else the run before has removed it meanwhile
                os.ftruncate(file, 0)
                os.write(file, json.dumps(_this_process()).encode())
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _try_lock(file: int, path: Path) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, 2**20, os.SEEK_SET)  # beyond the text, which others may read
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        logger.warning("%s cannot be locked: %s; start no other run that writes there", path, error)
    return True


def _is_same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _this_process() -> dict[str, str | int]:
    started = datetime.now().astimezone().isoformat(" ", "seconds")
    return {"pid": os.getpid(), "host": platform.node(), "started": started}


def _holder(path: Path) -> str:
    try:
        known = parse_json(path.read_text(encoding="utf-8"))
        return f"process {known['pid']} on {known['host']}, since {known['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has just started"
