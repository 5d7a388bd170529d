"""Objects over the antimeridian, which RFC 7946 cuts in two."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.geometry import MultiPolygon, Polygon, box

from geodet.geometry.boxes import Detections
from geodet.geometry.full_turns import full_turn
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.tilesets.scene_labels import read_scene_labels
from geodet.vector.antimeridian import join_at_antimeridian, make_objects_whole
from geodet.vector.write_detections import write_detections

WGS84 = CRS.from_epsg(4326)


def joined(shape, crs=WGS84):
    return join_at_antimeridian(np.array([shape], object), crs)[0]


def test_two_halves_of_a_box_become_one():
    halves = MultiPolygon([box(179.9, -17, 180, -16), box(-180, -17, -179.8, -16)])
    assert joined(halves).equals(box(179.9, -17, 180.2, -16))
    assert len(shapely.get_parts(joined(halves))) == 1


def test_halves_that_do_not_meet_stay_two():
    halves = MultiPolygon([box(179.9, -17, 180, -16), box(-180, -15, -179.8, -14)])
    assert len(shapely.get_parts(joined(halves))) == 2


def test_only_the_parts_that_meet_are_joined():
    parts = [box(179.9, 0, 180, 1), box(10, 0, 11, 1), box(-180, 0.5, -179.9, 2), box(12, 0, 13, 1)]
    found = joined(MultiPolygon(parts))
    assert len(shapely.get_parts(found)) == 3
    assert found.area == pytest.approx(sum(part.area for part in parts))


def test_rounded_coordinates_still_meet():
    halves = MultiPolygon([box(179.9, 0, 179.9999999, 1), box(-180, 0, -179.9, 1)])
    assert len(shapely.get_parts(joined(halves))) == 1


@pytest.mark.parametrize(
    ("shape", "crs"),
    [
        (MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)]), WGS84),
        (box(179, 0, 180, 1), WGS84),
        (MultiPolygon([box(179.9, 0, 180, 1), box(-180, 0, -179, 1)]), CRS.from_epsg(32701)),
        (MultiPolygon([box(179.9, 0, 180, 1), box(-180, 0, -179, 1)]), None),
        (Polygon(), WGS84),
    ],
)
def test_all_else_stays_as_it_is(shape, crs):
    assert joined(shape, crs).equals(shape)


@pytest.fixture
def over_the_line():
    """Boxes in two columns of a scene in UTM 1S, of which the first is over the antimeridian."""
    x, y = Transformer.from_crs(4326, 32701, always_xy=True).transform(-180.0, -17.0)
    geobox = GeoBox(256, 256, Affine(0.6, 0, x - 60, 0, -0.6, y), CRS.from_epsg(32701))
    lefts, tops = np.meshgrid([95.0, 160.0], np.arange(5.0, 200.0, 20.0))
    corner = np.stack([lefts.ravel(), tops.ravel()], axis=1)
    boxes = np.hstack([corner, corner + np.array([12.0, 9.0])])
    found = Detections(boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), int))
    return SceneDetections("scene.tif", geobox, found)


@pytest.mark.parametrize("name", ["a.geojson", "a.geojsonl", "a.gpkg", "a.parquet", "a.fgb"])
def test_a_cut_box_is_one_object_when_it_is_read_back(name, over_the_line, tmp_path):
    path = tmp_path / name
    write_detections(path, [over_the_line], ["tree"], metadata={})
    if name == "a.geojson":  # the file does cut them
        kinds = gpd.read_file(path).geom_type.tolist()
        assert kinds.count("MultiPolygon") == 10
    geobox = over_the_line.geobox
    labels = read_scene_labels(path, geobox.crs)
    read = labels.to_pixels(geobox)
    wanted = over_the_line.detections.boxes
    assert len(labels) == len(wanted)
    order = np.lexsort(wanted.round().T), np.lexsort(read.round().T)
    np.testing.assert_allclose(read[order[1]], wanted[order[0]], atol=0.01)


@pytest.mark.parametrize("left", [179.999, -180.001, 539.999])
def test_labels_are_found_on_whichever_side_the_scene_begins(left, over_the_line, tmp_path):
    path = tmp_path / "a.geojson"
    write_detections(path, [over_the_line], ["tree"], metadata={})
    geobox = GeoBox(400, 400, Affine(5e-6, 0, left, 0, -5e-6, -17.0), WGS84)
    read = read_scene_labels(path, geobox.crs).to_pixels(geobox)
    world = over_the_line.geobox.corners(over_the_line.detections.boxes, WGS84)
    world[..., 0] = left + (world[..., 0] - left + 180) % 360 - 180
    wanted = geobox.to_pixels(world)
    expected = np.hstack([wanted.min(axis=1), wanted.max(axis=1)])
    order = np.lexsort(expected.round(1).T), np.lexsort(read.round(1).T)
    np.testing.assert_allclose(read[order[1]], expected[order[0]], atol=0.01)


def test_labels_over_the_antimeridian_are_whole_in_web_mercator(over_the_line, tmp_path):
    path = tmp_path / "a.geojson"
    write_detections(path, [over_the_line], ["tree"], metadata={})
    mercator = CRS.from_epsg(3857)
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(180.0, -17.0)
    geobox = GeoBox(500, 500, Affine(0.6, 0, x - 150, 0, -0.6, y), mercator)
    sides = np.diff(read_scene_labels(path, mercator).to_pixels(geobox).reshape(-1, 2, 2), axis=1)
    assert len(sides) == 20
    # Mercator stretches by 1 / cos(latitude)
    np.testing.assert_allclose(sides[:, 0, 0], 12 / np.cos(np.radians(17)), rtol=0.05)


@pytest.mark.parametrize("epsg", [4326, 3857])
def test_an_object_around_the_globe_is_the_small_one_over_the_antimeridian(epsg):
    """Programs that know no antimeridian write its vertices on both sides."""
    crs = CRS.from_epsg(epsg)
    degree = 1.0 if epsg == 4326 else full_turn(crs) / 360
    small = box(179.9, -17, 180.2, -16)
    wide = shapely.transform(
        small, lambda xy: np.column_stack([(xy[:, 0] + 180) % 360 - 180, xy[:, 1]])
    )
    usual = box(10, 0, 11, 1)
    shapes = np.array([wide, usual, None], object)
    shapes = shapely.transform(shapes, lambda xy: xy * degree)
    whole = make_objects_whole(shapes, crs)
    expected = shapely.transform(small, lambda xy: xy * degree)
    west, _, east, _ = whole[0].bounds
    assert east - west == pytest.approx(0.3 * degree, rel=1e-6)
    assert whole[0].area == pytest.approx(expected.area, rel=1e-6)
    assert whole[1].equals(shapes[1])
    assert whole[2] is None
