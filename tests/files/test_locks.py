import contextlib
import os
import subprocess
import sys

import pytest
from factories_files import names

from geodet.errors import OutputError
from geodet.files import locks
from geodet.files.locks import locked_output

HOLD = """
import sys
from pathlib import Path
from geodet.files.locks import locked_output
with locked_output(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_told_who_holds_the_output(tmp_path):
    output = tmp_path / "out.gpkg"
    with (
        locked_output(output),
        pytest.raises(
            OutputError, match=rf"writing .*out\.gpkg: process {os.getpid()} on "
        ) as told,
        locked_output(output),
    ):
        pass
    assert told.value.path == output


def test_a_lock_ends_with_the_block_and_leaves_no_file(tmp_path):
    output = tmp_path / "out.gpkg"
    with contextlib.suppress(KeyboardInterrupt), locked_output(output):
        assert names(tmp_path) == [".geodet-out.gpkg.lock"]
        raise KeyboardInterrupt
    assert names(tmp_path) == []
    with locked_output(output):
        pass


def test_other_outputs_are_free(tmp_path):
    with locked_output(tmp_path / "a.gpkg"), locked_output(tmp_path / "b.gpkg"):
        assert len(names(tmp_path)) == 2


def test_the_lock_of_a_process_ends_when_it_is_killed(tmp_path):
    output = tmp_path / "out.gpkg"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout.readline().strip() == b"held"
        with (
            pytest.raises(OutputError, match=f"process {child.pid} on .*, since 20"),
            locked_output(output),
        ):
            pass
        child.kill()
    assert names(tmp_path) == [".geodet-out.gpkg.lock"]
    with locked_output(output):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_lock_file_that_nobody_holds_locks_nothing(tmp_path, content):
    (tmp_path / ".geodet-out.gpkg.lock").write_text(content)
    with locked_output(tmp_path / "out.gpkg"):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("text", ["", "3", "[" * 100_000 + "]" * 100_000, "9" * 5000])
def test_a_lock_file_of_other_content_names_no_process(tmp_path, text):
    path = tmp_path / "a.lock"
    path.write_text(text)
    assert locks._holder(path) == "a process that has just started"
