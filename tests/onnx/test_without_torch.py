"""A detection with an ONNX file, where only the packages of requirements-detect.txt are."""

import json
import subprocess
import sys

import geopandas
import pytest
from affine import Affine
from pyproj import CRS

from geodet.models.checkpoint import load_checkpoint
from geodet.onnx.export import export_model

SCRIPT = """
import importlib.machinery, sys

OTHERS = {"torch", "torchvision", "onnx", "albumentations"} | {
    "geopandas", "pandas", "pyarrow", "pyogrio", "scipy"
}


class Without(importlib.machinery.PathFinder):  # as if they were not installed
    @classmethod
    def find_spec(cls, name, *rest):
        return None if name.split(".")[0] in OTHERS else super().find_spec(name, *rest)


sys.meta_path = [
    Without if one is importlib.machinery.PathFinder else one for one in sys.meta_path
]
from geodet_cli.main import run
try:
    run()
except SystemExit as left:
    code = left.code or 0
found = {name.split(".")[0] for name in sys.modules}
if sys.platform.startswith("linux"):
    status = open("/proc/self/status").read().split()
    print("peak kB", status[status.index("VmHWM:") + 1], file=sys.stderr)
print(sorted(found & OTHERS), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def light_geodet(tmp_path):
    """Return a function that runs a command in a process that cannot import other packages."""

    def run(*words):
        command = [sys.executable, "-c", SCRIPT, *map(str, words)]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)

    return run


def test_an_onnx_file_detects(light_geodet, make_scene, make_model, tmp_path):
    export_model(load_checkpoint(make_model()), tmp_path / "tiny.onnx", reader="plain")
    scene = make_scene(width=200, height=150)
    done = light_geodet("detect", scene, "-o", "found.gpkg", "-m", "tiny.onnx", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert sum(report["labels"].values()) > 0
    assert (report["device"], report["precision"]) == ("cpu", "float32")
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_what_is_missing_is_named(light_geodet, make_scene, make_model, device):
    words = ("detect", make_scene(), "-o", "found.gpkg", "-m", make_model(), "--device", device)
    done = light_geodet(*words)
    assert done.returncode == 1
    wanted = {"auto": "needs the package torch", "cuda": "no device 'cuda'"}[device]
    assert wanted in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.parametrize("name", ["a.gpkg", "a.csv", "a.coco.json"])
def test_a_scene_is_resampled_drawn_and_reported(light_geodet, make_scene, tmp_path, name):
    scene = make_scene(width=700, height=600, bands=3, transform=Affine(0.4, 0, 5e5, 0, -0.4, 4e6))
    extras = ("--preview", "a.png", "--report", "a.html", "--append" * (name == "a.gpkg"))
    words = ("-m", "urban-trees", "--set", "detect.precision=int8", "--json")
    done = light_geodet("detect", scene, "-o", name, *words, *filter(None, extras))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["precision"] == "int8"
    assert all((tmp_path / made).stat().st_size for made in (name, "a.png", "a.html"))
    assert done.stderr.splitlines()[-1] == "[]"


def test_what_cannot_be_read_is_written_down(light_geodet, make_scene, tmp_path):
    scene = make_scene(width=700, height=600, bands=3)
    content = scene.read_bytes()
    scene.write_bytes(content[: len(content) // 2])
    for name in ("a.gpkg", "a.csv"):
        words = ("-o", name, "-m", "urban-trees", "--on-error", "skip", "--device", "cpu")
        done = light_geodet("detect", scene, *words)
        assert done.returncode == 0, done.stderr
        assert "areas that were not examined" in done.stderr
    areas = geopandas.read_file(tmp_path / "a.gpkg", layer="not_examined")
    beside = geopandas.read_file(tmp_path / "a.csv.not_examined.geojson")
    assert len(areas) == len(beside) > 0
    assert areas.crs == CRS.from_epsg(32633)


@pytest.mark.parametrize(
    ("name", "package"), [("a.geojson", "pyogrio"), ("a.fgb", "pyogrio"), ("a.parquet", "pyarrow")]
)
def test_a_format_that_needs_more_is_refused_before_the_search(
    light_geodet, make_scene, tmp_path, name, package
):
    done = light_geodet("detect", make_scene(), "-o", name, "-m", "urban-trees")
    assert done.returncode == 1
    assert f"needs the package {package}, which is not installed" in done.stderr
    assert f"hint: python -m pip install {package}" in done.stderr
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (("detect", "SCENE", "-o", "b.gpkg", "-m", "urban-trees", "--aoi", "a.gpkg"), "pyogrio"),
        (("info", "a.gpkg"), "geopandas"),
        (("compare", "a.gpkg", "a.gpkg", "-o", "b.gpkg"), "pandas"),
    ],
)
def test_what_another_command_needs_is_named(light_geodet, make_scene, tmp_path, words, package):
    scene = make_scene()
    (tmp_path / "a.gpkg").touch()
    done = light_geodet(*(str(scene) if word == "SCENE" else word for word in words))
    assert done.returncode == 1
    assert f"error: this needs the package {package}, which is not installed" in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel for the peak")
def test_a_window_in_integers_takes_less_than_500_mib(light_geodet, make_scene):
    scene = make_scene(width=1200, height=1100, bands=3)
    words = ("-m", "urban-trees", "--set", "detect.resample=false", "--json", "--device", "cpu")
    done = light_geodet("detect", scene, "-o", "found.gpkg", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["precision"] == "int8"
    (line,) = (one for one in done.stderr.splitlines() if one.startswith("peak kB"))
    assert int(line.split()[-1]) < 500 * 1024, line
