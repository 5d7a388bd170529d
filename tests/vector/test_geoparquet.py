import json

import geopandas
import numpy as np
import pytest
import shapely
from factories_vectors import FIELDS, SITE, UTM, found, layer_of, open_layer, part, write
from geopandas.testing import assert_geodataframe_equal
from pyarrow import parquet
from pyproj import CRS

from geodet.geometry.boxes import Detections
from geodet.vector import geoparquet, spooled_rows
from geodet.vector.frames import to_frame


def about(path):
    metadata = parquet.read_metadata(path).metadata
    return json.loads(metadata[b"geo"]), metadata


def test_geopandas_reads_every_field(tmp_path):
    detections = found(50)
    path = write(tmp_path / "found.parquet", part(detections))
    frame = geopandas.read_parquet(path)
    assert list(frame.columns) == ["id", *FIELDS, "geometry"]
    assert frame.crs == UTM
    expected = to_frame([part(detections)], layer_of()).set_index("id")
    assert_geodataframe_equal(frame.set_index("id").loc[expected.index], expected)
    assert frame.exterior.is_ccw.all()
    boxes = parquet.read_table(path, columns=["bbox"])["bbox"].to_pylist()
    sides = np.array([list(box.values()) for box in boxes])
    np.testing.assert_array_equal(sides, frame.bounds)


@pytest.mark.parametrize("geometry", ["box", "centroid"])
@pytest.mark.parametrize("most_rows", [1, 7, 300])
def test_rows_follow_the_hilbert_curve_however_many_are_sorted_at_once(
    tmp_path, monkeypatch, geometry, most_rows
):
    whole = write(tmp_path / "whole.parquet", part(found(300)), geometry=geometry)
    monkeypatch.setattr(spooled_rows, "_MOST_ROWS", most_rows)
    frame = geopandas.read_parquet(
        write(tmp_path / "parts.parquet", part(found(300)), geometry=geometry)
    )
    assert frame.hilbert_distance(frame.total_bounds).is_monotonic_increasing
    assert_geodataframe_equal(frame, geopandas.read_parquet(whole))
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".parquet"] == []


def test_the_salt_of_identifiers_is_that_of_frames(tmp_path):
    path = tmp_path / "found.parquet"
    with open_layer(path, salt="model") as opened:
        opened.write(part(found(20)))
    expected = to_frame([part(found(20))], layer_of(salt="model"))
    assert set(geopandas.read_parquet(path)["id"]) == set(expected["id"])


def test_the_covering_column_filters(tmp_path):
    path = write(tmp_path / "found.geoparquet", part(found(500)))
    window = (600100.0, 3999700.0, 600200.0, 3999800.0)
    every, inside = geopandas.read_parquet(path), geopandas.read_parquet(path, bbox=window)
    assert 0 < len(inside) < 500
    assert sorted(inside["x1_px"]) == sorted(every[every.intersects(shapely.box(*window))]["x1_px"])


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_metadata_are_of_version_1_1(tmp_path, geometry):
    path = write(tmp_path / "a.parquet", metadata={"model": "é"}, geometry=geometry)
    geo, metadata = about(path)
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["Polygon" if geometry == "box" else "Point"]
    assert column["covering"]["bbox"]["ymax"] == ["bbox", "ymax"]
    assert CRS.from_json_dict(column["crs"]) == UTM
    np.testing.assert_array_equal(column["bbox"], geopandas.read_parquet(path).total_bounds)
    assert metadata[b"model"].decode() == "é"


@pytest.mark.parametrize("crs", [UTM, SITE, None])
def test_an_empty_file_has_the_full_schema(tmp_path, crs):
    path = write(tmp_path / "found.parquet", part(Detections.empty(), crs=crs))
    frame = geopandas.read_parquet(path)
    assert list(frame.columns) == ["id", *FIELDS, "geometry"]
    assert parquet.read_schema(path).names == ["id", *FIELDS, "geometry", "bbox"]
    assert len(frame) == 0
    assert frame.crs == crs
    types = [str(parquet.read_schema(path).field(name).type) for name in FIELDS]
    assert types == ["string", "double", "string", *["double"] * 5]


def test_areas_without_a_crs_are_null(tmp_path):
    frame = geopandas.read_parquet(write(tmp_path / "found.parquet", part(crs=None)))
    assert frame.crs is None
    assert frame["area_m2"].isna().all()


def test_rows_of_small_parts_share_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(geoparquet, "GROUP_ROWS", 10)
    path = tmp_path / "found.parquet"
    with open_layer(path) as opened:
        for seed in range(9):
            opened.write(part(found(3, seed)))
    with parquet.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [10, 10, 7]
