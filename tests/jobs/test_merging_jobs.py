"""A job that is planned, searched in shards and merged: the rows of one process."""

import os
import re
import shutil
from contextlib import closing
from pathlib import Path

import geopandas
import numpy as np
import pytest
from affine import Affine
from factories_photographs import nadir_pose, write_photograph
from pretended_predictor import SMALL
from pyproj import CRS

from geodet.detection import window_plan
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.scene_for_model import open_for_model
from geodet.documents.values import counted
from geodet.errors import ConfigError, OutputError, SceneError
from geodet.geometry.geobox import GeoBox
from geodet.jobs.job_folder import open_job
from geodet.jobs.job_summary import summarise_job
from geodet.jobs.merge import MergeRun
from geodet.jobs.planning import plan_job
from geodet.jobs.pool_engines import ProcessEngine
from geodet.jobs.pooled_shard import search_shard
from geodet.jobs.shard_run import run_shard
from geodet.jobs.shards import Shard
from geodet.onnx.backend import load_model
from geodet.raster.geotiff import write_raster
from geodet.vector.vector_summary import summarise_vector
from geodet_cli.describe import vector_fields

CONFIG = SMALL.model_copy(update={"batch_size": 3, "join_fragments": True})
CPU = DetectOptions(device="cpu")


@pytest.fixture(scope="module", autouse=True)
def one_county():
    """Plan bands of one row, take painted noise for imagery, and date all files alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_plan, "_BAND_PIXELS", 1)
        patch.setattr(window_plan, "_BAND_BATCHES", 0)
        patch.setattr("geodet.detection.value_range._NOISE", -1.0)
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        yield


@pytest.fixture(scope="module")
def model_path(make_model):
    return make_model()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Paint three scenes, of which two overlap and one has another type; tests leave them alone."""
    folder = tmp_path_factory.mktemp("scenes")
    sizes = {"west": (200, 220, 0), "east": (200, 120, 60), "grey": (130, 90, 0)}
    for number, (name, (width, height, x)) in enumerate(sizes.items(), start=1):
        pixels = np.random.default_rng(number).integers(20, 90, (3, height, width))
        place = Affine(0.6, 0, 500_000 + x, 0, -0.6, 4_500_000)
        is_grey = name == "grey"
        geobox = GeoBox(width, height, place, CRS.from_epsg(32634 if is_grey else 32633))
        stored = (pixels * 257).astype(np.uint16) if is_grey else pixels.astype(np.uint8)
        write_raster(folder / f"{name}.tif", stored, geobox)
    return [folder / f"{name}.tif" for name in sizes]


