"""``geodet.detect`` and ``geodet.iter_detect``: frames and tables of what the files would hold."""

import inspect
import json
from concurrent.futures import ThreadPoolExecutor

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

import geodet
from geodet.api.detect_frames import DetectKeywords

SMALL = {
    "chip_size": 64,
    "overlap": 16,
    "device": "cpu",
    "settings": {"detect.precision": "float32"},
}
COLUMNS = [
    "id",
    "label",
    "score",
    "scene",
    "x1_px",
    "y1_px",
    "x2_px",
    "y2_px",
    "area_m2",
    "geometry",
]
OBJECTS = [(20, 20, 32, 32), (60, 50, 72, 62)]


@pytest.fixture
def scene(make_scene):
    return make_scene(objects=OBJECTS)


def without_id(frame):
    return pd.DataFrame(frame.drop(columns=["id", "geometry"], errors="ignore"))


def test_a_path_gives_a_frame_in_the_crs_of_the_scene(scene, tiny_model):
    found = geodet.detect(scene, tiny_model, **SMALL)
    assert isinstance(found, gpd.GeoDataFrame)
    assert list(found.columns) == COLUMNS
    assert str(found.crs) == "EPSG:32633"
    assert len(found) > 0
    assert set(found.label) == {"tree"}
    assert set(found.scene) == {"scene.tif"}
    assert found.geometry.is_valid.all()


def test_the_frame_holds_the_rows_of_the_file(scene, tiny_model, tmp_path):
    output = tmp_path / "out.gpkg"
    found = geodet.detect(scene, tiny_model, output, **SMALL)
    written = gpd.read_file(output, layer="detections")
    pd.testing.assert_frame_equal(without_id(found), without_id(written), check_dtype=False)
    assert found.geometry.geom_equals_exact(written.geometry, 1e-6).all()


def test_several_files_are_written_at_once(scene, tiny_model, tmp_path):
    outputs = [tmp_path / "a.geojson", tmp_path / "b.csv"]
    found = geodet.detect([scene], tiny_model, outputs, **SMALL)
    assert found.attrs["report"]["outputs"] == [str(path) for path in outputs]
    assert all(path.stat().st_size for path in outputs)


@pytest.mark.parametrize("nothing", [None, []])
def test_no_output_writes_nothing(scene, tiny_model, tmp_path, nothing):
    before = set(tmp_path.iterdir())
    assert len(geodet.detect(str(scene), tiny_model, nothing, **SMALL)) > 0
    assert set(tmp_path.iterdir()) == before


def test_where_nothing_is_found_the_frame_is_empty_and_has_all_columns(scene, tiny_model):
    found = geodet.detect(scene, tiny_model, score_threshold=1.0, **SMALL)
    assert len(found) == 0
    assert list(found.columns) == COLUMNS
    assert found.crs.to_epsg() == 32633
    full = geodet.detect(scene, tiny_model, **SMALL)
    assert list(found.dtypes) == list(full.dtypes)


def test_ids_are_the_same_for_the_same_run_and_others_for_another_model(
    scene, tiny_model, make_model
):
    first, again = (geodet.detect(scene, tiny_model, **SMALL) for _ in range(2))
    assert first.id.is_unique
    assert first.id.str.fullmatch("[0-9a-f]{16}").all()
    assert list(first.id) == list(again.id)
    other = geodet.detect(scene, make_model("other.safetensors", seed=1), **SMALL)
    assert not set(first.id) & set(other.id)


def test_ids_do_not_depend_on_how_the_work_is_shared(scene, tiny_model):
    one = geodet.detect(scene, tiny_model, batch_size=1, workers=1, **SMALL)
    two = geodet.detect(scene, tiny_model, batch_size=2, workers=3, **SMALL)
    assert set(one.id) == set(two.id)


def test_attributes_say_what_made_the_frame_and_can_be_stored(scene, tiny_model, tmp_path):
    found = geodet.detect(scene, tiny_model, **SMALL)
    provenance, report = found.attrs["provenance"], found.attrs["report"]
    assert provenance["software"] == f"geodet {geodet.__version__}"
    assert provenance["model_sha256"] == tiny_model.digest
    assert report["labels"] == {"tree": len(found)}
    assert report["detections"] == {"scene.tif": len(found)}
    json.dumps(found.attrs)
    found.to_parquet(tmp_path / "found.parquet")
    assert gpd.read_parquet(tmp_path / "found.parquet").crs == found.crs


def test_overlapping_scenes_give_an_object_once(make_scene, tiny_model):
    one, two = (make_scene(name, objects=OBJECTS) for name in ("a.tif", "b.tif"))
    both = geodet.detect([one, two], tiny_model, **SMALL)
    assert len(both) == len(geodet.detect(one, tiny_model, **SMALL))


