"""Counts by cells: every object once, in the cell that its coordinates say."""

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geodet.counting.cells import count_in_hexagons, count_in_squares
from geodet.counting.count import CountPlaces, count_objects
from geodet.counting.found_objects import FoundObjects
from geodet.errors import ConfigError, VectorError

UTM = CRS.from_epsg(32633)
CORNER = np.array([500_000.0, 5_000_000.0])


def objects(xy, crs=UTM):
    xy = np.array(xy, float).reshape(-1, 2)
    labels = np.zeros(len(xy), int)
    return FoundObjects("found.gpkg", crs, shapely.points(xy), xy, ("tree",), labels, None, None)


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 99), st.floats(3, 400))
def test_squares_count_every_object_once(count, seed, side):
    xy = CORNER + np.random.default_rng(seed).uniform(-300, 300, (count, 2))
    polygons, counted, grid = count_in_squares(objects(xy), side)
    assert counted.rows["objects"].sum() == count
    expected = np.unique(np.floor(xy / side), axis=0, return_counts=True)
    low = np.round(shapely.bounds(polygons.shapes)[:, :2] / side)
    order = np.lexsort((low[:, 1], low[:, 0]))
    np.testing.assert_array_equal(low[order], expected[0])
    assert counted.rows["objects"].to_numpy()[order].tolist() == expected[1].tolist()
    assert grid.to_raster(counted.rows["objects"].to_numpy()).sum() == count


def test_an_object_on_an_edge_counts_in_the_cell_to_the_north_east():
    polygons, counted, _ = count_in_squares(objects([CORNER]), 100)
    assert counted.rows["objects"].tolist() == [1]
    assert shapely.bounds(polygons.shapes[0])[:2].tolist() == CORNER.tolist()


@pytest.mark.parametrize("epsg", [4326, 3857])
def test_cells_of_degrees_and_of_mercator_are_squares_of_their_utm_zone(epsg):
    xy = CORNER + np.random.default_rng(1).uniform(0, 500, (40, 2))
    moved = geopandas.GeoSeries(shapely.points(xy), crs=UTM).to_crs(epsg)
    found = objects(shapely.get_coordinates(moved.to_numpy()), CRS.from_epsg(epsg))
    polygons, counted, _ = count_in_squares(found, 100)
    assert polygons.crs == UTM
    assert (
        counted.rows["objects"].tolist()
        == count_in_squares(objects(xy), 100)[1].rows["objects"].tolist()
    )
    assert counted.rows["area_ha"].to_numpy() == pytest.approx(1, rel=1e-3)


def test_cells_at_the_antimeridian_are_of_the_zone_there():
    west, east = [[179.99, -17], [179.98, -17]], [[-179.99, -17], [-179.98, -17]]
    polygons, counted, _ = count_in_squares(objects(west + east, CRS.from_epsg(4326)), 100)
    assert polygons.crs.to_epsg() in (32701, 32760)
    assert counted.rows["objects"].sum() == 4
    assert np.ptp(shapely.bounds(polygons.shapes)[:, 0]) < 10_000


def test_the_raster_has_the_density_where_the_objects_are(tmp_path):
    xy = CORNER + np.array([[10, 10], [20, 20], [250, 130]])
    path = tmp_path / "found.gpkg"
    geopandas.GeoDataFrame(geometry=shapely.points(xy), crs=UTM).to_file(path)
    output = tmp_path / "density.tif"
    report = count_objects(path, CountPlaces(cell_m=100), output)
    assert (report.polygons, report.objects) == (2, 3)
    with rasterio.open(output) as raster:
        assert (raster.width, raster.height, raster.crs.to_epsg()) == (3, 2, 32633)
        sampled = [value[0] for value in raster.sample([*xy, CORNER + 110])]
    assert sampled == pytest.approx([2, 2, 1, 0], rel=1e-3)
    assert "singlebandpseudocolor" in output.with_suffix(".qml").read_text()


