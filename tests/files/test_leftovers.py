import os
import subprocess
import sys
import time
from pathlib import Path

from factories_files import names

from geodet.files.leftovers import name_temporary, remove_leftovers
from geodet.files.outputs import replacing

WRITE = """
import sys, os, signal
from pathlib import Path
from geodet.files.outputs import replacing
from geodet.files.pending import PendingFolder
path = Path(sys.argv[1])
folder = PendingFolder(path.with_name("text"))
(folder.temporary / "a.txt").touch()
with replacing(path) as temporary:
    temporary.touch()
    temporary.with_name(temporary.name + "-journal").touch()
    print("there", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path / "out.gpkg")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        child.stdout.readline()
        assert len(names(tmp_path)) == 2
        assert remove_leftovers(tmp_path) == []  # it lives
        child.kill()
    with replacing(tmp_path / "other.gpkg") as temporary:
        temporary.touch()
    assert names(tmp_path) == ["other.gpkg"]


def test_the_files_of_other_machines_and_other_programs_stay(tmp_path):
    mine = name_temporary(tmp_path / "a.GPKG")
    assert mine.suffix == ".gpkg"
    _, pid, _host, token = mine.name.split("-")
    others = [f".geodet-{pid}-{'0' * 8}-{token}", f".geodet-{pid}", ".geodet-a.gpkg.lock", "a.gpkg"]
    for name in (*others, mine.name):
        (tmp_path / name).touch()
    assert remove_leftovers(tmp_path) == []


def test_another_process_may_have_the_number_of_the_dead_one(tmp_path):
    mine = name_temporary(tmp_path / "a.gpkg")
    mine.touch()
    long_ago = time.time() - 10 * 365 * 86400
    os.utime(mine, (long_ago, long_ago))
    assert remove_leftovers(tmp_path) == [mine]
    assert names(tmp_path) == []


def test_a_folder_that_is_not_there_has_none():
    assert remove_leftovers(Path("/nowhere/at/all")) == []
