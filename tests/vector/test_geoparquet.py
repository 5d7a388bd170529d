import json

import geopandas
import numpy as np
import pytest
import shapely
from factories_vectors import CLASSES, FIELDS, SITE, UTM, found, part, write
from pyarrow import parquet
from pyproj import CRS

from geodet.geometry.boxes import Detections
from geodet.vector import writer
from geodet.vector.write_detections import open_writer


def about(path):
    metadata = parquet.read_metadata(path).metadata
    return json.loads(metadata[b"geo"]), metadata


def test_geopandas_reads_every_field(tmp_path):
    detections = found(50)
    path = write(tmp_path / "found.parquet", part(detections))
    frame = geopandas.read_parquet(path)
    assert list(frame.columns) == [*FIELDS, "geometry"]
    assert frame.crs == UTM
    np.testing.assert_array_equal(frame[FIELDS[3:7]], detections.boxes)
    assert frame["label"].tolist() == [CLASSES[label] for label in detections.labels]
    assert frame.exterior.is_ccw.all()
    boxes = parquet.read_table(path, columns=["bbox"])["bbox"].to_pylist()
    sides = np.array([list(box.values()) for box in boxes])
    np.testing.assert_array_equal(sides, frame.bounds)


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
    assert list(frame.columns) == [*FIELDS, "geometry"]
    assert parquet.read_schema(path).names == [*FIELDS, "geometry", "bbox"]
    assert len(frame) == 0
    assert frame.crs == crs
    types = [str(parquet.read_schema(path).field(name).type) for name in FIELDS]
    assert types == ["string", "double", "string", *["double"] * 5]


def test_areas_without_a_crs_are_null(tmp_path):
    frame = geopandas.read_parquet(write(tmp_path / "found.parquet", part(crs=None)))
    assert frame.crs is None
    assert frame["area_m2"].isna().all()


def test_small_parts_share_a_row_group(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "ROWS_AT_ONCE", 10)
    path = tmp_path / "found.parquet"
    with open_writer(path, CLASSES, crs=UTM, metadata={}) as opened:
        for seed in range(9):
            opened.write(part(found(3, seed)))
    with parquet.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [12, 12, 3]
