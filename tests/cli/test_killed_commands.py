"""`geodet tile` and `geodet export` leave nothing half-written, however they end."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import rasterio
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures
from factories_vectors import found, part, write
from pyproj import CRS

from geodet.files import leftovers
from geodet.tilesets import tile

# Stops where the output is written in part, and says so.
CHILD = """
    import sys, time
    from pathlib import Path
    from geodet.tilesets import tile
    from geodet_cli.main import run

    def stop(*_):
        print("inside", flush=True)
        time.sleep(60)

    def write_half(path, content):
        path.open("wb").write(content[:100])
        stop()

    tile.write_tileset, Path.write_bytes = stop, write_half
    sys.argv = ["geodet", *sys.argv[1:]]
    run()
"""


@pytest.fixture(params=["tile", "export"])
def command(request, make_scene, tiny_path, tmp_path):
    """Return the arguments of a command; its output is named out."""
    if request.param == "export":
        return ["export", str(tiny_path), "-o", "out.onnx", "--reader", "plain"]
    make_scene(width=300, height=300)
    labels = part(found(40), **_place(tmp_path / "scene.tif"))
    write(tmp_path / "labels.gpkg", labels)
    return ["tile", "scene.tif", "--labels", "labels.gpkg", "-o", "out", "--chip-size", "64"]


def _place(path):
    with rasterio.open(path) as scene:
        return {"transform": scene.transform, "crs": CRS.from_user_input(scene.crs)}


def names(folder):
    return {path.name for path in folder.iterdir()}


def end(folder, command, number):
    """Start a command, and end it with a signal where its output is written in part."""
    arguments = [sys.executable, "-c", textwrap.dedent(CHILD), *command]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, cwd=folder, **pipes) as child:
        for line in child.stdout:
            if line == "inside\n":
                break
        half = names(folder)
        child.send_signal(number)
        _, told = child.communicate(timeout=60)
    return child.returncode, half, told


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_command_that_is_killed_leaves_what_the_next_one_removes(command, tmp_path, invoke):
    before = names(tmp_path)
    code, half, _ = end(tmp_path, command, signal.SIGKILL)
    assert code == -signal.SIGKILL
    (left,) = names(tmp_path) - before
    assert left.startswith(".geodet-")
    assert left in half
    leftovers._remove_once.cache_clear()  # this process has looked here before
    invoke(*command)
    (output,) = names(tmp_path) - before
    assert output.startswith("out")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_command_that_is_told_to_end_leaves_nothing(command, tmp_path, name, code):
    before = names(tmp_path)
    ended, half, told = end(tmp_path, command, getattr(signal, name))
    assert ended == code, told
    assert len(half - before) == 1
    assert names(tmp_path) == before
    assert "Traceback" not in told


@pytest.mark.parametrize("is_there", [True, False])
def test_a_full_disk_leaves_what_was_there(command, tmp_path, invoke, monkeypatch, is_there):
    if is_there:
        invoke(*command)
        command = [*command, "--overwrite"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tile, "write_tileset", fail)
    monkeypatch.setattr(Path, "write_bytes", fail)
    assert "No space left on device" in invoke(*command, code=1).stderr
    monkeypatch.undo()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
