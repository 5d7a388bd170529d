"""Counts by polygons, against an independent computation by geopandas."""

from dataclasses import replace

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geodet.counting.found_objects import FoundObjects, read_found_objects
from geodet.counting.intervals import Accuracy
from geodet.counting.polygon_counts import FIGURES, Polygons, count_in_polygons, read_polygons
from geodet.errors import VectorError
from geodet.vector.examined_ground import ExaminedGround

UTM = CRS.from_epsg(32633)
CORNER = np.array([500_000.0, 5_000_000.0])


def scatter(count, seed=0, side=1000.0):
    """Scatter objects of two classes over a square kilometre."""
    rng = np.random.default_rng(seed)
    centres = CORNER + rng.uniform(0, side, (count, 2))
    return FoundObjects(
        "objects.gpkg",
        UTM,
        shapely.points(centres),
        centres,
        ("car", "tree"),
        rng.integers(0, 2, count),
        rng.uniform(0.2, 1, count),
        rng.uniform(5, 60, count),
    )


def shapes_of(parts, crs=UTM, **attributes):
    return Polygons("stands.gpkg", np.array(parts, object), crs, pd.DataFrame(attributes))


def at(x1, y1, x2, y2):
    x, y = CORNER
    return shapely.box(x + x1, y + y1, x + x2, y + y2)


STANDS = shapes_of(
    [
        at(0, 0, 500, 500).difference(at(100, 100, 200, 200)),  # with a hole
        at(300, 300, 800, 700),  # overlaps the first
        at(900, 900, 900.01, 1000),  # a sliver
        at(5000, 5000, 6000, 6000),  # far away
    ],
    stand=["hole", "over", "sliver", "far"],
)


def joined(found, polygons):
    """Join objects and polygons by geopandas."""
    data = {"label": found.labels, "score": found.scores, "size": found.sizes}
    points = geopandas.GeoDataFrame(data, geometry=shapely.points(found.centres), crs=found.crs)
    areas = geopandas.GeoDataFrame(
        {"place": range(len(polygons.shapes))}, crs=polygons.crs, geometry=polygons.shapes
    )
    return geopandas.sjoin(points.to_crs(polygons.crs), areas, predicate="intersects")


@pytest.mark.parametrize("crs", [UTM, CRS.from_epsg(4326), CRS.from_epsg(3857)])
def test_counts_scores_and_sizes_are_those_of_geopandas(crs):
    found = scatter(5000)
    moved = geopandas.GeoSeries(STANDS.shapes, crs=UTM).to_crs(crs).to_numpy()
    polygons = Polygons(STANDS.path, moved, crs, STANDS.attributes)
    counted = count_in_polygons(found, polygons)
    pairs = joined(found, polygons)
    groups = pairs.groupby("place")
    rows = counted.rows
    assert rows["stand"].tolist() == ["hole", "over", "sliver", "far"]
    expected = groups.size().reindex(range(4), fill_value=0)
    assert rows["objects"].tolist() == expected.tolist()
    assert expected[0] > 1000
    cars = pairs[pairs.label == 0].groupby("place").size().reindex(range(4), fill_value=0)
    assert rows["objects_car"].tolist() == cars.tolist()
    assert (rows["objects_car"] + rows["objects_tree"]).tolist() == expected.tolist()
    for column, values in (("score", groups["score"]), ("size_m2", groups["size"])):
        np.testing.assert_allclose(rows[f"{column}_mean"], values.mean().reindex(range(4)))
        for share in (10, 50, 90):
            wanted = values.quantile(share / 100).reindex(range(4))
            np.testing.assert_allclose(rows[f"{column}_p{share}"], wanted)
    assert counted.total["objects"].tolist() == [pairs.index.nunique()]
    assert counted.elsewhere == 5000 - pairs.index.nunique()


def test_densities_are_by_the_area_on_the_ground():
    counted = count_in_polygons(scatter(5000), STANDS)
    rows = counted.rows
    # On the central meridian of UTM, lengths are 0.9996 of those on the ground.
    assert rows["area_ha"].tolist() == pytest.approx(
        [24 / 0.9996**2, 20 / 0.9996**2, 1e-4 / 0.9996**2, 100 / 0.9996**2], rel=1e-4
    )
    np.testing.assert_allclose(rows["per_ha"], rows["objects"] / rows["area_ha"])
    overlap = 4 / 0.9996**2
    assert counted.total["area_ha"][0] == pytest.approx(rows["area_ha"].sum() - overlap, rel=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 60), st.integers(0, 1000))
