"""What the command line sets of its process, and the library does not."""

import importlib
import platform
import signal
import subprocess
import sys
import time
import weakref
from contextlib import contextmanager

import pytest

from geodet_cli import process

PAGES = """
import resource, sys
from geodet_cli.process import prepare_process

if sys.argv[1:]:
    prepare_process(sys.argv[1])
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"7" * 2**26
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

TOGETHER = """
import signal, sys
from geodet_cli.process import leaving_on_signals

signals = [signal.SIGHUP, signal.Signals[sys.argv[1]]]
signal.signal(signal.SIGCHLD, lambda number, frame: None)
with leaving_on_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for number in signals:
        signal.raise_signal(number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="GNU's C library is asked")
@pytest.mark.parametrize("device", ["cpu", "cuda:0", None])
def test_large_blocks_are_reused_on_a_cpu(device):
    """Count the pages of 64 MiB that the system maps anew each time."""
    command = [sys.executable, "-c", PAGES, *[device] * (device is not None)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    _, *later = map(int, done.stdout.split())
    assert (max(later) < 100) == (device == "cpu")


@pytest.mark.parametrize(("has_cuda", "is_kept"), [(False, True), (True, False)])
def test_auto_is_a_cpu_where_there_is_no_cuda_device(monkeypatch, has_cuda, is_kept):
    kept = []
    monkeypatch.setattr(process, "_has_cuda", lambda: has_cuda)
    monkeypatch.setattr(process, "keep_freed_memory", lambda: kept.append(True))
    process.prepare_process("auto")
    assert bool(kept) == is_kept


def test_closing_the_window_ends_a_run_on_windows(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    with leaving(monkeypatch), pytest.raises(SystemExit, match=str(128 + signal.SIGUSR1)):
        signal.raise_signal(signal.SIGUSR1)


def test_ctrl_c_during_an_import_waits_for_its_end(tmp_path, monkeypatch):
    """PyTorch imports modules from C++, where an exception would abort the process."""
    lines = ["import signal, time", "signal.raise_signal(signal.SIGINT)", "time.sleep(0.2)"]
    (tmp_path / "interrupted_import.py").write_text("\n".join([*lines, "complete = True"]))
    monkeypatch.syspath_prepend(tmp_path)
    with leaving(monkeypatch):
        module = importlib.import_module("interrupted_import")
        assert module.complete
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)


def test_ctrl_c_while_an_object_is_freed_is_not_lost(monkeypatch):
    """Python only prints what a callback of a weak reference raises."""

    class Freed:
        pass

    with leaving(monkeypatch):
        freed = Freed()
        weakref.finalize(freed, signal.raise_signal, signal.SIGINT)
        del freed
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows cannot hold signals")
@pytest.mark.parametrize("other", ["SIGCHLD", "SIGTERM"])
def test_signals_that_arrive_together_print_nothing(other):
    """Workers that end with the program, and a scheduler that repeats itself."""
    command = [sys.executable, "-c", TOGETHER, other]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGHUP, "")


@contextmanager
def leaving(monkeypatch):
    """Treat signals as the command line does."""
    monkeypatch.setattr(process, "_received", [])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with process.leaving_on_signals():
            yield
    finally:
        signal.signal(signal.SIGINT, before)
