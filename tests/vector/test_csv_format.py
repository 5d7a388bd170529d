import csv

import numpy as np
import pytest
import shapely
from factories_vectors import FIELDS, SITE, UTM, found, part, read, write
from pyproj import CRS

from geodet.geometry.boxes import Detections
from geodet.vector.read_detections import read_detections
from geodet.vector.vector_files import read_frame
from geodet.vector.write_detections import write_detections


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_read_back_as_the_same_float64(tmp_path):
    detections = found(20)
    source = part(detections, scene='größe, "1".tif')
    table = rows(write(tmp_path / "found.csv", source))
    assert list(table[0]) == ["WKT", *FIELDS, "crs"]
    boxes = np.array([[float(row[name]) for name in FIELDS[3:7]] for row in table])
    np.testing.assert_array_equal(boxes, detections.boxes)
    rings = shapely.get_coordinates(shapely.from_wkt([row["WKT"] for row in table]))
    x1, y1, x2, y2 = detections.boxes.T
    expected = source.geobox.to_world(
        np.stack([x1, y2, x2, y2, x2, y1, x1, y1], -1).reshape(-1, 4, 2)
    )
    rings = rings.reshape(-1, 5, 2)
    assert {tuple(map(tuple, ring)) for ring in np.sort(rings[:, :4], axis=1)} == {
        tuple(map(tuple, ring)) for ring in np.sort(expected, axis=1)
    }
    assert {(row["scene"], row["crs"]) for row in table} == {('größe, "1".tif', "EPSG:32610")}


def test_gdal_reads_the_geometry(tmp_path):
    frame = read(write(tmp_path / "found.csv", part(found(5))))
    assert frame.geometry.is_valid.all()
    assert frame.exterior.is_ccw.all()
    np.testing.assert_allclose(frame["area_m2"].astype(float), frame.area, rtol=2e-3)


def test_points(tmp_path):
    source = part(found(5))
    table = rows(write(tmp_path / "found.csv", source, geometry="centroid"))
    points = shapely.get_coordinates(shapely.from_wkt([row["WKT"] for row in table]))
    np.testing.assert_array_equal(points, source.geobox.to_world(source.detections.centres))


@pytest.mark.parametrize("crs", [UTM, SITE, CRS.from_epsg(4326), None])
def test_the_crs_is_in_a_column(tmp_path, crs):
    row = rows(write(tmp_path / "found.csv", part(crs=crs)))[0]
    assert (CRS.from_user_input(row["crs"]) if row["crs"] else None) == crs
    assert (row["area_m2"] == "") == (crs is None)


def test_an_empty_table_has_its_header(tmp_path):
    path = write(tmp_path / "found.csv", part(Detections.empty()))
    assert path.read_text(encoding="utf-8") == f"WKT,{','.join(FIELDS)},crs\n"


@pytest.mark.parametrize("name", ["=1+1", "+tree", "-tree", "@SUM(A1)", "\ttree", "'=x"])
def test_no_spreadsheet_runs_a_class_or_a_scene(tmp_path, name):
    source = part(Detections([[1.0, 2, 5, 6]], [0.5], [0]), scene=f"{name}.tif")
    path = tmp_path / "found.csv"
    write_detections(path, [source], (name,), metadata={})
    for row in rows(path):
        assert row["label"] == f"'{name}"
        assert row["scene"] == f"'{name}.tif"
        assert float(row["x1_px"]) >= 0  # numbers stay numbers
    assert set(read_detections(path, [name]).labels.tolist()) == {0}
    frame = read_frame(path)
    assert set(frame["label"]) == {name}
    assert set(frame["scene"]) == {f"{name}.tif"}


def test_negative_coordinates_are_not_taken_for_formulas(tmp_path):
    path = write(tmp_path / "found.csv", part(Detections([[-3.0, -2, 5, 6]], [0.5], [0])))
    (row,) = rows(path)
    assert (row["x1_px"], row["y1_px"]) == ("-3.0", "-2.0")