def test_every_object_is_in_a_polygon_or_elsewhere(count, seed):
    counted = count_in_polygons(scatter(count, seed), STANDS)
    assert counted.total["objects"][0] + counted.elsewhere == count
    assert counted.rows["objects"].sum() >= counted.total["objects"][0]


def test_estimates_stand_beside_the_counts():
    estimator = Accuracy(0.8, 0.5, objects=500)
    rows = count_in_polygons(scatter(2000), STANDS, estimator).rows
    np.testing.assert_allclose(rows["estimate"], rows["objects"] * 1.6)
    assert (rows["estimate_low"] <= rows["estimate"]).all()
    assert (rows["estimate"] <= rows["estimate_high"]).all()


def test_the_figures_are_those_that_are_listed():
    ground = ExaminedGround("objects.gpkg", at(0, 0, 1000, 1000), UTM)
    accuracy = Accuracy(1, 1, objects=0)
    counted = count_in_polygons(scatter(9), STANDS.without_attributes(), accuracy, ground)
    assert tuple(n for n in counted.rows if not n.startswith("objects_")) == FIGURES


def test_figures_are_of_the_examined_part():
    ground = at(0, 0, 1000, 400)
    found = scatter(3000)
    found = found.select(shapely.intersects(ground, shapely.points(found.centres)))
    accuracy = Accuracy(0.8, 0.5, objects=500)
    counted = count_in_polygons(found, STANDS, accuracy, ExaminedGround("f.gpkg", ground, UTM))
    cut = shapes_of(shapely.intersection(STANDS.shapes, ground)[:2])
    expected = count_in_polygons(found, cut, accuracy)
    names = [name for name in expected.rows if name != "objects"]
    rows = counted.rows[names][:2].astype(float)
    # Other numbers of polygons draw other numbers at random for the ends of the intervals.
    np.testing.assert_allclose(rows, expected.rows[names], rtol=1e-2)
    exact = [name for name in names if name not in ("estimate_low", "estimate_high")]
    np.testing.assert_allclose(rows[exact], expected.rows[exact], rtol=1e-6)
    np.testing.assert_allclose(counted.total[exact], expected.total[exact], rtol=1e-6)
    shares = shapely.area(cut.shapes) / shapely.area(STANDS.shapes[:2])
    np.testing.assert_allclose(counted.rows["examined_share"], [*shares, 0, 0], rtol=1e-6)
    unseen = counted.rows[2:].drop(columns=["stand", "examined_share", "area_ha"])
    assert unseen.isna().all(axis=None)
    assert counted.rows["area_ha"].tolist()[2:] == [0, 0]


@pytest.mark.parametrize("crs", [UTM, None])
@pytest.mark.parametrize("has_ground", [False, True])
def test_a_polygon_without_ground_has_no_estimate(crs, has_ground):
    found = replace(scatter(50), crs=crs)
    ground = ExaminedGround("f.gpkg", at(0, 0, 1000, 1000), crs) if has_ground else None
    shapes = [at(0, 0, 500, 500), None, shapely.Polygon(), at(0, 0, 1, 1)]
    polygons = shapes_of(shapes, crs, n=range(4))
    estimator = Accuracy(0.8, 0.5, objects=0)
    rows = count_in_polygons(found, polygons, estimator, ground).rows
    for name in ("estimate", "estimate_low", "estimate_high"):
        assert rows[name].isna().tolist() == [False, True, True, False]
    assert rows["objects"].tolist()[1:] == [0, 0, 0]
    assert rows["estimate_high"][3] > 3  # a place where none was found may still hold some
    nowhere = polygons.select(np.array([False, True, True, False]))
    nowhere = count_in_polygons(found, nowhere, estimator)
    assert nowhere.total["objects"].tolist() == [0]
    assert nowhere.total["estimate_high"].isna().all()


def test_no_object_at_all_gives_rows_of_nothing():
    counted = count_in_polygons(scatter(0), STANDS)
    assert counted.rows["objects"].tolist() == [0, 0, 0, 0]
    assert counted.rows["score_p50"].isna().all()
    assert counted.total["objects"].tolist() == [0]


