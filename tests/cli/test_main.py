"""The command line: what it loads, what it prints where, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import rasterio
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures

import geodet
from geodet.config.recipes import resolve_config
from geodet_cli.main import run


@pytest.mark.parametrize("arguments", [("--help",), ("detect", "-h"), ("--version",)])
def test_help_loads_neither_libraries_nor_rooms(tmp_path, arguments):
    script = (
        "import sys\n"
        f"sys.argv = ['geodet', *{arguments!r}]\n"
        "from geodet_cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as leaving:\n    assert not leaving.code\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    heavy = {"torch", "rasterio", "geopandas", "pyogrio", "pyproj", "numpy"}
    assert "typer" in loaded
    assert loaded & heavy == set()
    assert {name for name in loaded if name.partition(".")[0] == "geodet"} == {
        "geodet",
        "geodet.errors",
        "geodet.files",
        "geodet.files.version",
    }


def test_version_prints_the_version(invoke):
    assert invoke("--version").stdout.strip() == f"geodet {geodet.__version__}"


def test_python_m_geodet_is_the_command_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "geodet", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"geodet {geodet.__version__}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("detect",),
        ("nothing",),
        ("detect", "a.tif"),
        ("detect", "a.tif", "-o", "b.gpkg", "--bands", "red,,"),
        ("detect", "a.tif", "-o", "b.gpkg", "--bounds", "1,2,3"),
        ("detect", "a.tif", "-o", "b.gpkg", "--geometry", "circle"),
        ("evaluate", "--data", "d", "--split", "holdout"),
        ("detect", "a.tif", "-o", "b.gpkg", "--score-threshold", "2"),
        ("detect", "a.tif", "-o", "b.gpkg", "--score-threshold", "car=0.3,van"),
        ("detect", "a.tif", "-o", "b.gpkg", "--score-threshold", "car=1.5"),
    ],
)
def test_wrong_usage_exits_2(invoke, arguments):
    done = invoke(*arguments, code=2)
    assert done.stdout == ""
    assert "Usage" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("detect", "{scene}", "-o", "a.gpkg"), ("detect", "a.tif", "-o", "{scene}.gpkg")],
)
def test_a_relative_path_in_a_folder_that_was_removed_is_an_error(
    tmp_path, monkeypatch, capsys, make_scene, arguments
):
    scene, gone = make_scene(), tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", ["geodet", *(one.format(scene=scene) for one in arguments)])
    with pytest.raises(SystemExit, match="1"):
        run()
    assert "the current folder no longer exists\nhint: change to another" in capsys.readouterr().err


def test_the_printed_configuration_is_read_back(tmp_path, invoke):
    first = invoke("config", "--set", "detect.chip_size=640", "--config", "urban-trees")
    (tmp_path / "mine.toml").write_text(first.stdout)
    again = invoke("config", "--config", "mine.toml")
    assert again.stdout == first.stdout
    assert resolve_config(tmp_path / "mine.toml").detect.chip_size == 640
    as_json = json.loads(invoke("config", "--config", "mine.toml", "--json").stdout)
    assert as_json["detect"]["chip_size"] == 640


def test_detect_prints_data_on_stdout_and_the_rest_on_stderr(
    tmp_path, make_scene, tiny_path, invoke
):
    scene = make_scene(width=96, height=80)
    done = invoke(
        *("detect", scene, "-o", "out.gpkg", "--model", tiny_path, "--device", "cpu", "--json"),
        *("--chip-size", 64, "--overlap", 16, "--preview", "out.png"),
    )
    report = json.loads(done.stdout)
    assert report["detections"] == {scene.name: sum(report["labels"].values())}
    assert (tmp_path / "out.gpkg").is_file()
    assert (tmp_path / "out.png").is_file()


def test_the_device_that_auto_chose_is_logged(tmp_path, make_scene, tiny_path, invoke):
    scene = make_scene(width=64, height=64)
    done = invoke("detect", scene, "-o", "a.gpkg", "--model", tiny_path)
    assert "device: c" in done.stderr  # cpu or cuda
    quiet = invoke("detect", scene, "-o", "b.gpkg", "--model", tiny_path, "-q")
    assert "device" not in quiet.stderr


def test_set_overrides_options(tmp_path, make_scene, tiny_path, invoke):
    scene = make_scene(width=96, height=96, origin=(0.0, 0.0))
    common = ("detect", scene, "--model", tiny_path, "--json", "--chip-size", 64, "--overlap", 0)
    flags = invoke(*common, "-o", "a.gpkg")
    wins = invoke(*common, "-o", "b.gpkg", "--set", "detect.chip_size=48")
    assert json.loads(flags.stdout)["chips"] == 4
    assert json.loads(wins.stdout)["chips"] == 4
    wide = invoke(*common, "-o", "c.gpkg", "--set", "detect.chip_size=32")
    assert json.loads(wide.stdout)["chips"] == 9


def test_profile_prints_the_stages_and_the_slowest_on_stderr(
    tmp_path, make_scene, tiny_path, invoke
):
    scene = make_scene(width=96, height=96)
    done = invoke("detect", scene, "-o", "a.gpkg", "--model", tiny_path, "--profile", "--json")
    stages = json.loads(done.stdout)["stages"]
    assert f"bottleneck: {max(stages, key=stages.get)}" in done.stderr
    for stage in stages:
        assert f"{stage} " in done.stderr


def test_detect_reads_bands_by_name_and_keeps_to_bounds(tmp_path, make_scene, tiny_path, invoke):
    scene = make_scene(width=96, height=96)
    common = ("detect", scene, "--model", tiny_path, "--json")
    all_of_it = json.loads(invoke(*common, "-o", "a.geojsonl").stdout)["labels"]["tree"]
    with rasterio.open(scene) as opened:
        west, north = opened.transform @ (0, 0)
    bounds = f"--bounds={west},{north - 20},{west + 20},{north}"
    some = json.loads(invoke(*common, "-o", "b.csv", bounds).stdout)["labels"]["tree"]
    assert 0 < some < all_of_it
    wrong = invoke(*common, "-o", "c.gpkg", "--bands", "red,green,infra", code=1)
    assert "infra" in wrong.stderr


def test_info_describes_scenes_and_models(tmp_path, make_scene, tiny_path, invoke):
    scene = json.loads(invoke("info", make_scene(), "--json").stdout)
    assert scene["crs"] == "WGS 84 / UTM zone 33N (EPSG:32633)"
    model = json.loads(invoke("info", tiny_path, "--json").stdout)
    assert model["architecture"]["backbone"] == "resnet18"


def test_a_crs_without_an_authority_is_printed_by_name(make_scene, invoke):
    path = make_scene(crs='LOCAL_CS["site grid",UNIT["metre",1]]')
    assert json.loads(invoke("info", path, "--json").stdout)["crs"] == "site grid"


def test_models_lists_bundled_models_and_prints_a_card(invoke):
    listed = invoke("models").stdout
    assert "urban-trees" in listed
    card = invoke("models", "urban-trees").stdout
    assert "CC BY 4.0" in card
    about = json.loads(invoke("models", "urban-trees", "--json").stdout)
    assert about["classes"] == ["tree"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_exits_130_and_leaves_no_file(tmp_path, make_scene, tiny_path):
    scene = make_scene(width=3000, height=3000)
    command = [sys.executable, "-m", "geodet", "detect", str(scene), "-o", "out.gpkg"]
    command += ["--model", str(tiny_path), "--batch-size", "1", "--chip-size", "32"]
    command += ["--overlap", "16"]
    before = set(tmp_path.iterdir())
    # A shell's background job ignores Ctrl-C, and so would what it starts.
    before_us = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before_us)
    for line in process.stderr:  # it has begun when it says which device it took
        if "device" in line:
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert set(tmp_path.iterdir()) == before
