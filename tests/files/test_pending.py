"""The last step of an output: it replaces nothing that it does not know of."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from factories_files import names

from geodet.errors import OutputError
from geodet.files.outputs import replace_folder, replacing
from geodet.files.pending import PendingFile, PendingFolder


def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "found.gpkg"
    with pytest.raises(OutputError, match="another program has created or changed it") as told:
        _write_while_another_does(path)
    (kept,) = tmp_path.glob("found.complete-*.gpkg")
    assert kept.name in told.value.hint
    assert (path.read_text(), kept.read_text()) == ("theirs", "ours")
    assert names(tmp_path) == sorted(["found.gpkg", kept.name])


def _write_while_another_does(path):
    with replacing(path) as temporary:
        temporary.write_text("ours")
        path.write_text("theirs")


def test_without_links_a_file_that_comes_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError("no links on this drive")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    with replacing(tmp_path / "alone.gpkg") as temporary:
        temporary.write_text("ours")
    with pytest.raises(OutputError, match="another program has created or changed it"):
        _write_while_another_does(tmp_path / "found.gpkg")
    assert len(names(tmp_path)) == 3


def test_a_file_that_cannot_be_renamed_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "found.gpkg"
    path.write_text("old")

    def fail(*_):
        raise PermissionError(13, "open in another program")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with (
            pytest.raises(OutputError, match="open in another program; the complete result is"),
            replacing(path) as temporary,
        ):
            temporary.write_text("new")
    (kept,) = tmp_path.glob("found.complete-*.gpkg")
    assert (path.read_text(), kept.read_text()) == ("old", "new")


def fill(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "a").write_text(text)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_that_comes_or_is_filled_meanwhile_is_not_replaced(tmp_path, is_there):
    out = tmp_path / "out"
    if is_there:
        out.mkdir()

    def write():
        with replace_folder(out) as folder:
            (folder / "a").write_text("ours")
            fill(out, "theirs")

    with pytest.raises(OutputError, match="another program has created or changed it") as told:
        write()
    (kept,) = tmp_path.glob("out.complete-*")
    assert kept.name in told.value.hint
    assert ((out / "a").read_text(), (kept / "a").read_text()) == ("theirs", "ours")
    assert names(tmp_path) == ["out", kept.name]


@pytest.mark.parametrize("change", ["adds", "changes", "removes"])
def test_a_folder_that_somebody_changes_meanwhile_is_not_replaced(tmp_path, change):
    out = tmp_path / "out"
    fill(out, "old")

    def write():
        with replace_folder(out) as folder:
            (folder / "a").write_text("new")
            if change == "adds":
                (out / "deep").mkdir()
                (out / "deep" / "notes.txt").write_text("mine")
            elif change == "changes":
                os.utime(out / "a", ns=(1, 1))
            else:
                (out / "a").unlink()
                (out / "b").write_text("mine")

    with pytest.raises(OutputError, match="another program has created or changed it"):
        write()
    (kept,) = tmp_path.glob("out.complete-*")
    assert (kept / "a").read_text() == "new"
    assert names(tmp_path) == ["out", kept.name]
    assert {"adds": "deep", "changes": "a", "removes": "b"}[change] in names(out)


def test_a_file_where_the_folder_should_be_is_not_replaced(tmp_path):
    def write():
        with replace_folder(tmp_path / "out"):
            (tmp_path / "out").write_text("theirs")

    with pytest.raises(OutputError, match="another program has created or changed it"):
        write()
    assert (tmp_path / "out").read_text() == "theirs"


WRITE = """
    import sys
    from pathlib import Path
    from geodet.files.outputs import replace_folder, replacing
    path = Path(sys.argv[1])
    if path.suffix:
        with replacing(path) as temporary:
            temporary.write_text(sys.argv[2])
            print("written", flush=True)
            sys.stdin.readline()
    else:
        with replace_folder(path) as temporary:
            (temporary / "a").write_text(sys.argv[2])
            print("written", flush=True)
            sys.stdin.readline()
"""


def start(path, text):
    command = [sys.executable, "-c", textwrap.dedent(WRITE), str(path), text]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = subprocess.Popen(command, text=True, **pipes)
    assert child.stdout.readline() == "written\n"
    return child


@pytest.mark.parametrize("name", ["found.gpkg", "found"])
def test_of_two_programs_that_write_one_new_output_the_second_keeps_its_own(tmp_path, name):
    path = tmp_path / name
    with start(path, "first") as first, start(path, "second") as second:
        first.communicate("\n")
        _, told = second.communicate("\n")
    assert (first.returncode, second.returncode) == (0, 1)
    assert "another program has created or changed it meanwhile" in told
    (kept,) = tmp_path.glob("found.complete-*")
    texts = [(one / "a" if one.is_dir() else one).read_text() for one in (path, kept)]
    assert texts == ["first", "second"]
    assert names(tmp_path) == sorted([name, kept.name])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
@pytest.mark.parametrize("name", ["found.gpkg", "found"])
def test_what_a_killed_program_has_left_is_removed_by_the_next(tmp_path, name):
    with start(tmp_path / name, "first") as child:
        child.kill()
    assert [one[:8] for one in names(tmp_path)] == [".geodet-"]
    (PendingFile if "." in name else PendingFolder)(tmp_path / name).abort()
    assert names(tmp_path) == ([] if child.returncode else None)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such attribute")
def test_an_output_that_becomes_immutable_meanwhile_stays_and_the_new_one_is_kept(tmp_path):
    path = tmp_path / "found.gpkg"
    path.write_text("old")
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("this drive or user cannot make a file immutable")
    try:
        with (
            pytest.raises(OutputError, match="the complete result is") as told,
            replacing(path) as temporary,
        ):
            temporary.write_text("new")
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    (kept,) = tmp_path.glob("found.complete-*.gpkg")
    assert kept.name in told.value.hint
    assert (path.read_text(), kept.read_text()) == ("old", "new")