@pytest.fixture(scope="module")
def planned(scenes, model_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "planned"
    return plan_job(scenes, model_path, CONFIG, CPU, folder=folder, sample_seconds=0)


@pytest.fixture(scope="module")
def searched(planned):
    """Search a copy of the job in three shards; return its folder and what the shards said."""
    folder = planned.folder.with_name("searched")
    shutil.copytree(planned.folder, folder)
    return folder, search(open_job(folder), 3)


@pytest.fixture
def job(planned, tmp_path):
    """Return a copy of the job that is planned."""
    return open_job(shutil.copytree(planned.folder, tmp_path / "job"))


@pytest.fixture
def searched_job(searched, tmp_path):
    """Return a copy of the job that is searched."""
    return open_job(shutil.copytree(searched[0], tmp_path / "job"))


@pytest.fixture
def plan(model_path, tmp_path):
    """Return a function that plans a job of other scenes or settings."""

    def plan(scenes, config=CONFIG, options=CPU):
        folder = tmp_path / "job"
        report = plan_job(scenes, model_path, config, options, folder=folder, sample_seconds=0)
        return report, open_job(folder)

    return plan


def merge(job, *outputs, **options):
    allow_missing = options.pop("allow_missing", False)
    run = MergeRun(job, outputs, DetectOptions(**options), allow_missing=allow_missing)
    for _ in run:
        pass
    return run.report


def search(job, count=1, **options):
    return [run_shard(job, Shard(n, count), device="cpu", **options) for n in range(1, count + 1)]


def test_three_shards_write_what_one_process_writes(
    scenes, planned, searched, searched_job, model_path, tmp_path
):
    model = load_model(model_path)
    whole = [tmp_path / f"whole.{ending}" for ending in ("gpkg", "parquet")]
    before = detect_to_files(scenes, whole, model, CONFIG, CPU)
    report, shards = planned, searched[1]
    merged = [tmp_path / f"merged.{ending}" for ending in ("gpkg", "parquet")]
    after = merge(searched_job, *merged)
    for one, other in zip(whole, merged, strict=True):
        assert other.read_bytes() == one.read_bytes()
    assert after.detections == before.detections
    assert (after.chips, after.capped, after.values) == (before.chips, before.capped, before.values)
    assert sum(after.labels.values()) > 100
    assert [shard.computed for shard in shards] == [shard.bands for shard in shards]
    assert sum(shard.bands for shard in shards) == report.bands
    assert report.overlaps == 1
    assert report.crs == {"EPSG:32633": 2, "EPSG:32634": 1}


def test_a_shard_is_computed_once_and_a_lost_part_again(searched_job):
    parts = sorted((searched_job.folder / "parts").rglob("*.parquet"))
    before = {path: path.stat().st_mtime_ns for path in parts}
    lost = parts[2]
    lost.unlink()
    again = search(searched_job, 2)
    assert sum(shard.computed for shard in again) == 1
    assert {path for path in parts if path.stat().st_mtime_ns != before[path]} == {lost}


def test_files_for_each_scene_and_an_area_of_interest(scenes, plan, model_path, tmp_path):
    bounds = (500_020.0, 4_499_920.0, 500_100.0, 4_499_990.0)
    options = DetectOptions(device="cpu", bounds=bounds, bounds_crs="EPSG:32633")
    (tmp_path / "whole").mkdir()
    model = load_model(model_path)
    detect_to_files(scenes[:2], [tmp_path / "whole" / "*.geojson"], model, CONFIG, options)
    report, job = plan(scenes[:2], options=options)
    assert report.windows < 40
    search(job, 2)
    merge(job, tmp_path / "merged" / "*.geojson")
    for name in ("west.geojson", "east.geojson"):
        found = (tmp_path / "merged" / name).read_bytes()
        assert found == (tmp_path / "whole" / name).read_bytes()
        assert len(found) > 1000


def test_missing_parts_are_named_and_may_be_written_as_not_examined(searched_job, tmp_path, caplog):
    job = searched_job
    for part in job.store(1).folder.glob("*.parquet"):
        part.unlink()
    with pytest.raises(OutputError, match=r"bands of .*job are not computed yet: ") as refused:
        merge(job, tmp_path / "out.gpkg")
    assert "east.tif: " in str(refused.value)
    assert refused.value.hint.startswith(f"geodet detect --job {job.folder}")
    page = tmp_path / "page.html"
    report = merge(job, tmp_path / "out.gpkg", allow_missing=True, report=page)
    assert report.not_examined > 0
    assert f"east.tif: areas that were not examined: {report.not_examined}" in caplog.text
    assert f"areas that were not examined: {report.not_examined}" in page.read_text()
    told = vector_fields(summarise_vector(tmp_path / "out.gpkg"))["not examined"]
    assert told == f"{counted(report.not_examined, 'area')}, unreadable or not computed"
    assert "could not be read" not in caplog.text + page.read_text()
    assert sum(report.labels.values()) > 0


def cut_off(path):
    path.write_bytes(path.read_bytes()[:2000])


def damage_within(path):
    """Clear the rows of a part between its ends, which only reading it shows."""
    content = path.read_bytes()
    rows = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:4] + bytes(rows - 4) + content[rows:])


def refuse_to_open(monkeypatch, refused, *, after=0):
    """Refuse to open a file, but for the first times."""
    opened, left = Path.open, [after]

    def open_or_fail(path, *args, **options):
        if path == refused:
            left[0] -= 1
            if left[0] < 0:
                raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", open_or_fail)


def names_of(folder):
    return {path.name for path in folder.iterdir()}


