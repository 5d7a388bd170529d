import json
import logging

import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from factories_vectors import FIELDS, NORTH_UP, SITE, TYPES, UTM, found, litter, part, read, write
from pyproj import CRS, Transformer

from geodet.geometry.boxes import Detections

ONE = Detections(np.array([[0.0, 0, 10, 10]]), np.ones(1), np.zeros(1, int))


def collection(path):
    return json.loads(path.read_text(encoding="utf-8"))


def features(path):
    if path.suffix == ".geojson":
        return collection(path)["features"]
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_empty_geojson_is_a_collection(tmp_path):
    written = collection(write(tmp_path / "found.geojson", part(Detections.empty())))
    assert (written["type"], written["features"]) == ("FeatureCollection", [])


def test_empty_lines_are_an_empty_file(tmp_path):
    path = write(tmp_path / "found.geojsonl", part(Detections.empty()))
    assert path.read_bytes() == b""


@pytest.mark.parametrize("crs", [UTM, None])
def test_an_empty_flatgeobuf_has_the_full_schema(tmp_path, crs):
    info = pyogrio.read_info(write(tmp_path / "a.fgb", part(Detections.empty(), crs=crs)))
    assert (list(info["fields"]), info["ogr_types"]) == (FIELDS, TYPES)
    assert info["geometry_type"] == "Polygon"
    assert len(read(tmp_path / "a.fgb")) == 0
    assert info["crs"] == (None if crs is None else "EPSG:32610")


def test_a_flatgeobuf_holds_every_row_and_an_index(tmp_path):
    path = write(tmp_path / "a.fgb", part(found(500)), metadata={"model": "trees é"})
    info = pyogrio.read_info(path)
    assert (info["features"], info["layer_metadata"]) == (500, {"model": "trees é"})
    assert info["capabilities"]["fast_spatial_filter"]
    frame = read(path).sort_values(["x1_px", "y1_px"])
    boxes = found(500).boxes
    expected = boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]
    np.testing.assert_array_equal(frame[FIELDS[3:7]], expected)


@pytest.mark.parametrize("mirror", [1, -1])
@pytest.mark.parametrize("suffix", [".geojson", ".json", ".GeoJSON"])
def test_geojson_follows_rfc_7946(tmp_path, suffix, mirror):
    transform = NORTH_UP @ Affine.rotation(20) @ Affine.scale(1, mirror)
    source = part(found(30), transform=transform)
    written = collection(write(tmp_path / f"found{suffix}", source))
    assert "crs" not in written
    check_degrees(source, written["features"])


@pytest.mark.parametrize("suffix", [".geojsonl", ".geojsons", ".ndjson"])
def test_lines_are_features_of_rfc_7946(tmp_path, suffix):
    source = part(found(30), transform=NORTH_UP @ Affine.rotation(20))
    check_degrees(source, features(write(tmp_path / f"found{suffix}", source)))


def check_degrees(source, written):
    assert [list(f["properties"]) for f in written] == [FIELDS] * 30
    rings = np.array([f["geometry"]["coordinates"][0] for f in written])
    assert shapely.is_ccw(shapely.linearrings(rings)).all()
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    world = source.geobox.to_world(source.detections.centres)
    centres = np.stack(to_degrees.transform(world[:, 0], world[:, 1]), axis=-1)
    np.testing.assert_allclose(rings[:, :4].mean(axis=1), centres, rtol=0, atol=1e-8)


@pytest.mark.parametrize("suffix", [".geojson", ".geojsonl"])
def test_geojson_is_split_at_the_antimeridian(tmp_path, suffix):
    transform = Affine(1, 0, 166016, 0, -1, 10)  # EPSG:32601 meets 180 degrees at x = 166,021.4
    source = part(ONE, crs=CRS.from_epsg(32601), transform=transform)
    (feature,) = features(write(tmp_path / f"found{suffix}", source))
    geometry = feature["geometry"]
    longitudes = [x for polygon in geometry["coordinates"] for x, _ in polygon[0]]
    assert geometry["type"] == "MultiPolygon"
    assert {180.0, -180.0} < set(longitudes)


@pytest.mark.parametrize("suffix", [".geojson", ".geojsonl"])
@pytest.mark.parametrize("crs", [None, SITE])
def test_geojson_without_degrees_warns(tmp_path, caplog, crs, suffix):
    source = part(crs=crs, transform=Affine(1, 0, 0, 0, -1, 0))
    path = write(tmp_path / f"found{suffix}", source)
    assert "is not in degrees on the earth: readers of GeoJSON" in caplog.text
    assert '"crs"' not in path.read_text(encoding="utf-8")
    written = features(path)
    assert (written[0]["properties"]["area_m2"] is None) == (crs is None)
    rings = np.array([f["geometry"]["coordinates"][0] for f in written])
    boxes = source.detections.boxes
    np.testing.assert_allclose(rings.min(axis=1), boxes[:, [0, 3]] * [1, -1], atol=1e-9)
    assert shapely.is_ccw(shapely.linearrings(rings)).all()


def test_geojson_with_degrees_does_not_warn(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "found.geojson", part(crs=CRS.from_epsg(4326)))
    assert not caplog.records


@pytest.mark.parametrize("suffix", [".geojson", ".geojsonl", ".fgb"])
def test_the_temporary_rows_beside_the_output_are_removed(tmp_path, suffix):
    write(tmp_path / f"found{suffix}")
    assert not litter(tmp_path)


@pytest.mark.parametrize("suffix", [".geojson", ".geojsonl"])
@pytest.mark.parametrize("epsg", [4326, 4269])
def test_degrees_are_split_at_the_antimeridian_and_wrapped(tmp_path, suffix, epsg):
    """A geographic scene may reach beyond 180 degrees, or count them from 0 to 360."""
    boxes = np.array([[10.0, 0, 20, 10], [995, 0, 1005, 10], [1100, 20, 1110, 30]])
    source = part(
        Detections(boxes, np.ones(3), np.zeros(3, int)),
        crs=CRS.from_epsg(epsg),
        transform=Affine(0.1, 0, 80, 0, -0.1, 10),  # column 1000 is 180 degrees east
    )
    written = features(write(tmp_path / f"found{suffix}", source))
    kinds = [feature["geometry"]["type"] for feature in written]
    assert kinds == ["Polygon", "MultiPolygon", "Polygon"]
    bounds = [shapely.geometry.shape(feature["geometry"]).bounds for feature in written]
    np.testing.assert_allclose(bounds[0], [81, 9, 82, 10], atol=1e-4)
    np.testing.assert_allclose(bounds[1][::2], [-180, 180], atol=1e-9)
    np.testing.assert_allclose(bounds[2], [-170, 7, -169, 8], atol=1e-4)


def test_lines_are_the_features_of_a_collection(tmp_path):
    source = part(found(30), transform=NORTH_UP @ Affine.rotation(20))
    whole, lines = (write(tmp_path / f"a{end}", source) for end in (".geojson", ".geojsonl"))
    assert features(whole) == features(lines)
