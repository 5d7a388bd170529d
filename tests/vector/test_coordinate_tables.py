"""Tables of text that people bring as labels of a scene, against csv and pyproj."""

import csv

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer

from geodet.errors import VectorError
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.scene_labels import read_scene_labels
from geodet.vector.vector_files import read_extent, read_fields, read_frame

UTM = CRS.from_epsg(32633)
PLACES = [(500_010.0, 4_499_990.0), (500_025.5, 4_499_970.25)]
DEGREES = [Transformer.from_crs(32633, 4326, always_xy=True).transform(*p) for p in PLACES]
GEOBOX = GeoBox(100, 100, Affine(1, 0, 500_000, 0, -1, 4_500_000), UTM)


def save(path, header, rows, *, delimiter=",", decimal=".", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerow(header)
        for row in rows:
            table.writerow(
                [repr(v).replace(".", decimal) if isinstance(v, float) else v for v in row]
            )
    return path


def centres(labels, geobox=GEOBOX):
    boxes = labels.to_pixels(geobox)
    return (boxes[:, :2] + boxes[:, 2:]) / 2


@pytest.mark.parametrize(
    "names",
    [
        ("lon", "lat"),
        ("longitude", "latitude"),
        ("Long", "Lat"),
        ("LNG", "LAT"),
        ("Länge", "Breite"),
        ("La\u0308nge", "Breite"),
        ("longitud", "Latitud"),
    ],
)
@pytest.mark.parametrize(
    ("delimiter", "decimal", "encoding"),
    [
        (",", ".", "utf-8"),
        (";", ",", "utf-8-sig"),
        ("\t", ".", "utf-16"),
        (";", ".", "utf-8"),
        ("\t", ",", "utf-8"),
    ],
)
def test_longitudes_and_latitudes_are_in_wgs_84(names, delimiter, decimal, encoding, tmp_path):
    rows = [("oak", *DEGREES[0]), ("elm", *DEGREES[1])]
    options = {"delimiter": delimiter, "decimal": decimal, "encoding": encoding}
    path = save(tmp_path / "a.csv", ["label", *names], rows, **options)
    labels = read_scene_labels(path, UTM)
    assert labels.names == ("oak", "elm")
    np.testing.assert_allclose(centres(labels), [[10, 10], [25.5, 29.75]], atol=1e-6)
    assert read_frame(path).crs.to_epsg() == 4326
    assert read_fields(path)[0] == "label"


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y"),
        ("X", "Y"),
        ("Easting", "Northing"),
        ("E", "N"),
        ("Rechtswert", "Hochwert"),
        ("Ostwert", "Nordwert"),
        ("est", "nord"),
        ("Este", "Norte"),
    ],
)
def test_other_coordinates_are_those_of_the_scene_or_of_a_crs_that_is_named(
    names, tmp_path, caplog
):
    path = save(tmp_path / "a.csv", [*names, "label"], [(*p, "oak") for p in PLACES])
    np.testing.assert_allclose(centres(read_scene_labels(path, UTM))[1], [25.5, 29.75])
    assert "has no CRS" in caplog.text
    caplog.clear()
    rows = [(*p, "oak") for p in DEGREES]
    path = save(tmp_path / "b.csv", [*names, "label"], rows)
    labels = read_scene_labels(path, UTM, own_crs="EPSG:4326")
    np.testing.assert_allclose(centres(labels)[1], [25.5, 29.75], atol=1e-6)
    assert caplog.text == ""


def test_length_and_width_in_german_are_no_place_beside_coordinates(tmp_path):
    rows = [(*PLACES[0], 4.5, 2.0)]
    path = save(tmp_path / "a.csv", ["Rechtswert", "Hochwert", "Länge", "Breite"], rows)
    frame = read_frame(path)
    assert frame.crs is None
    assert list(frame.columns) == ["Länge", "Breite", "geometry"]


@pytest.mark.parametrize(
    "names",
    [
        ("xmin", "ymin", "xmax", "ymax"),
        ("minx", "miny", "maxx", "maxy"),
        ("left", "bottom", "right", "top"),
        ("x1", "y1", "x2", "y2"),
    ],
)
def test_sides_become_boxes(names, tmp_path):
    x, y = PLACES[0]
    path = save(tmp_path / "a.csv", names, [(x - 2, y - 3, x + 2, y + 3)])
    labels = read_scene_labels(path, UTM)
    np.testing.assert_allclose(labels.to_pixels(GEOBOX), [[8, 7, 12, 13]])
    np.testing.assert_allclose(read_extent(path)[1], [x - 2, y - 3, x + 2, y + 3])


SIDES = ("xmin", "ymin", "xmax", "ymax")


@pytest.mark.parametrize(
    ("names", "to_row", "is_doubtful"),
    [
        (SIDES, lambda x, y: (x, y, 4, 6), True),
        (SIDES, lambda x, y: (x, y, x + 4, y + 6), False),
        (("x1", "y1", "x2", "y2"), lambda x, y: (x, y, x + 4, y - 6), False),
        (("west", "south", "east", "north"), lambda _x, y: (179.9, y / 1e6, -179.9, 5), False),
    ],
)
def test_corners_that_are_probably_sizes_are_warned_of(
    names, to_row, is_doubtful, tmp_path, caplog
):
    x, y = PLACES[0]
    rows = [to_row(x + step, y + step) for step in range(12)]
    read_frame(save(tmp_path / "a.csv", names, rows))
    told = [m for m in caplog.messages if "xmax is less than xmin in 12 of 12 boxes" in m]
    assert len(told) == len(caplog.messages) == is_doubtful
    assert all("a.csv: " in m and "line 2: if the columns are x, y, width" in m for m in told)


