"""Shapefile, KML and FileGDB, read back with GDAL through pyogrio, and by hand where it matters."""

import logging
import struct
from xml.etree import ElementTree

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from factories_vectors import (
    CLASSES,
    FIELDS,
    NORTH_UP,
    SITE,
    UTM,
    found,
    litter,
    open_layer,
    part,
    read,
    write,
)
from pyproj import CRS, Transformer

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.vector.write_detections import check_output

ENDS = [".shp", ".kml", ".gdb"]
KML = "{http://www.opengis.net/kml/2.2}"


@pytest.mark.parametrize("suffix", [".shp", ".gdb"])
@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_every_row_and_field_is_read_back(tmp_path, suffix, geometry):
    source = part(found(50), transform=NORTH_UP @ Affine.rotation(20), scene="größe.tif")
    written = read(write(tmp_path / f"found{suffix}", source, geometry=geometry))
    expected = read(write(tmp_path / "expected.gpkg", source, geometry=geometry))
    assert [name for name in written.columns if name in FIELDS] == FIELDS
    assert written.crs.equals(UTM, ignore_axis_order=True)
    assert written["label"].tolist() == expected["label"].tolist()
    assert set(written["scene"]) == {"größe.tif"}
    for name in ("score", *FIELDS[3:]):
        np.testing.assert_allclose(written[name], expected[name], rtol=1e-9)
    assert (written.hausdorff_distance(expected.geometry, align=False) < 1e-3).all()
    assert not litter(tmp_path)


@pytest.mark.parametrize("suffix", [".shp", ".gdb"])
def test_a_layer_without_objects_or_crs_has_all_fields(tmp_path, suffix):
    for crs in (UTM, None):
        path = write(tmp_path / f"a{crs is None}{suffix}", part(Detections.empty(), crs=crs))
        info = pyogrio.read_info(path)
        assert [name for name in info["fields"] if name in FIELDS] == FIELDS
        assert info["features"] == 0
        assert (info["crs"] is None) == (crs is None)


@pytest.mark.parametrize("suffix", ENDS)
def test_an_existing_output_is_replaced_only_on_request(tmp_path, suffix):
    path = write(tmp_path / f"found{suffix}", part(found(9)))
    with pytest.raises(OutputError, match=r"exists already|not empty"):
        check_output(path, overwrite=False)
    write(path, part(found(4)), overwrite=True)
    assert pyogrio.read_info(path, force_feature_count=True)["features"] == 4
    assert not litter(tmp_path)


@pytest.mark.parametrize("suffix", ENDS)
def test_an_interrupted_output_leaves_nothing(tmp_path, suffix):
    writer = open_layer(tmp_path / f"found{suffix}")
    writer.write(part(found(9)))
    writer.abort()
    assert not list(tmp_path.iterdir())


def test_a_shapefile_has_its_parts_and_no_longer_those_of_an_earlier_one(tmp_path):
    for end in (".shx", ".dbf", ".qix"):
        (tmp_path / f"found{end}").touch()
    with pytest.raises(OutputError, match=r"would replace found\.shx, found\.dbf, found\.qix"):
        check_output(tmp_path / "found.shp", overwrite=False)
    write(tmp_path / "found.shp", overwrite=True)
    ends = {file.suffix for file in tmp_path.iterdir()}
    assert ends == {".shp", ".shx", ".dbf", ".prj", ".cpg"}
    header = (tmp_path / "found.shp").read_bytes()[:36]
    assert struct.unpack(">i", header[:4]) == (9994,)  # ESRI Shapefile Technical Description, 1998
    assert struct.unpack("<ii", header[28:36]) == (1000, 5)  # version, polygons
    assert (tmp_path / "found.cpg").read_text().strip() == "UTF-8"


def test_texts_that_a_shapefile_cuts_are_warned_of(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "found.shp", part(scene="ä" * 128))
    assert "to 254 bytes; write a .gpkg" in caplog.text


def test_texts_of_100_bytes_are_whole_in_a_shapefile(tmp_path):
    written = geopandas.read_file(write(tmp_path / "found.shp", part(scene="ä" * 100)))
    assert set(written["scene"]) == {"ä" * 100}


