"""Settings of the process, which only the command line changes.

A program that imports geodet keeps its own: nothing in the library changes the allocator, the
number of threads, environment variables, warning filters or GDAL's options for longer than a call.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType

__all__ = [
    "command_line",
    "end_if_signalled",
    "keep_freed_memory",
    "leaving_on_signals",
    "prepare_process",
]

_received: list[int] = []  # signals that told this process to end

_SWALLOWING = ("importlib._bootstrap", "weakref")  # modules whose frames lose exceptions
_SECONDS_TO_REPEAT = 0.05  # of a signal that came there
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # parameters of mallopt(3)


def prepare_process(device: str) -> None:
    """Prepare this process for computing on a device; for a CPU, let it reuse freed memory.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """
    if not device.startswith("cuda") and not (device == "auto" and _has_cuda()):
        keep_freed_memory()


@cache
def keep_freed_memory() -> bool:
    """Configure malloc to reuse large blocks of memory that were freed.

    GNU's C library returns each block of more than 32 MiB to the system, which maps it again page
    by page: a fifth of the time of a network whose tensors are that large. One arena serves all
    threads, as each would otherwise hold as much as it ever needed. The peak stays the same.

    Returns:
        Whether that is possible: only with GNU's C library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    options = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _ARENA_MAX: 1}
    return all(library.mallopt(option, value) for option, value in options.items())


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """End as after Ctrl-C, with all temporary files removed, when the process is told to end.

    SIGTERM comes from schedulers and ``kill``, SIGHUP, or SIGBREAK on Windows, when a terminal is
    closed; one that is ignored, as under ``nohup``, stays ignored. The exit code is 128 plus the
    signal's number. After the first Ctrl-C a second one ends the process at once.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):  # the latter two exclude each other
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _leave)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_if_signalled(code: int) -> None:
    """End a process that was told to end, without waiting for threads that read or wait.

    Functions registered with :mod:`atexit` run; what Python and PyTorch tear down after them takes
    seconds on a busy machine, and serves nothing.
    """
    if _received:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def command_line() -> str:
    """Return what was typed, for reports, without passwords and tokens."""
    from geodet.files.command_line import join_command

    return join_command(["geodet", *sys.argv[1:]])


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _is_repeated(number, frame):
        return
    signal.signal(number, signal.SIG_DFL)
    _received.append(number)
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    # Cleaning up is not interrupted by a second one.
    if _received or _is_repeated(number, frame):
        return
    _received.append(number)
    if hasattr(signal, "SIGCHLD"):  # nor by PyTorch's error when its workers end too
        signal.signal(signal.SIGCHLD, _ignore)
    sys.exit(128 + number)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing. Python prints a traceback for a signal that came before ``SIG_IGN`` was set."""


def _is_repeated(number: int, frame: FrameType | None) -> bool:
    """Send a signal again a little later if an exception would not reach the program now.

    PyTorch imports modules of Python from C++, and an exception that reaches those frames aborts
    the process. Of one in a callback of a weak reference Python only prints the traceback.

    Returns:
        Whether the signal is sent again.
    """
    is_swallowed = any(f.f_globals.get("__name__") in _SWALLOWING for f in _stack(frame))
    if is_swallowed:
        again = threading.Timer(_SECONDS_TO_REPEAT, signal.raise_signal, [number])
        again.daemon = True
        again.start()
    return is_swallowed


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _has_cuda() -> bool:
    from geodet.models.device import has_cuda

    return has_cuda()