def test_a_part_that_is_cut_off_counts_as_missing_and_is_computed_again(
    searched_job, tmp_path, caplog
):
    job = searched_job
    part = job.store(1).folder / "000001.parquet"
    whole, out = part.read_bytes(), tmp_path / "out.gpkg"
    cut_off(part)
    about = summarise_job(job.folder)
    assert (about.bands - about.computed, about.complete_scenes) == (1, 2)
    assert not about.is_complete
    assert "000001.parquet counts as missing: it is cut off or damaged" in caplog.text
    before = names_of(tmp_path)
    with pytest.raises(OutputError, match=r"1 of \d+ bands of .* not computed yet: east\.tif: 1\n"):
        merge(job, out)
    assert names_of(tmp_path) == before
    assert merge(job, out, allow_missing=True).not_examined == 1
    assert sum(shard.computed for shard in search(job, 2)) == 1
    assert part.read_bytes() == whole
    assert merge(job, out, overwrite=True).not_examined == 0


def test_a_part_that_is_damaged_within_is_an_error_of_the_merge(searched_job, tmp_path, caplog):
    job, out = searched_job, tmp_path / "out.gpkg"
    part = job.store(1).folder / "000001.parquet"
    damage_within(part)
    with pytest.raises(OutputError, match=r"000001\.parquet cannot be merged: ") as refused:
        merge(job, out)
    assert refused.value.path == part
    assert "\n\n" not in str(refused.value)
    assert refused.value.hint.startswith(f"remove it, and geodet detect --job {job.folder} ")
    assert not out.exists()
    assert merge(job, out, allow_missing=True).not_examined == 1
    assert "000001.parquet cannot be merged: " in caplog.text
    assert "is computed again" not in caplog.text
    part.unlink()
    search(job)
    assert merge(job, out, overwrite=True).not_examined == 0


@pytest.mark.parametrize(
    "changes", [{"score_threshold": 0.4}, {"chip_size": 96}, {"batch_size": 2}]
)
def test_a_part_of_a_job_with_other_settings_counts_as_missing(
    scenes, searched_job, model_path, tmp_path, changes, caplog
):
    other = tmp_path / "other"
    config = CONFIG.model_copy(update=changes)
    plan_job(scenes, model_path, config, CPU, folder=other, sample_seconds=0)
    part = searched_job.store(1).folder / "000001.parquet"
    open_job(other).store(1).write(1, searched_job.store(1).read_intact(1))
    shutil.copyfile(open_job(other).store(1).path_of(1), part)
    expect_missing(searched_job, tmp_path / "out.gpkg", caplog)


@pytest.mark.parametrize("place", [(0, 1), (1, 2)])
def test_a_part_in_the_place_of_another_counts_as_missing(searched_job, tmp_path, place, caplog):
    part, (scene, band) = searched_job.store(1).folder / "000001.parquet", place
    shutil.copyfile(searched_job.store(scene).path_of(band), part)
    expect_missing(searched_job, tmp_path / "out.gpkg", caplog)


def expect_missing(job, out, caplog):
    """Check that info, merge and search agree on a part that is not of its place."""
    about = summarise_job(job.folder)
    assert about.bands - about.computed == 1
    assert "000001.parquet counts as missing: it was computed for another job, sc" in caplog.text
    with pytest.raises(OutputError, match=r"1 of \d+ bands of .* not computed yet: east\.tif: 1\n"):
        merge(job, out)
    assert not out.exists()
    assert merge(job, out, allow_missing=True).not_examined == 1
    assert sum(shard.computed for shard in search(job, 2)) == 1
    assert merge(job, out, overwrite=True).not_examined == 0


@pytest.mark.parametrize("allow_missing", [False, True])
@pytest.mark.parametrize("after", [0, 1])
def test_a_part_that_the_system_does_not_let_be_read_is_an_error_of_the_merge(
    searched_job, tmp_path, monkeypatch, after, allow_missing
):
    part = searched_job.store(1).folder / "000001.parquet"
    refuse_to_open(monkeypatch, part, after=after)  # to check it, or to read it
    match = r"000001\.parquet cannot be read: Permission denied"
    with pytest.raises(OutputError, match=match) as refused:
        merge(searched_job, tmp_path / "out.gpkg", allow_missing=allow_missing)
    assert refused.value.path == part
    assert not (tmp_path / "out.gpkg").exists()


