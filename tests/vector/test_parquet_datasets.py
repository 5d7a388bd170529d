import shutil
import subprocess

import geopandas
import numpy as np
import pytest
from factories_vectors import (
    CLASSES,
    SITE,
    UTM,
    found,
    layer_of,
    open_layer,
    part,
    write,
    write_layer,
)
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.vector import parquet_datasets
from geodet.vector.frames import to_frame
from geodet.vector.parquet_datasets import list_cells
from geodet.vector.provenance import read_provenance
from geodet.vector.read_detections import read_detections
from geodet.vector.vector_files import read_extent, read_fields, read_frame

FORMATS = ["parquet-scenes", "parquet-quadkeys"]


def parts():
    return [part(found(60, seed), scene=f"{name}.tif") for seed, name in enumerate("abc")]


def write_parts(folder, format, **options):
    write_layer(folder, parts(), metadata={"model": "m"}, format=format, **options)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_is_read_as_one_frame_with_every_row_once(tmp_path, monkeypatch, format):
    monkeypatch.setattr(parquet_datasets, "_MOST_ROWS", 50)
    files = write_parts(tmp_path / "found", format)
    assert len(files) > 1
    frame = geopandas.read_parquet(tmp_path / "found").set_index("id")
    expected = to_frame(parts(), layer_of()).set_index("id")
    assert frame.crs == UTM
    assert_geodataframe_equal(frame.loc[expected.index], expected)
    window = tuple(expected.total_bounds[[0, 1, 0, 1]] + np.array([100, 100, 250, 250]))
    inside = geopandas.read_parquet(tmp_path / "found", bbox=window)
    assert 0 < len(inside) == len(expected.cx[window[0] : window[2], window[1] : window[3]])
    for file in files:
        few = geopandas.read_parquet(file)
        assert few.hilbert_distance(few.total_bounds).is_monotonic_increasing
        assert parquet.read_schema(file).metadata[b"model"] == b"m"


def test_each_scene_has_a_file_of_its_own(tmp_path):
    files = write_parts(tmp_path / "found", "parquet-scenes")
    assert [file.name for file in files] == [f"scene-{name}.parquet" for name in "abc"]
    for file, name in zip(files, "abc", strict=True):
        assert set(geopandas.read_parquet(file)["scene"]) == {f"{name}.tif"}


def test_scenes_of_similar_names_do_not_share_a_file(tmp_path):
    names = ["x/a.tif", "x_a.tif", "X a.tif"]
    scenes = [part(found(3, seed), scene=name) for seed, name in enumerate(names)]
    write_layer(tmp_path / "f", scenes, format="parquet-scenes")
    assert len(list((tmp_path / "f").iterdir())) == 3
    assert len(geopandas.read_parquet(tmp_path / "f")) == 9


def test_a_quadkey_is_that_of_web_mercator(tmp_path, monkeypatch):
    """Compared with the tiles of EPSG:3857, as PROJ computes it."""
    monkeypatch.setattr(parquet_datasets, "_MOST_ROWS", 20)
    half = 20037508.342789244
    for file in write_parts(tmp_path / "found", "parquet-quadkeys"):
        key = file.stem.removeprefix("quadkey-")
        frame = geopandas.read_parquet(file)
        centres = frame.geometry.set_crs(UTM, allow_override=True).bounds
        middles = geopandas.GeoSeries.from_xy(
            (centres.minx + centres.maxx) / 2, (centres.miny + centres.maxy) / 2, crs=UTM
        ).to_crs(3857)
        side = 2 * half / 2 ** len(key)
        columns, rows = ((middles.x + half) // side).astype(int), ((half - middles.y) // side)
        for column, row in zip(columns, rows.astype(int), strict=True):
            digits = "".join(
                str((column >> bit & 1) + 2 * (row >> bit & 1))
                for bit in range(len(key) - 1, -1, -1)
            )
            assert digits == key


@given(st.lists(st.integers(0, 4**16 - 1), min_size=1, max_size=40), st.integers(1, 30))
def test_cells_contain_each_place_once_and_hold_no_more_than_they_may(places, most):
    finest, counts = np.unique(np.array(places, np.int64), return_counts=True)
    keys = list_cells(finest, counts, most=most)
    texts = [np.base_repr(cell, 4).zfill(16) for cell in finest.tolist()]
    owners = [[key for key in keys if text.startswith(key)] for text in texts]
    assert [len(own) for own in owners] == [1] * len(texts)
    for key in keys:
        held = sum(int(n) for n, (own,) in zip(counts, owners, strict=True) if own == key)
        assert held <= most or len(key) == 16
    assert keys == sorted(keys)


@pytest.mark.parametrize("format", FORMATS)
def test_no_objects_are_one_file_with_all_columns(tmp_path, format):
    path = write(tmp_path / "found", part(Detections.empty()), format=format)
    frame = geopandas.read_parquet(path)
    assert len(frame) == 0
    assert "score" in frame


@pytest.mark.parametrize("crs", [SITE, None])
def test_what_has_no_place_on_the_earth_has_no_quadkeys(tmp_path, crs):
    with pytest.raises(OutputError, match="has no place on the earth"):
        write(tmp_path / "found", part(crs=crs), format="parquet-quadkeys")
    assert not list(tmp_path.iterdir())
    write(tmp_path / "found", part(crs=crs), format="parquet-scenes")


@pytest.mark.parametrize("format", FORMATS)
def test_only_a_data_set_is_replaced(tmp_path, format):
    folder = tmp_path / "found"
    write_parts(folder, format)
    with pytest.raises(OutputError, match="is not empty"):
        write_parts(folder, format)
    write_parts(folder, format, overwrite=True)
    (folder / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"holds more than an earlier output: notes\.txt"):
        write_parts(folder, format, overwrite=True)


@pytest.mark.parametrize("format", FORMATS)
def test_a_run_that_fails_leaves_nothing(tmp_path, format):
    opened = open_layer(tmp_path / "f", format=format)
    for one in parts():
        opened.write(one)
    opened.abort()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("gpio") is None, reason="geoparquet-io is not installed")
@pytest.mark.parametrize("format", FORMATS)
def test_a_data_set_passes_the_checks_of_geoparquet_io(tmp_path, format):
    write_parts(tmp_path / "found", format)
    command = ["gpio", "check", "all", "--all-files", str(tmp_path / "found")]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("format", FORMATS)
def test_a_data_set_is_read_as_one_file_is(tmp_path, monkeypatch, format):
    monkeypatch.setattr(parquet_datasets, "_MOST_ROWS", 50)
    write_parts(tmp_path / "found", format)
    whole = write(tmp_path / "whole.parquet", *parts())
    expected = read_frame(whole).set_index("id")
    assert_geodataframe_equal(
        read_frame(tmp_path / "found").set_index("id").loc[expected.index], expected
    )
    assert read_fields(tmp_path / "found") == read_fields(whole)
    np.testing.assert_allclose(read_extent(tmp_path / "found")[1], expected.total_bounds)
    read = read_detections(tmp_path / "found", CLASSES).ranked()
    np.testing.assert_array_equal(read.boxes, read_detections(whole, CLASSES).ranked().boxes)
    assert read_provenance(tmp_path / "found") == {"model": "m"}