def test_a_few_inverted_boxes_of_a_table_are_put_in_order(tmp_path, caplog):
    x, y = PLACES[0]
    rows = [(x, y, x + 4, y + 6)] * 12 + [(x + 4, y, x, y + 6)] * 2
    frame = read_frame(save(tmp_path / "a.csv", SIDES, rows))
    assert set(frame.area) == {24}
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["WKT", "wkt", "geometry", "geom", "the_geom"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_wkt_is_read_under_any_usual_name(name, delimiter, tmp_path):
    rows = [(f"POINT ({x} {y})", "oak") for x, y in PLACES]
    path = save(tmp_path / "a.csv", [name, "label"], rows, delimiter=delimiter)
    labels = read_scene_labels(path, UTM)
    np.testing.assert_allclose(centres(labels), [[10, 10], [25.5, 29.75]])


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_the_srid_of_postgis_is_the_crs(tmp_path, caplog, delimiter):
    rows = [(f"SRID=4326;POINT({x!r} {y!r})", "oak") for x, y in DEGREES]
    path = save(tmp_path / "a.csv", ["geometry", "label"], rows, delimiter=delimiter)
    np.testing.assert_allclose(
        centres(read_scene_labels(path, UTM)), [[10, 10], [25.5, 29.75]], atol=1e-6
    )
    assert read_extent(path)[0].to_epsg() == 4326
    assert caplog.text == ""
    path = save(tmp_path / "b.csv", ["geometry"], [("srid=0; POINT (1 2)",), ("POINT (3 4)",)])
    assert read_frame(path).crs is None


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("SRID=32633;POINT (3 4)", "several SRIDs: 4326 in line 2, 32633 in line 3"),
        ("POINT (3 4)", "several SRIDs: 4326 in line 2, none in line 3"),
        ("SRID=4326;POINT 3", "line 3: geometry is 'POINT 3', not WKT"),
    ],
)
def test_geometries_in_several_crss_are_refused(tmp_path, second, message):
    rows = [("SRID=4326;POINT (1 2)",), (second,)]
    with pytest.raises(VectorError, match=message):
        read_frame(save(tmp_path / "a.csv", ["geometry"], rows))


def test_an_unknown_srid_is_refused(tmp_path):
    path = save(tmp_path / "a.csv", ["geometry"], [("SRID=123456;POINT (1 2)",)])
    with pytest.raises(
        VectorError, match="column geometry has the SRID 123456, which is not an EPSG"
    ):
        read_frame(path)


@pytest.mark.parametrize("nothing", ["", "NA", "N/A", "nan", "null", "None", "-"])
def test_rows_without_coordinates_are_left_out_with_a_warning(nothing, tmp_path, caplog):
    rows = [(*PLACES[0], "oak"), (nothing, nothing, "elm")]
    labels = read_scene_labels(save(tmp_path / "a.csv", ["x", "y", "label"], rows), UTM)
    assert labels.names == ("oak",)
    assert "objects without a geometry are left out: 1" in caplog.text


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (["x", "y"], ("12", "far"), r"a\.csv, line 2: y is 'far', not a number"),
        (["geometry"], ("POINT 1 2",), r"a\.csv, line 2: geometry is 'POINT 1 2', not WKT"),
        (["x", "y"], ("1", "2", "3"), r"a\.csv, line 2: 3 cells for 2 columns"),
    ],
)
def test_broken_rows_are_refused_by_their_line(header, row, message, tmp_path):
    path = save(tmp_path / "a.csv", header, [row])
    with pytest.raises(VectorError, match=message) as caught:
        read_frame(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("codes", [("007", "7"), ("9" * 17, "9" * 16 + "8"), ("1_0", "10")])
def test_codes_that_are_no_numbers_keep_every_digit(tmp_path, codes):
    rows = [(*place, code, "0.50") for place, code in zip(PLACES, codes, strict=True)]
    path = save(tmp_path / "a.csv", ["x", "y", "label", "score"], rows)
    assert read_scene_labels(path, UTM).names == codes
    assert read_frame(path)["score"].tolist() == [0.5, 0.5]


def test_a_crs_column_counts(tmp_path):
    rows = [(*p, "EPSG:4326") for p in DEGREES]
    path = save(tmp_path / "a.csv", ["x", "y", "crs"], rows)
    labels = read_scene_labels(path, UTM)
    np.testing.assert_allclose(centres(labels)[1], [25.5, 29.75], atol=1e-6)


def test_a_crs_that_contradicts_the_file_or_is_none_is_refused(tmp_path):
    path = save(tmp_path / "a.csv", ["x", "y"], PLACES)
    with pytest.raises(VectorError, match="'EPSG:1' is not a CRS"):
        read_scene_labels(path, UTM, own_crs="EPSG:1")
    frame = read_frame(path).set_crs(UTM)
    frame.to_file(tmp_path / "a.gpkg")
    with pytest.raises(VectorError, match="UTM zone 33N, not WGS 84"):
        read_scene_labels(tmp_path / "a.gpkg", UTM, own_crs="EPSG:4326")


def test_a_table_without_rows_has_no_labels(tmp_path):
    labels = read_scene_labels(save(tmp_path / "a.csv", ["x", "y", "label"], []), UTM)
    assert len(labels) == 0