def test_polygons_beyond_180_degrees_hold_objects_on_the_other_side():
    wgs84 = CRS.from_epsg(4326)
    centres = np.array([[179.95, 0.5], [-179.95, 0.5], [-170.0, 0.5]])
    found = FoundObjects(
        "f", wgs84, shapely.points(centres), centres, ("tree",), np.zeros(3, int), None, None
    )
    polygons = shapes_of([shapely.box(179, 0, 181, 1)], wgs84)
    assert count_in_polygons(found, polygons).rows["objects"].tolist() == [2]


def test_objects_count_in_polygons_on_either_side_of_180_degrees_and_beyond():
    wgs84 = CRS.from_epsg(4326)
    centres = np.array([[179.95, 0.5], [-179.95, 0.5], [180.0, 0.5], [0.0, 0.5]])
    found = FoundObjects(
        "f", wgs84, shapely.points(centres), centres, ("tree",), np.zeros(4, int), None, None
    )
    cut = shapely.multipolygons([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)])
    beyond, west = shapely.box(179.9, 0, 180.1, 1), shapely.box(-180.1, 0, -179.9, 1)
    globe, none = shapely.box(-180, 0, 180, 1), shapely.Polygon()
    counted = count_in_polygons(found, shapes_of([cut, beyond, west, globe, none, None], wgs84))
    assert counted.rows["objects"].tolist() == [3, 3, 3, 4, 0, 0]
    assert (counted.total["objects"].tolist(), counted.elsewhere) == ([4], 0)


def test_a_column_of_the_polygons_is_not_replaced():
    polygons = shapes_of([at(0, 0, 9, 9)], objects=[3])
    with pytest.raises(VectorError, match="column 'objects'"):
        count_in_polygons(scatter(3), polygons)


def test_a_file_without_crs_does_not_match_one_with(tmp_path):
    with pytest.raises(VectorError, match=r"stands\.gpkg has no CRS"):
        count_in_polygons(scatter(3), shapes_of([at(0, 0, 9, 9)], None))


def frame_of(geometry, crs=UTM, **columns):
    return geopandas.GeoDataFrame(columns, geometry=geometry, crs=crs)


def test_objects_are_read_by_their_centres(tmp_path):
    path = tmp_path / "found.gpkg"
    columns = {"label": ["tree", "car"], "score": [0.9, 0.3], "area_m2": [4.0, None]}
    frame_of([at(0, 0, 2, 2), at(10, 10, 14, 12)], **columns).to_file(path)
    found = read_found_objects(path)
    assert (found.centres - CORNER).tolist() == [[1, 1], [12, 11]]
    assert (found.classes, found.labels.tolist()) == (("car", "tree"), [1, 0])
    assert len(read_found_objects(path, min_score=0.5)) == 1


@pytest.mark.parametrize("kind", [shapely.GeometryCollection, shapely.MultiPolygon])
def test_empty_parts_of_an_object_are_left_out(tmp_path, kind):
    path, columns = tmp_path / "found.gpkg", {"label": ["tree", "car"], "score": [0.9, 0.3]}
    shapes = [kind([at(0, 0, 2, 2), shapely.Polygon()]), at(10, 10, 14, 12)]
    frame_of(shapes, **columns).to_file(path)
    found = read_found_objects(path)
    assert (found.centres - CORNER).tolist() == [[1, 1], [12, 11]]
    assert found.labels.tolist() == [1, 0]
    assert found.scores.tolist() == [0.9, 0.3]


def test_the_parts_of_a_dissolved_layer_are_objects(tmp_path):
    path = tmp_path / "dissolved.gpkg"
    trees = shapely.multipolygons([at(0, 0, 2, 2), at(10, 10, 14, 12)])
    cars = shapely.multipoints(CORNER + np.array([[50, 50], [60, 50], [70, 50]]))
    frame_of([trees, cars], label=["tree", "car"], score=[0.9, 0.3]).to_file(path)
    found = read_found_objects(path)
    assert (found.centres[:2] - CORNER).tolist() == [[1, 1], [12, 11]]
    assert [found.classes[label] for label in found.labels] == ["tree"] * 2 + ["car"] * 3
    assert found.scores.tolist() == [0.9, 0.9, 0.3, 0.3, 0.3]


def test_an_object_that_is_cut_at_the_antimeridian_is_one(tmp_path):
    path = tmp_path / "cut.geojson"
    parts = [shapely.box(179.9, 0, 180, 1), shapely.box(-180, 0, -179.8, 1)]
    frame_of([shapely.multipolygons(parts)], CRS.from_epsg(4326), label=["reef"]).to_file(path)
    assert read_found_objects(path).centres.tolist() == [pytest.approx([180.05, 0.5])]


