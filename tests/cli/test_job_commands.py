"""The verbs of a job: plan, detect --job, merge."""

import json

import pytest
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures

SMALL = ("--chip-size", 64, "--overlap", 16, "--set", "detect.precision=float32")


@pytest.fixture(autouse=True)
def _bands_of_one_date(bands_of_one_row, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def job(invoke, make_scene, tiny_path):
    """Plan a job of two scenes; return how."""
    make_scene("a.tif", width=150, height=200)
    make_scene("b.tif", width=150, height=200, seed=1, origin=(500_050.0, 4_500_000.0))
    how = ("a.tif", "b.tif", "-m", tiny_path, "--device", "cpu", *SMALL)
    invoke("plan", *how, "-o", "job", "--no-sample")
    return how


def test_a_job_in_shards_writes_the_file_of_one_command(invoke, job, tmp_path, monkeypatch):
    invoke("detect", *job, "-o", "whole.gpkg")
    said = invoke("detect", "--job", "job", "--shard", "1/3", "--device", "cpu").stdout
    assert said.startswith("shard 1/3: ")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    for name, value in {"MIN": 1, "MAX": 3, "COUNT": 3}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    assert invoke("detect", "--job", "job").stdout.startswith("shard 2/3: ")
    missing = invoke("merge", "job", "-o", "merged.gpkg", code=1).stderr
    assert "not computed yet: b.tif: " in missing
    assert "geodet detect --job job" in missing
    report = json.loads(invoke("detect", "--job", "job", "--shard", "3/3", "--json").stdout)
    assert report["computed"] == report["bands"] > 0
    assert " x tree" in invoke("merge", "job", "-o", "merged.gpkg").stdout
    assert (tmp_path / "merged.gpkg").read_bytes() == (tmp_path / "whole.gpkg").read_bytes()


def test_a_merge_that_is_interrupted_between_its_outputs_goes_on(
    invoke, job, tmp_path, monkeypatch
):
    invoke("detect", "--job", "job", "--device", "cpu")
    command = ("merge", "job", "-o", "merged.gpkg", "-o", "merged.geojson")

    def interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("geodet.vector.gdal_formats.GeoJsonWriter._complete", interrupt)
        invoke(*command, code=130)
    assert (tmp_path / "merged.gpkg").exists()
    invoke(*command)
    assert (tmp_path / "merged.geojson").exists()
    assert not list(tmp_path.glob("*.partial"))


def test_info_says_how_far_a_job_is(invoke, job):
    before = json.loads(invoke("info", "job", "--json").stdout)
    assert (before["scenes"], before["computed"], before["complete_scenes"]) == (2, 0, 0)
    assert before["crs"] == {"EPSG:32633": 2}
    invoke("detect", "--job", "job", "--shard", "1/2", "--device", "cpu")
    half = invoke("info", "job").stdout
    done = json.loads(invoke("info", "job", "--json").stdout)["computed"]
    assert 0 < done < before["bands"]
    assert f"{done} of {before['bands']} computed" in half
    assert "geodet detect --job job" in half
    invoke("detect", "--job", "job", "--device", "cpu")
    whole = invoke("info", "job").stdout
    assert "2, 2 complete" in whole
    assert "geodet merge job -o FILE" in whole


def test_info_names_the_scenes_of_a_job_that_cannot_be_read(invoke, job, tmp_path):
    content = (tmp_path / "b.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(b"nothing")
    invoke("detect", "--job", "job", "--device", "cpu", code=3)
    (tmp_path / "b.tif").write_bytes(content)
    assert "cannot be read: b.tif" in invoke("info", "job").stdout


def test_a_plan_without_a_folder_only_prints(invoke, make_scene, tiny_path, tmp_path):
    make_scene("a.tif", width=150, height=200)
    before = set(tmp_path.iterdir())
    how = ("a.tif", "-m", tiny_path, "--device", "cpu", *SMALL)
    printed = invoke("plan", *how).stdout
    assert "EPSG:32633 (1)" in printed
    assert " Mpx/s" in printed
    report = json.loads(invoke("plan", *how, "--json").stdout)
    assert report["scenes"] == 1
    assert report["seconds"] > 0
    assert set(tmp_path.iterdir()) == before


def test_what_the_plan_has_fixed_is_refused_with_a_job(invoke, job):
    for given in (["a.tif"], ["--tta"], ["-m", "vehicles"], ["--set", "detect.tta=true"]):
        refused = invoke("detect", "--job", "job", *given, code=2).stderr
        assert "cannot be used with --job: give it to geodet plan" in " ".join(refused.split())
    for given in (["-o", "out.gpkg"], ["--preview", "a.png"], ["--geometry", "centroid"]):
        refused = invoke("detect", "--job", "job", *given, code=2).stderr
        assert "give it to geodet merge" in " ".join(refused.split())
    refused = invoke("detect", "--job", "job", "--restart", code=2).stderr
    assert "a job always continues where it stopped" in " ".join(refused.split())
    assert "needs --job" in invoke("detect", "a.tif", "--shard", "1/2", code=2).stderr
    refused = invoke("detect", "--job", "job", "--ray-address", "auto", code=2).stderr
    assert "needs --engine ray" in refused
    assert "Missing argument 'SCENES...'" in invoke("detect", code=2).stderr
    assert "Missing option '--output'" in invoke("detect", "a.tif", code=2).stderr


def test_scenes_that_cannot_be_opened_or_read_are_named(invoke, make_scene, tiny_path, tmp_path):
    make_scene("a.tif", width=90, height=90)
    broken = make_scene("b.tif", width=90, height=90)
    content = broken.read_bytes()
    broken.write_bytes(b"nothing")
    how = ("a.tif", "b.tif", "-m", tiny_path, "--device", "cpu", *SMALL, "--no-sample")
    planned = invoke("plan", *how, "-o", "job", code=3)
    assert "cannot be opened" in planned.stdout
    assert "b.tif" in planned.stderr
    invoke("detect", "--job", "job", "--device", "cpu")
    assert "1 of 2 scenes could not be read" in invoke("merge", "job", "-o", "a.csv", code=3).stderr
    broken.write_bytes(content)
    invoke("plan", *how, "-o", "job", "--overwrite")
    broken.write_bytes(content[: len(content) // 2])
    failed = invoke("detect", "--job", "job", "--device", "cpu", code=3)
    assert "shard 1/1: " in failed.stdout
    assert "b.tif" in failed.stderr
    assert (tmp_path / "a.csv").exists()


def test_several_processes_write_the_file_of_one(invoke, job, tmp_path):
    invoke("detect", *job, "-o", "whole.gpkg")
    invoke("detect", *job, "-o", "two.gpkg", "--processes", 2)
    assert (tmp_path / "two.gpkg").read_bytes() == (tmp_path / "whole.gpkg").read_bytes()
    said = invoke("detect", "--job", "job", "--device", "cpu", "--processes", 2).stdout
    assert said.startswith("shard 1/1: ")
    invoke("merge", "job", "-o", "merged.gpkg")
    assert (tmp_path / "merged.gpkg").read_bytes() == (tmp_path / "whole.gpkg").read_bytes()
    refused = invoke("detect", *job, "-o", "x.gpkg", "--processes", 2, "--profile", code=2).stderr
    assert "cannot be used with several processes" in refused
    assert (
        "no CUDA devices"
        in invoke("detect", *job, "-o", "x.gpkg", "--device", "all", code=1).stderr
    )