def test_tables_together_are_the_frame(scene, tiny_model):
    tables = list(geodet.iter_detect(scene, tiny_model, **SMALL))
    frames = [gpd.GeoDataFrame.from_arrow(table) for table in tables]
    found = geodet.detect(scene, tiny_model, **SMALL)
    joined = pd.concat(frames, ignore_index=True)
    assert list(joined.columns) == COLUMNS
    assert list(joined.id) == list(found.id)
    assert joined.crs == found.crs


def test_an_iterator_that_is_closed_early_leaves_only_the_journal(scene, tiny_model, tmp_path):
    tables = geodet.iter_detect(scene, tiny_model, tmp_path / "out.gpkg", **SMALL)
    next(tables)
    tables.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["out.gpkg.partial", "scene.tif"]


def test_progress_is_called_after_each_batch(scene, tiny_model):
    seen = []
    geodet.detect(scene, tiny_model, progress=seen.append, **SMALL)
    assert sum(step.chips for step in seen) == seen[0].total


def test_threads_may_share_a_model(make_scene, tiny_model):
    scenes = [make_scene(f"{n}.tif", objects=OBJECTS, seed=n) for n in range(4)]
    alone = [geodet.detect(path, tiny_model, **SMALL) for path in scenes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: geodet.detect(path, tiny_model, **SMALL), scenes))
    for one, other in zip(alone, together, strict=True):
        assert list(one.id) == list(other.id)


def test_an_open_dataset_is_refused_with_the_way_out(scene, tiny_model):
    import rasterio

    with (
        rasterio.open(scene) as dataset,
        pytest.raises(geodet.ConfigError, match="the scene is an open DatasetReader") as caught,
    ):
        geodet.detect(dataset, tiny_model)
    assert "geodet.detect_array" in caught.value.hint


@pytest.mark.parametrize("many", [False, True])
def test_an_array_is_refused_with_the_way_out(tiny_model, many):
    pixels = np.zeros((3, 64, 64), np.uint8)
    scenes = [pixels] if many else pixels
    for run in (geodet.detect, lambda *args: next(geodet.iter_detect(*args))):
        with pytest.raises(geodet.ConfigError, match="the scene is an array, ndarray") as caught:
            run(scenes, tiny_model)
        assert "geodet.detect_array" in caught.value.hint


def test_paths_may_come_from_a_column_of_a_table(scene, tiny_model):
    found = geodet.detect(pd.Series([str(scene)]), tiny_model, **SMALL)
    assert len(found) == len(geodet.detect(scene, tiny_model, **SMALL))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"model": "urban-tree"}, "unknown model 'urban-tree'"),
        ({"model": 3}, "model is a int"),
        ({"config": "urban-tree"}, "unknown recipe 'urban-tree'"),
        ({"config": 3}, "the configuration is a int"),
        ({"settings": {"detect.chipsize": 3}}, r"unknown key 'detect\.chipsize'"),
        ({"bounds": (1, 2)}, "bounds has 2 numbers"),
        ({"device": "gpu"}, "gpu"),
    ],
)
def test_what_does_not_fit_is_named(scene, keywords, message):
    with pytest.raises(geodet.GeodetError, match=message) as caught:
        geodet.detect(scene, **keywords)
    assert caught.value.hint


def test_a_report_counts_the_rows_and_is_not_replaced_unasked(scene, tiny_model, tmp_path):
    frame = geodet.detect(scene, tiny_model, device="cpu", report=tmp_path / "page.html")
    assert f"{len(frame):,}" in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(geodet.OutputError, match="exists already"):
        geodet.detect(scene, tiny_model, report=tmp_path / "page.html")


def test_an_output_that_exists_is_kept(scene, tiny_model, tmp_path):
    output = tmp_path / "out.gpkg"
    output.write_text("mine")
    with pytest.raises(geodet.OutputError, match=r"out\.gpkg") as caught:
        geodet.detect(scene, tiny_model, output, **SMALL)
    assert caught.value.path == output
    assert output.read_text() == "mine"


def test_scenes_that_cannot_be_read_are_in_the_error(make_scene, tiny_model, tmp_path):
    good, bad = make_scene("good.tif"), make_scene("bad.tif", seed=2, height=400)
    content = bad.read_bytes()
    bad.write_bytes(content[: len(content) // 2])
    with pytest.raises(geodet.SceneError, match=r"1 of 2 scenes") as caught:
        geodet.detect([good, bad], tiny_model, tmp_path / "out.gpkg", **SMALL)
    assert set(caught.value.failed) == {"bad.tif"}
    assert caught.value.report.detections["good.tif"] > 0


def test_the_keywords_of_the_iterator_are_those_of_detect():
    parameters = inspect.signature(geodet.detect).parameters
    assert set(DetectKeywords.__annotations__) == set(parameters) - {"scenes", "model", "output"}


def test_a_misspelt_keyword_names_the_right_one(scene):
    with pytest.raises(TypeError, match="did you mean 'score_threshold'"):
        next(geodet.iter_detect(scene, score_treshold=0.5))
