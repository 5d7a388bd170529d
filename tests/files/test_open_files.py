import subprocess
import sys

import pytest

from geodet.files.open_files import programs_using

HOLD = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it to administrators")
def test_a_program_that_has_a_file_open_is_named(tmp_path):
    (tmp_path / "a.gpkg").touch()
    assert programs_using(tmp_path / "a.gpkg") == []
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a.gpkg")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"open\n"
        (told,) = programs_using(tmp_path / "a.gpkg")
        child.stdin.close()
    assert told.endswith(f"(process {child.pid})")
