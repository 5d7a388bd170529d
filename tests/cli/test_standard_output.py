"""``-o -``: a line of GeoJSON for each object on standard output, and nothing else there."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures

SMALL = ("--device", "cpu", "--chip-size", "64", "--overlap", "16")


class _ClosedPipe:
    """Standard output whose reader leaves after two lines."""

    encoding = "utf-8"

    def __init__(self):
        self.lines = []

    def isatty(self):
        return False

    def write(self, text):
        if len(self.lines) == 2:
            raise BrokenPipeError
        self.lines.append(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        pass

    def fileno(self):
        raise OSError


def test_lines_are_the_objects_of_a_file(invoke, make_scene, tiny_path, tmp_path):
    make_scene()
    common = ("detect", "scene.tif", "-m", tiny_path, *SMALL)
    done = invoke(*common, "-o", "-", "-o", "found.gpkg")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    stored = geopandas.read_file(tmp_path / "found.gpkg", layer="detections").to_crs(4326)
    assert len(lines) == len(stored) > 0
    streamed = geopandas.GeoDataFrame.from_features(lines, crs=4326)
    for name in ("label", "score", "scene", "x1_px", "area_m2"):
        assert streamed[name].tolist() == pytest.approx(stored[name].tolist(), abs=1e-9)
    away = shapely.hausdorff_distance(streamed.geometry.values, stored.geometry.values)
    assert np.max(away) < 1e-8
    assert f"{len(lines)} x " in done.stderr
    assert "found.gpkg" in done.stderr
    assert invoke(*common, "-o", "-", "--geometry", "centroid").stdout.count('"Point"') == len(
        lines
    )


def test_a_reader_that_leaves_ends_the_run_without_a_message(
    invoke, make_scene, tiny_path, monkeypatch
):
    make_scene()
    pipe = _ClosedPipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    done = invoke("detect", "scene.tif", "-m", tiny_path, *SMALL, "-o", "-", "-q", code=141)
    assert len(pipe.lines) == 2
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--json",), "writes to standard output, too"),
        (("--format", "gpkg"), "standard output takes GeoJSON lines, not gpkg"),
        (("--append",), "needs a file besides -o -"),
        (("--discard",), "needs a file besides -o -"),
        (("--count-by", "stands.gpkg"), "needs a file besides -o -"),
    ],
)
def test_what_needs_a_file_is_refused(invoke, options, said):
    assert said in invoke("detect", "scene.tif", "-o", "-", *options, code=2).stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [("config",), ("models",), ("--help",), ("info", "vehicles")])
def test_standard_output_on_a_full_disk_is_named(words):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "geodet", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "error: cannot write to standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_lines_on_a_full_disk_are_named(invoke, make_scene, tiny_path, monkeypatch):
    class Full(_ClosedPipe):
        def write(self, _text):
            raise OSError(errno.ENOSPC, "No space left on device")

    make_scene()
    monkeypatch.setattr(sys, "stdout", Full())
    done = invoke("detect", "scene.tif", "-m", tiny_path, *SMALL, "-o", "-", "-q", code=1)
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"