def test_cells_that_were_not_examined_have_no_density(tmp_path):
    xy = CORNER + np.array([[10, 10], [20, 20], [250, 130]])
    x, y = CORNER
    west, east = shapely.box(x, y, x + 50, y + 100), shapely.box(x + 200, y + 100, x + 300, y + 200)
    ground = shapely.union_all([west, east])
    path, about = tmp_path / "found.gpkg", {"examined ground": ground.wkt}
    frame = geopandas.GeoDataFrame(geometry=shapely.points(xy), crs=UTM)
    pyogrio.write_dataframe(frame, path, layer_metadata=about)
    report = count_objects(path, CountPlaces(cell_m=100), tmp_path / "density.tif")
    assert report.total["examined_share"] == 1
    assert report.total["area_ha"] == pytest.approx(1.5, rel=2e-3)
    with rasterio.open(tmp_path / "density.tif") as raster:
        band = raster.read(1)
        assert np.isnan(raster.nodata)
    cells = tmp_path / "cells.gpkg"
    count_objects(path, CountPlaces(cell_m=100), cells)
    rows = pyogrio.read_dataframe(cells, layer="counts").sort_values("objects")
    np.testing.assert_allclose(rows["per_ha"], [1, 4], rtol=2e-3)
    np.testing.assert_allclose(rows["examined_share"], [1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(band[[0, 1], [2, 0]], [1, 4], rtol=2e-3)
    assert np.isnan(band[0, 0])


def test_the_raster_covers_the_examined_ground_beyond_the_objects(tmp_path):
    x, y = CORNER
    ground, path = shapely.box(x - 100, y, x + 300, y + 150), tmp_path / "found.gpkg"
    frame = geopandas.GeoDataFrame(geometry=shapely.points([[x + 110, y + 10]]), crs=UTM)
    about = {"examined ground": ground.wkt}
    pyogrio.write_dataframe(frame, path, layer_metadata=about)
    count_objects(path, CountPlaces(cell_m=100), tmp_path / "density.tif")
    with rasterio.open(tmp_path / "density.tif") as raster:
        assert raster.bounds == (x - 100, y, x + 300, y + 200)
        expected = [[0, 0, 0, 0], [0, 0, 1, 0]]
        np.testing.assert_allclose(raster.read(1), expected, rtol=2e-3)


def write_trees(path, about=None):
    """Write 100 trees, one in the middle of each hectare of a square kilometre."""
    xy = CORNER + 100 * np.indices((10, 10)).reshape(2, -1).T + 50
    frame = geopandas.GeoDataFrame(geometry=shapely.points(xy), crs=UTM)
    pyogrio.write_dataframe(frame, path, layer_metadata=about)
    return path


def write_nothing(path, ground, epsg=32633):
    """Write a layer without any object that says which ground was examined, if any."""
    frame = geopandas.GeoDataFrame({"score": np.zeros(0)}, geometry=[], crs=epsg)
    about = {} if ground is None else {"examined ground": ground.wkt}
    pyogrio.write_dataframe(frame, path, geometry_type="Polygon", layer_metadata=about)
    return path


def places_of(side):
    """Return squares of so many metres, or without a side hexagons of H3."""
    if side is None:
        pytest.importorskip("h3", reason="the package h3 is not installed")
        return CountPlaces(h3=9)
    return CountPlaces(cell_m=side)


@pytest.mark.parametrize("side", [3, 10, 100, 5000, None])
def test_the_total_is_of_the_examined_ground_whatever_the_cells(tmp_path, side):
    ground = shapely.box(*CORNER, *(CORNER + 1000))
    path = write_trees(tmp_path / "found.gpkg", {"examined ground": ground.wkt})
    output = tmp_path / "cells.gpkg"
    total = count_objects(path, places_of(side), output).total
    assert total["area_ha"] == pytest.approx(100 / 0.9996**2, rel=1e-4)
    assert total["per_ha"] == pytest.approx(100 / total["area_ha"])
    assert total["examined_share"] == 1
    (row,) = pyogrio.read_dataframe(output, layer="total").to_dict("records")
    assert row == pytest.approx(total)


@pytest.mark.parametrize("side", [10, None])
def test_where_the_ground_is_unknown_the_total_has_no_density_and_says_why(tmp_path, caplog, side):
    path, output = write_trees(tmp_path / "found.gpkg"), tmp_path / "cells.gpkg"
    total = count_objects(path, places_of(side), output).total
    assert total == {"objects": 100}
    assert pyogrio.read_dataframe(output, layer="counts")["per_ha"].gt(0).all()
    assert pyogrio.read_dataframe(output, layer="total").columns.tolist() == ["objects"]
    assert "found.gpkg does not record its examined area" in caplog.text


@pytest.mark.parametrize("epsg", [32633, 4326])
def test_examined_ground_without_any_object_has_a_density_of_0(tmp_path, epsg):
    x, y = CORNER
    parts = shapely.box(x, y, x + 50, y + 100), shapely.box(x + 200, y + 130, x + 300, y + 200)
    moved = geopandas.GeoSeries([shapely.union_all(parts)], crs=UTM).to_crs(epsg)
    path = write_nothing(tmp_path / "found.gpkg", moved.iloc[0], epsg)
    report = count_objects(path, CountPlaces(cell_m=100), tmp_path / "density.tif")
    assert (report.polygons, report.objects, report.elsewhere) == (0, 0, 0)
    assert report.total["objects"] == report.total["per_ha"] == 0
    assert report.total["area_ha"] == pytest.approx(1.2, rel=2e-3)
    with rasterio.open(tmp_path / "density.tif") as raster:
        assert raster.crs == UTM
        at = np.array([[25, 50], [250, 150], [150, 50]])
        values = [value[0] for value in raster.sample(CORNER + at)]
        if epsg == 32633:  # neither a row nor a column more than the ground has
            assert (raster.width, raster.height) == (3, 2)
    np.testing.assert_array_equal(values, [0, 0, np.nan])


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet", ".csv"])
@pytest.mark.parametrize("side", [100, None])
def test_cells_without_any_object_are_an_empty_table_of_all_columns(tmp_path, suffix, side):
    ground = shapely.box(*CORNER, *(CORNER + 1000))
    path, output = tmp_path / "found.gpkg", tmp_path / f"cells{suffix}"
    total = count_objects(write_nothing(path, ground), places_of(side), output).total
    assert total["objects"] == total["per_ha"] == 0
    assert total["area_ha"] == pytest.approx(100 / 0.9996**2, rel=1e-4)
    if suffix == ".csv":
        rows = output.read_text().splitlines()
        assert len(rows) == 2  # the names, and the total
        names = rows[0].split(",")
    else:
        read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
        table = read(output, **({"layer": "counts"} if suffix == ".gpkg" else {}))
        assert len(table) == 0
        names = table.columns
    if suffix != ".geojson":  # which names attributes in its features alone
        assert {"objects", "examined_share", "area_ha", "per_ha"} <= set(names)


def test_the_ground_on_both_sides_of_the_antimeridian_is_one_raster(tmp_path):
    sides = shapely.box(179.99, -17, 180, -16.99), shapely.box(-180, -17, -179.99, -16.99)
    path = write_nothing(tmp_path / "found.gpkg", shapely.union_all(sides), 4326)
    count_objects(path, CountPlaces(cell_m=100), tmp_path / "density.tif")
    with rasterio.open(tmp_path / "density.tif") as raster:
        assert 20 <= raster.width <= 25
        assert 10 <= raster.height <= 14


def test_no_object_on_unknown_ground_or_on_none_is_refused(tmp_path):
    nowhere, unknown = tmp_path / "nowhere.gpkg", tmp_path / "unknown.gpkg"
    write_nothing(nowhere, shapely.Polygon())
    write_nothing(unknown, None)
    for path, hint in ((nowhere, "none of the searched scenes has data"), (unknown, "--min-score")):
        for places in (places_of(100), places_of(None)):
            with pytest.raises(VectorError, match="no object to count") as caught:
                count_objects(path, places)
            assert hint in caught.value.hint


def test_hexagons_are_those_of_h3():
    h3 = pytest.importorskip("h3", reason="the package h3 is not installed")
    xy = np.random.default_rng(2).uniform((13.3, 52.4), (13.5, 52.6), (200, 2))
    polygons, counted = count_in_hexagons(objects(xy, CRS.from_epsg(4326)), 8)
    assert counted.rows["objects"].sum() == 200
    expected = [h3.latlng_to_cell(y, x, 8) for x, y in xy]
    found = dict(zip(counted.rows["h3"], counted.rows["objects"], strict=True))
    assert found == {cell: expected.count(cell) for cell in set(expected)}
    inside = [shapely.contains_xy(polygons.shapes, x, y).sum() for x, y in xy]
    assert inside == [1] * 200


def test_a_hexagon_across_the_antimeridian_is_one_piece():
    h3 = pytest.importorskip("h3", reason="the package h3 is not installed")
    found = objects([[179.999, 0.0], [-179.999, 0.0]], CRS.from_epsg(4326))
    polygons, counted = count_in_hexagons(found, 3)
    x1, _, x2, _ = shapely.bounds(polygons.shapes).T
    assert (x2 - x1 < 5).all()
    hectares = [h3.cell_area(cell, "km^2") * 100 for cell in counted.rows["h3"]]
    assert counted.rows["area_ha"].to_numpy() == pytest.approx(hectares, rel=0.01)


@pytest.mark.parametrize("side", [0, -5, float("inf"), float("nan")])
def test_a_side_that_is_none_is_refused(side):
    with pytest.raises(ConfigError, match="the side of a cell is"):
        count_in_squares(objects([CORNER]), side)


def test_cells_that_would_fill_the_memory_are_refused():
    with pytest.raises(ConfigError, match="would have"):
        count_in_squares(objects([CORNER, CORNER + 50_000]), 0.5)


def test_objects_without_crs_or_without_any_are_refused():
    with pytest.raises(VectorError, match="no CRS"):
        count_in_squares(objects([CORNER], None), 10)
    with pytest.raises(VectorError, match="no object"):
        count_in_squares(objects([]), 10)


def test_one_kind_of_places_is_needed():
    with pytest.raises(ConfigError, match="but 0 are given"):
        CountPlaces()
    with pytest.raises(ConfigError, match="only polygons have attributes"):
        CountPlaces(cell_m=10, field="stand")