def test_objects_without_a_score_count_unless_a_least_score_is_asked_for(tmp_path, caplog):
    path = tmp_path / "found.gpkg"
    trees = [at(0, 0, 2, 2), at(10, 10, 14, 12)]
    frame_of(trees, label=["tree"] * 2, score=[0.9, None]).to_file(path)
    counted = count_in_polygons(read_found_objects(path), shapes_of([at(0, 0, 50, 50)]))
    assert counted.rows[["objects", "score_mean", "score_p50"]].iloc[0].tolist() == [2, 0.9, 0.9]
    assert caplog.text == ""
    assert len(read_found_objects(path, min_score=0.5)) == 1
    assert "objects without a score are left out: 1" in caplog.text


@pytest.mark.parametrize("wrong", [95.0, -0.1])
def test_a_least_score_is_refused_where_scores_are_not_between_0_and_1(tmp_path, wrong):
    path = tmp_path / "found.gpkg"
    trees = [at(0, 0, 2, 2), at(10, 10, 14, 12), at(20, 20, 24, 22)]
    frame_of(trees, label=["tree"] * 3, score=[0.9, wrong, None]).to_file(path)
    assert len(read_found_objects(path)) == 3
    message = f"1 scores in 'score' are not between 0 and 1, the first is {wrong:g}"
    with pytest.raises(VectorError, match=message) as caught:
        read_found_objects(path, min_score=0.5)
    assert "scale the scores" in caught.value.hint


def test_a_field_that_is_missing_is_named(tmp_path):
    path = tmp_path / "found.gpkg"
    frame_of([at(0, 0, 2, 2)], label=["tree"]).to_file(path)
    with pytest.raises(VectorError, match="no attribute 'confidence'"):
        read_found_objects(path, score_field="confidence")
    with pytest.raises(VectorError, match="no attribute 'block'"):
        read_polygons(path, "block")


def test_points_are_no_polygons(tmp_path):
    path = tmp_path / "points.gpkg"
    frame_of([shapely.Point(CORNER)], a=[1]).to_file(path)
    with pytest.raises(VectorError, match="other than polygons"):
        read_polygons(path)


def test_a_bow_tie_is_repaired(tmp_path):
    path = tmp_path / "bow.gpkg"
    bow = shapely.Polygon(CORNER + np.array([[0, 0], [100, 100], [100, 0], [0, 100]]))
    frame_of([bow], a=[1]).to_file(path)
    polygons = read_polygons(path)
    assert polygons.shapes[0].area == pytest.approx(5000)


def test_a_spike_on_a_bow_tie_keeps_its_area(tmp_path):
    corners = [[0, 0], [100, 100], [100, 0], [0, 100], [0, 0], [-50, -50], [0, 0]]
    spiked = shapely.Polygon(CORNER + np.array(corners))
    sliver = shapely.Polygon(CORNER + np.array([[0, 0], [100, 0], [0, 0]]))
    frame_of([spiked, sliver], a=[1, 2]).to_file(tmp_path / "spiked.gpkg")
    polygons = read_polygons(tmp_path / "spiked.gpkg")
    counted = count_in_polygons(scatter(500), polygons)
    assert counted.rows["area_ha"].tolist() == pytest.approx([0.5, 0], rel=1e-2)
    assert counted.total["area_ha"].item() == pytest.approx(0.5, rel=1e-2)


def test_polygons_in_a_collection_are_one_place(tmp_path):
    nested = shapely.MultiPolygon([at(0, 0, 100, 100), at(200, 0, 300, 100)])
    place = shapely.GeometryCollection([nested, at(50, 0, 150, 100), shapely.Point()])
    frame_of([place], a=[1]).to_file(tmp_path / "places.gpkg")
    (whole,) = read_polygons(tmp_path / "places.gpkg").shapes
    assert whole.equals(shapely.union(nested, at(50, 0, 150, 100)))
    mixed = shapely.GeometryCollection([nested, shapely.Point(CORNER)])
    frame_of([mixed], a=[1]).to_file(tmp_path / "mixed.gpkg")
    with pytest.raises(VectorError, match="other than polygons"):
        read_polygons(tmp_path / "mixed.gpkg")