def test_a_part_that_is_removed_during_the_merge_is_an_error_of_it(searched_job, tmp_path):
    job, out = searched_job, tmp_path / "out.gpkg"
    run = MergeRun(job, [out], DetectOptions())
    (job.store(1).folder / "000001.parquet").unlink()
    with pytest.raises(OutputError, match=r"000001\.parquet no longer exists"):
        list(run)
    assert not out.exists()


def test_a_shard_computes_a_part_again_that_the_system_does_not_let_be_read(
    searched_job, monkeypatch, caplog
):
    refuse_to_open(monkeypatch, searched_job.store(1).folder / "000001.parquet")
    assert sum(shard.computed for shard in search(searched_job, 2)) == 1
    assert "000001.parquet counts as missing: " in caplog.text
    about = summarise_job(searched_job.folder)
    assert about.bands - about.computed == 1


def test_a_shard_looks_at_each_of_its_own_parts_once(searched_job, monkeypatch):
    looked = list[Path]()
    opened = Path.open

    def note(path, *args, **options):
        looked.extend([path] if path.suffix == ".parquet" else [])
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", note)
    bands = [search_shard(searched_job, Shard(n, 3), device="cpu").bands for n in (1, 2, 3)]
    engine = ProcessEngine(["cpu", "cpu"])
    assert search_shard(searched_job, Shard(1, 3), engine=engine).computed == 0
    assert len(looked) == sum(bands) + bands[0]
    assert len(set(looked)) == sum(bands)


