import json

import numpy as np
import pytest
import shapely
from affine import Affine
from factories_vectors import CLASSES, NORTH_UP, UTM, layer_of, part, read, write
from pyproj import CRS, Geod

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import oriented_of_boxes
from geodet.tilesets.pixel_results import read_pixel_results
from geodet.vector.frames import to_frame
from geodet.vector.oriented_fields import ORIENTED_FIELDS
from geodet.vector.read_detections import read_detections
from geodet.vector.rows import Appending, to_rows

ROWS = np.array([[100.0, 80.0, 40.0, 12.0, 0.6], [500.0, 400.0, 25.0, 20.0, -1.2]])


def ships():
    return Detections.of_oriented(ROWS, np.array([0.9, 0.5], np.float32), [0, 1])


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.parquet", "a.csv", "a.fgb", "a.shp"])
def test_oriented_boxes_survive_writing_and_reading(tmp_path, name):
    file = write(tmp_path / name, part(ships()), oriented=True)
    back = read_detections(file, CLASSES).ranked()
    np.testing.assert_allclose(back.oriented, ROWS, atol=1e-4)
    np.testing.assert_allclose(back.boxes, ships().boxes, atol=1e-4)


def test_polygons_are_the_corners_on_the_ground(tmp_path):
    frame = read(write(tmp_path / "a.gpkg", part(ships()), oriented=True))
    wanted = part().geobox.to_world(ships().corners)
    for shape, corners in zip(frame.geometry, wanted, strict=True):
        assert shape.equals_exact(shapely.Polygon(corners).reverse(), 1e-6) or (
            shape.symmetric_difference(shapely.Polygon(corners)).area < 1e-6
        )
    np.testing.assert_allclose(frame.area_m2, frame.area, rtol=2e-3)  # of the grid, and true


@pytest.mark.parametrize("transform", [NORTH_UP, NORTH_UP @ Affine.rotation(30)])
@pytest.mark.parametrize("epsg", [32610, 3857])
def test_sides_and_azimuths_are_those_of_the_ellipsoid(transform, epsg):
    placed = part(ships(), transform=transform, crs=CRS.from_epsg(epsg))
    fields = to_rows(placed, layer_of(None, oriented=True)).fields
    turns = [np.array([np.cos(ROWS[:, 4] + t), np.sin(ROWS[:, 4] + t)]).T for t in (0, np.pi / 2)]
    for turn, side, name in zip(turns, (2, 3), ("length_m", "width_m"), strict=True):
        ends = [ROWS[:, :2] + way * turn * ROWS[:, [side]] / 2 for way in (-1, 1)]
        degrees = placed.geobox.to_world(np.concatenate(ends), CRS.from_epsg(4326))
        azimuth, _, length = Geod(ellps="WGS84").inv(*degrees[:2].T, *degrees[2:].T)
        np.testing.assert_allclose(fields[name], length, rtol=1e-3)
        if side == 2:
            difference = (fields["azimuth"] - azimuth + 90) % 180 - 90
            np.testing.assert_allclose(difference, 0, atol=0.05)


def test_an_object_along_the_columns_of_a_north_up_scene_points_north():
    upright = Detections.of_oriented(np.array([[10.0, 10, 8, 2, -np.pi / 2]]), [1], [0])
    fields = to_rows(part(upright, crs=UTM), layer_of(None, oriented=True)).fields
    assert fields["azimuth"][0] % 180 == pytest.approx(0, abs=2) or fields["azimuth"][0] > 178
    assert (fields["length_px"][0], fields["angle_px"][0]) == (8, -90)


def test_without_a_crs_only_what_is_in_pixels_is_known(tmp_path):
    file = write(tmp_path / "a.geojsonl", part(ships(), crs=None), oriented=True)
    first = json.loads(file.read_text().splitlines()[0])["properties"]
    assert first["length_px"] == 40
    assert [first[name] for name in ("length_m", "width_m", "azimuth", "area_m2")] == [None] * 4


def test_an_empty_layer_has_the_columns(tmp_path):
    frame = read(write(tmp_path / "a.gpkg", part(ships().select([])), oriented=True))
    assert list(frame.columns[-7:]) == [*ORIENTED_FIELDS, "geometry"]
    memory = to_frame([], layer_of(oriented=True))
    assert list(memory.columns[-7:]) == [*ORIENTED_FIELDS, "geometry"]


def test_rows_of_another_kind_are_not_appended(tmp_path):
    file = write(tmp_path / "a.gpkg", part(ships()), oriented=True)
    write(file, part(ships(), scene="b.tif"), oriented=True, append=Appending())
    assert len(read(file)) == 4
    with pytest.raises(OutputError, match="holds oriented boxes, and the new rows are axis-"):
        write(file, part(scene="c.tif"), append=Appending())


@pytest.mark.parametrize(("name", "options"), [("a.json", {"format": "coco"}), ("yolo", {})])
def test_formats_in_pixels_have_four_corners(tmp_path, name, options):
    options = options or {"format": "yolo"}
    output = write(tmp_path / name, part(ships()), oriented=True, **options)
    found = read_pixel_results(output).of("a.tif", (1000, 1000))
    np.testing.assert_allclose(found.oriented, ROWS, atol=2e-3)


def test_axis_aligned_boxes_may_be_written_as_oriented_ones(tmp_path):
    file = write(tmp_path / "a.gpkg", oriented=True)
    back, plain = read_detections(file, CLASSES), part().detections
    np.testing.assert_allclose(back.oriented, oriented_of_boxes(plain.boxes), atol=1e-6)
