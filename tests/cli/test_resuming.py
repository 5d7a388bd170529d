"""Runs that end before their time: records, exit codes, signals, and going on."""

import json
import os
import re
import signal
import subprocess
import sys

import geopandas
import pytest
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures

from geodet.detection.journal import journal_folder
from geodet.files.locks import locked_output
from geodet.vector.gdal_formats import GeoJsonWriter

SMALL = ("--device", "cpu", "--chip-size", "64", "--overlap", "16")


@pytest.fixture
def two(make_scene, tmp_path):
    """Write two scenes, of which the second breaks off."""
    make_scene("a.tif")
    broken = make_scene("b.tif", tiled=True, origin=(500_100, 4_500_000))
    broken.write_bytes(broken.read_bytes()[:-9000])
    return tmp_path


def test_some_scenes_failed_is_exit_3_and_all_failed_is_exit_1(invoke, two, tiny_path):
    common = ("detect", "-m", tiny_path, *SMALL, "--json")
    some = invoke(*common, "a.tif", "b.tif", "-o", "some.gpkg", code=3)
    told = json.loads(some.stdout)
    assert list(told) == ["error", "hint", "scenes"]
    assert "1 of 2 scenes could not be read" in told["error"]
    assert [one["status"] for one in told["scenes"]] == ["ok", "failed"]
    assert [one["path"] for one in told["scenes"]] == [str(two / "a.tif"), str(two / "b.tif")]
    assert (two / "some.gpkg").exists()
    assert (two / "some.gpkg.scenes.csv").exists()
    alone = invoke(*common, "b.tif", "-o", "alone.gpkg", code=1)
    assert [one["status"] for one in json.loads(alone.stdout)["scenes"]] == ["failed"]
    assert not (two / "alone.gpkg").exists()
    refused = invoke(*common, "none.tif", "-o", "none.gpkg", code=1)
    assert json.loads(refused.stdout)["scenes"] == []
    assert "no such file" in json.loads(refused.stdout)["error"]
    whole = json.loads(invoke(*common, "a.tif", "-o", "whole.gpkg").stdout)
    assert [one["status"] for one in whole["scenes"]] == ["ok"]
    assert whole["scenes"][0]["detections"] == whole["detections"]["a.tif"]


def test_some_outputs_failed_is_exit_3(invoke, make_scene, tiny_path, tmp_path, monkeypatch):
    def fail(_):
        raise OSError("no space")

    make_scene()
    monkeypatch.setattr(GeoJsonWriter, "_complete", fail)
    outputs = ("-o", "a.gpkg", "-o", "b.geojson")
    done = invoke("detect", "scene.tif", "-m", tiny_path, *outputs, *SMALL, "--json", code=3)
    told = json.loads(done.stdout)
    assert "1 of 2 outputs could not be written, and a.gpkg is complete" in told["error"]
    assert "-o b.geojson alone" in told["hint"]
    assert [one["status"] for one in told["scenes"]] == ["ok"]
    assert {path.name for path in tmp_path.glob("[ab].*")} == {"a.gpkg", "b.geojson.partial"}


def test_a_second_run_on_one_output_says_who_has_it(invoke, make_scene, tiny_path, tmp_path):
    make_scene()
    with locked_output(tmp_path / "out.gpkg"):
        done = invoke("detect", "scene.tif", "-m", tiny_path, "-o", "out.gpkg", *SMALL, code=1)
        assert f"another run is writing out.gpkg: process {os.getpid()} on " in done.stderr
        journal_folder(tmp_path / "out.gpkg").mkdir()
        done = invoke("detect", "scene.tif", "-o", "out.gpkg", "--discard", code=1)
        assert "another run is writing out.gpkg" in done.stderr
    invoke("detect", "scene.tif", "-o", "out.gpkg", "--discard")
    assert [path.name for path in tmp_path.glob("out*")] == []
    nothing = invoke("detect", "scene.tif", "-o", "out.gpkg", "--discard")
    assert "out.gpkg has no unfinished run" in nothing.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_run_that_is_told_to_end_leaves_no_temporary_file(
    tmp_path, make_scene, tiny_path, name, code
):
    scene = make_scene(width=1500, height=1500)
    command = [sys.executable, "-m", "geodet", "detect", str(scene), "-o", "out.gpkg", "--json"]
    command += ["-m", str(tiny_path), *SMALL, "--batch-size", "1"]
    before = set(tmp_path.iterdir())
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:  # it has begun when it warns of the narrow overlap
        if "detect.overlap=16" in line:
            break
    process.send_signal(getattr(signal, name))
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert json.loads(printed)["error"] == "interrupted"
    left = {path.name for path in set(tmp_path.iterdir()) - before}
    assert left <= {"out.gpkg.partial"}


def start(folder, *arguments):
    command = [sys.executable, "-m", "geodet", "detect", *map(str, arguments), *SMALL]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # both compute at the same time
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)


@pytest.mark.parametrize("is_there", [True, False])
def test_of_two_programs_at_one_output_each_that_succeeds_has_its_rows_there(
    tmp_path, make_scene, tiny_path, invoke, is_there
):
    """One may come before the other, or be refused; no rows are lost while it says it is done."""
    places = {name: (500_000 + 1000 * place, 4_500_000) for place, name in enumerate("abc")}
    for name, origin in places.items():
        make_scene(f"{name}.tif", origin=origin)
    common = ("-m", tiny_path, "-o", "out.gpkg", *(("--append",) if is_there else ()))
    if is_there:
        invoke("detect", "c.tif", *common, *SMALL)
    both = {name: start(tmp_path, f"{name}.tif", *common) for name in ("a", "b")}
    told = {name: child.communicate(timeout=300) for name, child in both.items()}
    done = {f"{name}.tif" for name, child in both.items() if child.returncode == 0}
    for name, child in both.items():
        if child.returncode:
            assert child.returncode == 1, told[name]
            assert re.search(r"another run is writing|exists already", told[name][1])
    found = set(geopandas.read_file(tmp_path / "out.gpkg", layer="detections")["scene"])
    assert done
    assert found == done | ({"c.tif"} if is_there else set())
    assert len(done) == 1 or is_there
    assert not list(tmp_path.glob(".geodet-*"))