def test_kml_is_in_degrees_and_names_objects_by_their_class(tmp_path):
    source = part(found(30), transform=NORTH_UP @ Affine.rotation(20))
    path = write(tmp_path / "found.kml", source)
    places = ElementTree.parse(path).findall(f".//{KML}Placemark")
    names = np.array(CLASSES)[source.detections.labels].tolist()
    assert [place.findtext(f"{KML}name") for place in places] == names
    rings = [
        np.array([pair.split(",")[:2] for pair in place.find(f".//{KML}coordinates").text.split()])
        for place in places
    ]
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    world = source.geobox.to_world(source.detections.centres)
    expected = np.stack(to_degrees.transform(*world.T), axis=-1)
    centres = [ring.astype(float)[:4].mean(axis=0) for ring in rings]
    np.testing.assert_allclose(centres, expected, rtol=0, atol=1e-8)
    scores = geopandas.read_file(path)["score"].astype(float)
    np.testing.assert_allclose(scores, source.detections.scores, atol=1e-6)


def test_kml_is_split_at_the_antimeridian(tmp_path):
    one = Detections(np.array([[0.0, 0, 10, 10]]), np.ones(1), np.zeros(1, int))
    transform = Affine(1, 0, 166016, 0, -1, 10)  # EPSG:32601 meets 180 degrees at x = 166,021.4
    path = write(tmp_path / "a.kml", part(one, crs=CRS.from_epsg(32601), transform=transform))
    (shape,) = geopandas.read_file(path).geometry
    assert shapely.get_num_geometries(shape) == 2
    assert shape.area < 1e-6


def test_an_empty_kml_is_read_as_one(tmp_path):
    path = write(tmp_path / "a.kml", part(Detections.empty()))
    assert not ElementTree.parse(path).findall(f".//{KML}Placemark")


@pytest.mark.parametrize("crs", [None, SITE])
def test_kml_without_a_place_on_the_earth_is_refused(tmp_path, crs):
    with pytest.raises(OutputError, match="KML needs longitudes and latitudes") as caught:
        write(tmp_path / "a.kml", part(crs=crs))
    assert "gdal_edit" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_geodatabase_is_never_replaced(tmp_path):
    (tmp_path / "a.gdb").mkdir()
    (tmp_path / "a.gdb" / "a_letter.txt").touch()
    with pytest.raises(OutputError, match="holds more than an earlier output"):
        check_output(tmp_path / "a.gdb", overwrite=True)


@pytest.mark.parametrize(("name", "format"), [("a.dat", "shapefile"), ("a", "filegdb")])
def test_formats_that_are_known_by_their_end_need_it(tmp_path, name, format):
    with pytest.raises(OutputError, match="but does not end in"):
        check_output(tmp_path / name, overwrite=False, format=format)


def test_without_the_driver_the_hint_has_the_line_for_ogr2ogr(tmp_path, monkeypatch):
    monkeypatch.setattr(pyogrio, "list_drivers", lambda: {"OpenFileGDB": "r"})
    with pytest.raises(OutputError, match="the installed GDAL cannot write FileGDB") as caught:
        check_output(tmp_path / "a.gdb", overwrite=False)
    path = tmp_path / "a.gdb"
    assert f"ogr2ogr {path} {path.with_suffix('.gpkg')}" in caught.value.hint


@pytest.mark.parametrize("end", [".shp", ".dbf", ".prj"])
def test_a_shapefile_whose_parts_come_meanwhile_replaces_none(tmp_path, end):
    theirs = tmp_path / f"found{end}"
    writer = open_layer(tmp_path / "found.shp")
    writer.write(part())
    theirs.write_text("theirs")
    with pytest.raises(OutputError, match="another program has created or changed it"):
        writer.commit()
    (kept,) = tmp_path.glob("found.complete-*")
    assert {".shp", ".dbf", ".shx"} <= {part.suffix for part in kept.iterdir()}
    assert theirs.read_text() == "theirs"
