import platform
import subprocess
import sys

import pytest

from geodet.detection import memory

MEMINFO = (
    "MemTotal:       24683520 kB\nMemFree:  1024 kB\nMemAvailable:   2048 kB\nHugePages_Free: 0\n"
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Let the memory be asked for anew, of files that a test may write."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    memory.free_memory.cache_clear()
    yield tmp_path
    memory.free_memory.cache_clear()


def test_this_machine_has_free_memory():
    assert 2**20 < memory.free_memory() < 2**50


@pytest.mark.skipif(sys.platform == "win32", reason="Windows is asked")
def test_what_the_kernel_says_is_available_counts(machine):
    (machine / "meminfo").write_text(MEMINFO)
    assert memory.free_memory() == 2048 * 1024
    (machine / "meminfo").write_text(MEMINFO.replace("2048", "4096"))
    assert memory.free_memory() == 2048 * 1024  # asked once in a run


@pytest.mark.skipif(sys.platform == "win32", reason="Windows is asked")
@pytest.mark.parametrize(
    ("limit", "expected"), [("1500000", 500_000), ("900000", 0), ("max", 2048 * 1024)]
)
def test_a_container_has_what_its_limit_leaves(machine, limit, expected):
    (machine / "meminfo").write_text(MEMINFO)
    (machine / "memory.max").write_text(f"{limit}\n")
    (machine / "memory.stat").write_text("anon 1000000\nfile 400000\n")
    assert memory.free_memory() == expected


@pytest.mark.skipif(sys.platform == "win32", reason="Windows is asked")
def test_a_system_that_does_not_say_has_half_of_its_memory(machine, monkeypatch):
    sizes = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf", sizes.get)
    assert memory.free_memory() == 2_048_000


PAGES = """
import resource, sys
from geodet.detection.memory import keep_freed_memory

assert not sys.argv[1:] or keep_freed_memory()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"7" * 2**26
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="GNU's C library is asked")
@pytest.mark.parametrize("keeps", [False, True])
def test_large_blocks_are_reused(keeps):
    """Count the pages of 64 MiB that the system gives anew each time."""
    command = [sys.executable, "-c", PAGES, *["keep"] * keeps]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    _, *later = map(int, done.stdout.split())
    assert (max(later) < 100) == keeps
