"""A file for each scene in place of one for all."""

import csv
import json
import shutil

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures

import geodet
from geodet.detection.journal import journal_folder
from geodet.detection.scene_files import to_output
from geodet.errors import OutputError

SMALL = ("--device", "cpu", "--chip-size", "64", "--overlap", "16")
WINDOWS = {"device": "cpu", "chip_size": 64, "overlap": 16}
COLUMNS = ["label", "score", "x1_px", "y1_px", "x2_px", "y2_px"]


def rows(path):
    frame = gpd.read_file(path, **({"layer": "detections"} if path.suffix == ".gpkg" else {}))
    ordered = frame.sort_values(COLUMNS).reset_index(drop=True)
    return ordered.drop(columns=[name for name in ("id", "fid") if name in ordered])


def same(one, other):
    pd.testing.assert_frame_equal(rows(one)[COLUMNS], rows(other)[COLUMNS])
    assert rows(one).geometry.geom_equals_exact(rows(other).geometry, 1e-6).all()
    assert rows(one).crs == rows(other).crs


@pytest.fixture
def scenes(make_scene, tmp_path):
    """Write three scenes of which two overlap and two share a stem, in two CRSs."""
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
    return [
        make_scene("north/a.tif", seed=1),
        make_scene("south/a.tif", seed=2),
        make_scene("b.tif", seed=3, epsg=32634),
    ]


NAMES = ("north_a", "south_a", "b")


def test_each_scene_has_the_file_that_it_has_alone(scenes, tmp_path, invoke, tiny_path):
    common = ("detect", "-m", tiny_path, *SMALL)
    done = invoke(*common, *scenes, "-o", "out/", "--json")
    report = json.loads(done.stdout)
    assert [one["status"] for one in report["scenes"]] == ["ok"] * 3
    assert [text.rpartition("/")[2] for text in report["outputs"]] == [f"{n}.gpkg" for n in NAMES]
    found = sum(report["detections"].values())
    assert found == sum(report["labels"].values()) > 30
    for name, scene in zip(NAMES, scenes, strict=True):
        invoke(*common, scene, "-o", f"{name}.gpkg")
        same(tmp_path / "out" / f"{name}.gpkg", tmp_path / f"{name}.gpkg")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(f"{name}.gpkg" for name in NAMES),
        "detections.scenes.csv",
    }
    with (tmp_path / "out" / "detections.scenes.csv").open(newline="") as file:
        kept = [int(row["detections"]) for row in csv.DictReader(file)]
    assert kept == [len(rows(tmp_path / "out" / f"{name}.gpkg")) for name in NAMES]


def test_one_layer_has_less_where_scenes_overlap(scenes, tmp_path, tiny_path):
    """The first two show the same ground; a file for each has all that its scene shows."""
    joined = geodet.detect(scenes[:2], tiny_path, output=tmp_path / "one.gpkg", **WINDOWS)
    each = geodet.detect(scenes[:2], tiny_path, output=f"{tmp_path / 'each'}/", **WINDOWS)
    alone = [len(geodet.detect(scene, tiny_path, **WINDOWS)) for scene in scenes[:2]]
    assert len(each) == sum(alone) > len(joined)


@pytest.mark.parametrize("pattern", ["out/*.geojson", "out/*.shp", "out/x_*.csv", "out/*.gdb"])
def test_a_pattern_names_the_format(scenes, tmp_path, invoke, tiny_path, pattern):
    common = ("detect", "-m", tiny_path, *SMALL, "-q")
    invoke(*common, scenes[0], scenes[2], "-o", pattern, "--style")
    first, last = (tmp_path / pattern.replace("*", name) for name in ("a", "b"))
    assert first.exists()
    counts = [pyogrio.read_info(path)["features"] for path in (first, last)]
    assert min(counts) > 5
    if "gdb" not in pattern:
        assert first.with_suffix(".qml").exists()


def test_a_format_fits_a_folder(scenes, tmp_path, invoke, tiny_path):
    (tmp_path / "there").mkdir()
    invoke("detect", "-m", tiny_path, *SMALL, scenes[2], "-o", "there", "--format", "geojson")
    assert (tmp_path / "there" / "b.geojson").exists()