def test_a_scene_that_cannot_be_read_is_left_out_until_it_is_mended(scenes, plan, tmp_path):
    scenes = [Path(shutil.copy2(scene, tmp_path)) for scene in scenes]
    _, job = plan(scenes)
    content, times = scenes[1].read_bytes(), scenes[1].stat()
    scenes[1].write_bytes(b"nothing")
    with pytest.raises(
        SceneError, match=r"scenes that could not be read: 1; .*east\.tif"
    ) as failed:
        run_shard(job, device="cpu")
    assert failed.value.report.computed > 0
    assert failed.value.hint.startswith("repair these scenes")
    assert "copy scenes with their times" not in failed.value.hint
    with pytest.raises(SceneError, match=r"1 of 3 scenes could not be read") as left_out:
        merge(job, tmp_path / "without.gpkg")
    assert left_out.value.report.detections["east.tif"] == 0
    scenes[1].write_bytes(content)
    with pytest.raises(SceneError, match="has changed since the job was planned") as changed:
        run_shard(job, device="cpu")  # the time of the last change is another
    assert "merge it into the same file with --append" in changed.value.hint
    assert "copy scenes with their times" in changed.value.hint
    assert "repair these scenes" not in changed.value.hint
    os.utime(scenes[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    run_shard(job, device="cpu")
    assert merge(job, tmp_path / "with.gpkg").detections["east.tif"] > 0


def test_a_job_of_which_no_scene_could_be_read_says_how_to_go_on(job, tmp_path):
    for number in range(3):
        job.note_failure(number, "no such file: /elsewhere/a.tif")
    with pytest.raises(SceneError, match="no such file: /elsewhere/a") as refused:
        merge(job, tmp_path / "none.gpkg")
    assert refused.value.hint.startswith(f"geodet detect --job {job.folder} ")


def test_a_merge_without_changed_scenes_says_how_they_are_added(scenes, plan, tmp_path):
    scene = Path(shutil.copy2(scenes[0], tmp_path))
    _, job = plan([scene])
    os.utime(scene, (1, 1))
    with pytest.raises(SceneError, match="has changed since the job was planned"):
        run_shard(job, device="cpu")
    with pytest.raises(SceneError, match="has changed since the job was planned") as refused:
        merge(job, tmp_path / "none.gpkg")
    assert "merge it into the same file with --append" in refused.value.hint
    assert not (tmp_path / "none.gpkg").exists()


def test_another_precision_or_version_is_refused_unless_it_is_allowed(job, monkeypatch):
    monkeypatch.setattr("geodet.jobs.shard_run.__version__", "0.0.1")
    with pytest.raises(
        ConfigError, match=re.escape("the job was started with software")
    ) as refused:
        run_shard(job, device="cpu")
    assert "--allow-mixed" in refused.value.hint
    assert run_shard(job, Shard(1, 8), device="cpu", allow_mixed=True).computed > 0


def test_a_job_is_not_replaced_by_accident(scenes, job, plan, tmp_path):
    with pytest.raises(OutputError, match="already contains a job"):
        plan(scenes)
    changed = SMALL.model_copy(update={"iou_threshold": 0.3})
    other = plan(scenes, changed, DetectOptions(device="cpu", overwrite=True))[1]
    assert job.plan.identifier != other.plan.identifier
    with pytest.raises(OutputError, match="is not the folder of a job"):
        open_job(tmp_path)


def test_a_broken_plan_is_refused(job):
    for harm in ("", "{}", "[]", '{"identifier": 3}', '{"identifier": "a"}', '{"identifier": ""}'):
        (job.folder / "job.json").write_text(harm)
        with pytest.raises(OutputError, match=r"job\.json cannot be read"):
            open_job(job.folder)


def test_what_is_read_back_is_what_was_planned(job):
    for number, scene in enumerate(job.plan.scenes):
        with open_for_model(scene.planned.path, job.model.description, CONFIG) as opened:
            assert opened.geobox == scene.planned.geobox
            assert opened.grid == scene.planned.grid
        assert len(job.plan.cut(number).bands) == len(scene.bands)
    assert job.plan.values["uint8"] is None
    assert len(job.plan.values["uint16"].mean) == 3


def test_photographs_lie_where_one_process_places_them(model_path, plan, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    about = {"lonlat": (15.0, 45.0), "film": 24, "time": "2024:05:01 10:20:30"}
    paths = [
        write_photograph(tmp_path / "a.jpg", pixels, xmp=nadir_pose(70, yaw=30.0), **about),
        write_photograph(tmp_path / "b.jpg", pixels[::-1], **about),
    ]
    whole, merged = tmp_path / "whole.gpkg", tmp_path / "merged.gpkg"
    detect_to_files(paths, [whole], load_model(model_path), CONFIG, CPU)
    _, job = plan(paths)
    search(job)
    for path in paths:
        path.unlink()
    merge(job, merged)
    for layer in ("detections", "images"):
        one, other = (geopandas.read_file(file, layer=layer) for file in (whole, merged))
        assert one.to_json() == other.to_json()
    assert geopandas.read_file(merged, layer="images")["objects"].min() > 0


def test_a_job_for_cuda_is_planned_where_there_is_none(scenes, plan, monkeypatch, caplog):
    monkeypatch.setattr("geodet.jobs.planning.has_cuda", lambda: False)
    report, job = plan(scenes[:1], options=DetectOptions(device="cuda"))
    assert (job.plan.device, report.device, report.precision) == ("cuda", "cuda", "")
    assert job.read_device() is None
    assert "windows are chosen for one with 16 GB" in caplog.text


def test_scenes_with_and_without_a_crs_are_merged_to_files_of_their_own(make_scene, plan, tmp_path):
    scenes = [make_scene("a.tif", seed=1), make_scene("bare.tif", seed=2, epsg=None)]
    report, job = plan(scenes)
    assert report.crs == {"EPSG:32633": 1, "none": 1}
    search(job)
    with pytest.raises(OutputError, match=r"1 of 2 scenes have no CRS, such as bare\.tif"):
        merge(job, tmp_path / "one.gpkg")
    found = merge(job, tmp_path / "found" / "*.geojson")
    assert {path.name for path in found.outputs} == {"a.geojson", "bare.geojson"}


def test_a_merge_to_a_folder_that_was_interrupted_goes_on(searched_job, tmp_path):
    job = searched_job
    output = tmp_path / "merged" / "*.geojson"
    with closing(iter(MergeRun(job, [output], DetectOptions()))) as parts:
        for _ in parts:
            if list(output.parent.glob("*.geojson")):
                break
    assert len(list(output.parent.glob("*.geojson"))) == 1
    assert len(merge(job, output).outputs) == 3
    assert not list(output.parent.glob("*.partial"))
    with pytest.raises(OutputError, match="exists"):
        merge(job, output)
