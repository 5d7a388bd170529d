"""A database that another program works with is not replaced under it."""

import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing, contextmanager

import pytest

from geodet.errors import OutputError
from geodet.files import databases
from geodet.files.databases import check_replaceable, connect_database, run_when_free
from geodet.files.outputs import check_destination, replacing

HOLD = """
    import sqlite3, sys
    path, mode, statement = sys.argv[1:]
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.execute("INSERT INTO trees VALUES (2)")
    rows = database.execute(statement)
    rows.fetchone()
    print("held", flush=True)
    sys.stdin.readline()
"""
WRITING = ("DELETE", "BEGIN IMMEDIATE")
WAL_IDLE = ("WAL", "SELECT 1")
WAL_READING = ("WAL", "SELECT * FROM trees")
READING = ("DELETE", "SELECT * FROM trees")
IDLE = ("DELETE", "SELECT 1")


@pytest.fixture(autouse=True)
def short_wait(monkeypatch):
    monkeypatch.setattr(databases, "_WAIT_S", 0.2)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "trees.gpkg"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE trees (n)")
        database.execute("INSERT INTO trees VALUES (1)")
    return path


@contextmanager
def another_program(path, mode, statement):
    command = [sys.executable, "-c", textwrap.dedent(HOLD), str(path), mode, statement]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as child:
        assert child.stdout.readline() == "held\n"
        yield child
        child.stdin.close()
    assert child.returncode == 0


def replace(path):
    with replacing(path) as temporary:
        temporary.write_text("new")


def count(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT count(*) FROM trees").fetchone()[0]


@pytest.mark.parametrize("held", [WRITING, WAL_IDLE, WAL_READING])
def test_a_database_that_another_program_has_open_is_left_and_the_program_named(path, held):
    with another_program(path, *held) as child:
        with pytest.raises(OutputError, match=r"trees\.gpkg is locked: .*working with") as early:
            check_destination(path, [".gpkg"], overwrite=True)
        check_destination(path, [".gpkg"], overwrite=False, append=True)
        with pytest.raises(OutputError, match=r"is locked: .*; the complete result is") as caught:
            replace(path)
        (kept,) = path.parent.glob("trees.complete-*.gpkg")
        assert kept.read_text() == "new"
        assert path.with_name("trees.gpkg-wal").exists() == (held[0] == "WAL")
    if sys.platform == "linux":
        assert all(f"(process {child.pid})" in str(error.value) for error in (early, caught))
    assert "close it" in early.value.hint
    assert count(path) == 2


@pytest.mark.parametrize("held", [READING, IDLE])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no open file")
def test_a_database_that_is_read_without_a_log_is_replaced(path, held):
    with another_program(path, *held):
        check_destination(path, [".gpkg"], overwrite=True)
        replace(path)
    assert path.read_text() == "new"


def test_a_lock_is_waited_for(path, monkeypatch, caplog):
    monkeypatch.setattr(databases, "_WAIT_S", 20)
    with another_program(path, *WAL_IDLE) as child:
        monkeypatch.setattr(databases.time, "sleep", lambda _: child.stdin.close() or child.wait())
        replace(path)
    assert "waiting for another program that has locked" in caplog.text
    assert [file.name for file in path.parent.iterdir()] == ["trees.gpkg"]


def test_what_a_dead_program_has_left_is_not_lost_by_a_check(path):
    code = textwrap.dedent(HOLD).replace("sys.stdin.readline()", "import os; os._exit(0)")
    subprocess.run([sys.executable, "-c", code, str(path), *WAL_IDLE], check=True, timeout=60)
    assert path.with_name("trees.gpkg-wal").stat().st_size
    check_replaceable(path)
    assert count(path) == 2
    replace(path)
    assert [file.name for file in path.parent.iterdir()] == ["trees.gpkg"]


def test_others_cannot_write_while_it_is_replaced(path):
    with (
        databases.replacing_database(path),
        closing(connect_database(path)) as other,
        pytest.raises(OutputError, match=r"has not released it in 0\.2 s"),
    ):
        run_when_free(other, "BEGIN IMMEDIATE", path)


def test_a_log_without_its_database_is_not_replayed_into_the_new_file(tmp_path):
    path = tmp_path / "trees.gpkg"
    path.with_name("trees.gpkg-wal").write_text("of a file that is gone")
    replace(path)
    assert [file.name for file in tmp_path.iterdir()] == ["trees.gpkg"]


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"x" * 2000, b"a picture"])
def test_what_is_no_database_is_replaced(tmp_path, content):
    path = tmp_path / "trees.gpkg"
    path.write_bytes(content)
    check_replaceable(path)
    replace(path)
    assert path.read_text() == "new"