def test_scenes_with_and_without_a_crs_have_files(make_scene, tmp_path, tiny_path):
    placed, bare = make_scene("a.tif"), make_scene("bare.tif", epsg=None)
    common = {"output": f"{tmp_path / 'out'}/", **WINDOWS}
    with pytest.raises(OutputError, match="1 of 2 scenes have no CRS"):
        geodet.detect([placed, bare], tiny_path, output=tmp_path / "one.gpkg", **WINDOWS)
    for _ in geodet.iter_detect([placed, bare], tiny_path, **common):
        pass
    assert rows(tmp_path / "out" / "a.gpkg").crs is not None
    assert rows(tmp_path / "out" / "bare.gpkg").crs.name.startswith("Undefined")


def test_a_scene_that_breaks_off_has_no_file(make_scene, tmp_path, invoke, tiny_path):
    make_scene("a.tif")
    broken = make_scene("b.tif", tiled=True, origin=(500_100, 4_500_000))
    broken.write_bytes(broken.read_bytes()[:-9000])
    invoke("detect", "-m", tiny_path, *SMALL, "a.tif", "b.tif", "-o", "out/", code=3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.gpkg",
        "detections.scenes.csv",
    ]


def test_a_scene_without_detections_has_an_empty_file(make_scene, tmp_path, tiny_path):
    scenes = [make_scene("a.tif"), make_scene("b.tif")]
    geodet.detect(
        scenes, tiny_path, output=f"{tmp_path / 'out'}/", score_threshold=0.999, **WINDOWS
    )
    assert [len(rows(tmp_path / "out" / f"{name}.gpkg")) for name in "ab"] == [0, 0]


class CutError(Exception):
    """What ends a run in the middle."""


def test_an_interrupted_run_goes_on_and_replaces_its_own_files_only(scenes, tmp_path, tiny_path):
    output = f"{tmp_path / 'out'}/"
    whole = tmp_path / "whole"
    geodet.detect(scenes, tiny_path, output=f"{whole}/", **WINDOWS)

    def cut(step):
        if step.number == 3:
            raise CutError

    with pytest.raises(CutError):
        geodet.detect(scenes, tiny_path, output=output, progress=cut, **WINDOWS)
    journal = journal_folder(to_output(output))
    assert journal.is_dir()
    assert (tmp_path / "out" / "north_a.gpkg").exists()
    assert not (tmp_path / "out" / "b.gpkg").exists()
    geodet.detect(scenes, tiny_path, output=output, **WINDOWS)
    assert not journal.exists()
    for name in NAMES:
        same(tmp_path / "out" / f"{name}.gpkg", whole / f"{name}.gpkg")


def test_files_of_others_are_not_replaced(scenes, tmp_path, invoke, tiny_path):
    common = ("detect", "-m", tiny_path, *SMALL, *scenes)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.gpkg").write_text("mine")
    done = invoke(*common, "-o", "out/", code=1)
    assert "out/b.gpkg exists already" in done.stderr
    assert (tmp_path / "out" / "b.gpkg").read_text() == "mine"
    shutil.rmtree(tmp_path / "out")
    invoke(*common, "-o", "out/", "-q")
    invoke(*common, "-o", "out/", "-q", code=1)
    invoke(*common, "-o", "out/", "-q", "--overwrite")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (("out/", "all.gpkg"), "a file for each scene, and all.gpkg one file for all"),
        (("out/*.xyz",), "cannot tell the format"),
        (("*/*.gpkg",), "more than one"),
        (("b.tif/x/",), "is a file"),
    ],
)
def test_outputs_that_cannot_be_are_refused(scenes, invoke, tiny_path, outputs, message, tmp_path):
    options = [part for output in outputs for part in ("-o", output)]
    done = invoke("detect", "-m", tiny_path, *SMALL, *scenes, *options, code=1)
    assert message in done.stderr
    assert not list(tmp_path.glob("*.partial"))
