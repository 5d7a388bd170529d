"""Two dates: what was painted as kept, gone and new is found as such."""

from dataclasses import replace

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geodet.counting.compare import compare_dates
from geodet.counting.comparison import match_dates
from geodet.counting.found_objects import FoundObjects, read_found_objects
from geodet.errors import VectorError

UTM = CRS.from_epsg(32633)
CORNER = np.array([500_000.0, 5_000_000.0])


def objects(xy, labels=None, crs=UTM, classes=("tree",)):
    centres = CORNER + np.array(xy, float).reshape(-1, 2)
    labels = np.zeros(len(centres), int) if labels is None else np.array(labels)
    shapes = shapely.points(centres)
    return FoundObjects("objects", crs, shapes, centres, classes, labels, None, None)


def in_degrees(found):
    shapes = geopandas.GeoSeries(found.shapes, crs=found.crs).to_crs(4326).to_numpy()
    wgs84 = CRS.from_epsg(4326)
    return FoundObjects(
        found.path,
        wgs84,
        shapes,
        shapely.get_coordinates(shapes),
        found.classes,
        found.labels,
        None,
        None,
    )


BEFORE = objects([(0, 0), (20, 0), (40, 0)])
AFTER = objects([(1, 1), (41, -1), (60, 0)])


@pytest.mark.parametrize("turn", [lambda found: found, in_degrees])
def test_each_object_is_kept_gone_or_new(turn):
    compared = match_dates(BEFORE, turn(AFTER), distance=3)
    assert [rows.tolist() for rows in compared.kept] == [[0, 2], [0, 1]]
    assert compared.moved == pytest.approx([2**0.5, 2**0.5], rel=1e-3)
    assert (compared.gone.tolist(), compared.new.tolist()) == ([1], [2])
    assert compared.unseen == (0, 0)


@pytest.mark.parametrize("epsg", [4326, 3857])
def test_objects_on_both_sides_of_the_antimeridian_are_kept(epsg):
    crs = CRS.from_epsg(epsg)
    to_crs = Transformer.from_crs(4326, crs, always_xy=True).transform
    first, second = [179.98, 179.99999, -179.99, -179.98], [179.98001, -180, -179.98999, 0]
    dates = [np.stack(to_crs(x, [-17.0] * 4), axis=-1) - CORNER for x in (first, second)]
    compared = match_dates(*(objects(xy, crs=crs) for xy in dates), distance=3)
    assert [rows.tolist() for rows in compared.kept] == [[0, 1, 2], [0, 1, 2]]
    assert compared.moved == pytest.approx([1.065] * 3, rel=1e-2)


def test_one_object_is_not_kept_twice():
    compared = match_dates(objects([(0, 0), (1, 0)]), objects([(0.4, 0)]), distance=3)
    assert [rows.tolist() for rows in compared.kept] == [[0], [0]]
    assert compared.gone.tolist() == [1]


def test_a_class_that_changed_is_another_object():
    before = objects([(0, 0)], [0], classes=("car", "tree"))
    after = objects([(0, 0)], [0], classes=("tree",))
    compared = match_dates(before, after, distance=3)
    assert (len(compared.kept[0]), len(compared.gone), len(compared.new)) == (0, 1, 1)


def test_what_the_other_date_did_not_examine_is_neither_gone_nor_new():
    x, y = CORNER
    west = shapely.box(x - 10, y - 10, x + 30, y + 10)
    east = shapely.box(x + 30, y - 10, x + 70, y + 10)
    both = shapely.union(west, east)
    compared = match_dates(BEFORE, AFTER, distance=3, grounds=(west, both))
    assert (compared.new.tolist(), compared.unseen) == ([], (0, 1))
    compared = match_dates(BEFORE, AFTER, distance=3, grounds=(both, east))
    assert (compared.gone.tolist(), compared.unseen) == ([], (1, 0))


def test_what_one_date_looked_at_nowhere_is_neither_gone_nor_new():
    nowhere, everywhere = shapely.from_wkt("POLYGON EMPTY"), None
    compared = match_dates(BEFORE, AFTER, distance=3, grounds=(nowhere, everywhere))
    assert (compared.new.tolist(), compared.unseen) == ([], (0, 1))


@settings(max_examples=40)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 99), st.floats(0.5, 20))
def test_every_object_has_one_fate(first, second, seed, distance):
    rng = np.random.default_rng(seed)
    before, after = (objects(rng.uniform(0, 50, (count, 2))) for count in (first, second))
    compared = match_dates(before, after, distance=distance)
    assert sorted([*compared.kept[0], *compared.gone]) == list(range(first))
    assert sorted([*compared.kept[1], *compared.new]) == list(range(second))
    assert (compared.moved <= distance * (1 + 1e-3)).all()
    back = match_dates(after, before, distance=distance)
    assert len(back.kept[0]) == len(compared.kept[0])


def write(path, found, ground=None):
    frame = geopandas.GeoDataFrame(
        {"label": [found.classes[label] for label in found.labels], "score": 0.5},
        geometry=found.shapes,
        crs=found.crs,
    )
    metadata = {"examined ground": ground.wkt} if ground is not None else None
    pyogrio.write_dataframe(frame, path, layer="detections", layer_metadata=metadata)
    return path


def test_the_layers_and_the_counts_are_written(tmp_path):
    x, y = CORNER
    all_of_it = shapely.box(x - 100, y - 100, x + 100, y + 100)
    before = write(tmp_path / "before.gpkg", BEFORE, all_of_it)
    after = write(tmp_path / "after.gpkg", AFTER, all_of_it)
    halves = [shapely.box(x - 9, y - 9, x + 30, y + 9), shapely.box(x + 30, y - 9, x + 99, y + 9)]
    by = tmp_path / "by.gpkg"
    geopandas.GeoDataFrame({"half": ["west", "east"]}, geometry=halves, crs=UTM).to_file(by)
    output = tmp_path / "changes.gpkg"
    report = compare_dates(before, after, output, by=by)
    assert (report.kept, report.gone, report.new) == (2, 1, 1)
    west, east = report.counts
    assert west == {"half": "west", "kept": 1, "gone": 1, "new": 0, "compared_share": 1.0}
    assert compare_dates(before, after, by=by).counts == (west, east)
    with pytest.raises(VectorError, match="no attribute 'whole'"):
        compare_dates(before, after, by=by, field="whole")
    layers = {name: geopandas.read_file(output, layer=name) for name in ("kept", "gone", "new")}
    assert {name: len(layer) for name, layer in layers.items()} == {"kept": 2, "gone": 1, "new": 1}
    assert layers["kept"]["moved_m"].tolist() == pytest.approx([2**0.5] * 2, rel=1e-3)
    counts = geopandas.read_file(output, layer="counts")
    assert counts[["half", "kept", "gone", "new"]].to_numpy().tolist() == [
        ["west", 1, 1, 0],
        ["east", 1, 0, 1],
    ]


def test_a_polygon_that_both_dates_did_not_examine_has_no_counts(tmp_path, caplog):
    x, y = CORNER
    before = write(tmp_path / "before.gpkg", BEFORE, shapely.box(x - 10, y - 10, x + 30, y + 10))
    after = write(tmp_path / "after.gpkg", AFTER, shapely.box(x + 10, y - 10, x + 70, y + 10))
    by = tmp_path / "by.gpkg"
    stands = [shapely.box(x + at, y - 10, x + at + 20, y + 10) for at in (-10, 0, 10, 50)]
    geopandas.GeoDataFrame({"stand": range(4)}, geometry=stands, crs=UTM).to_file(by)
    output = tmp_path / "changes.gpkg"
    counts = compare_dates(before, after, output, by=by).counts
    assert [row["compared_share"] for row in counts] == pytest.approx([0, 0.5, 1, 0])
    assert [(row["kept"], row["gone"], row["new"]) for row in counts] == [
        (1, 0, 0),  # found by both, at the edge of what the second date examined
        (1, 1, 0),
        (0, 1, 0),
        (None, None, None),
    ]
    assert geopandas.read_file(output, layer="counts")["new"].isna().tolist() == [0, 0, 0, 1]
    assert (
        "by.gpkg: 2 of 4 polygons were not compared, and 1 of 4 polygons was compared only in part"
        in caplog.text
    )


def test_counts_have_the_attributes_of_the_polygons_but_none_of_their_own_names(tmp_path):
    date = write(tmp_path / "date.gpkg", BEFORE)
    by = tmp_path / "by.gpkg"
    columns = {"id": [9007199254740993], "day": [pd.Timestamp("2026-05-17")], "share": [None]}
    polygons = geopandas.GeoDataFrame(
        {**columns, "kept": [1]}, geometry=[shapely.box(*CORNER - 9, *CORNER + 9)], crs=UTM
    )
    polygons.to_file(by)
    with pytest.raises(VectorError, match="has a column 'kept', a name that the counts use"):
        compare_dates(date, date, tmp_path / "changes.gpkg", by=by)
    polygons.drop(columns="kept").to_file(by)
    (row,) = compare_dates(date, date, by=by).counts
    assert row.pop("day").startswith("2026-05-17T00:00:00")
    assert row == {"id": 9007199254740993, "share": None, "kept": 1, "gone": 0, "new": 0}


def test_a_date_that_looked_elsewhere_changes_nothing(tmp_path, caplog):
    x, y = CORNER
    before = write(tmp_path / "before.gpkg", BEFORE, shapely.box(x - 9, y - 9, x + 30, y + 9))
    after = write(tmp_path / "after.gpkg", AFTER)
    report = compare_dates(before, after, tmp_path / "changes.gpkg")
    assert (report.new, report.unseen_after) == (0, 1)
    assert "after.gpkg does not record its examined area" in caplog.text
    assert len(geopandas.read_file(tmp_path / "changes.gpkg", layer="new")) == 0


def test_other_names_of_classes_are_warned_of_and_may_be_taken_as_one(tmp_path, caplog):
    before = write(tmp_path / "before.gpkg", BEFORE)
    cars = objects([(1, 1), (41, -1), (60, 0)], [0, 1, 0], classes=("car", "van"))
    after = write(tmp_path / "after.gpkg", cars)
    assert compare_dates(before, after).kept == 0
    said = f"no object is kept: {before} has tree, {after} has car, van; label_field"
    assert said in caplog.text
    caplog.clear()
    assert compare_dates(before, after, label_field="").kept == 2
    assert "no class in common" not in caplog.text


def test_classes_that_differ_in_case_alone_are_one(tmp_path, caplog):
    classes = objects(BEFORE.centres - CORNER, [0, 1, 0], classes=("Car", "van"))
    before = write(tmp_path / "before.gpkg", classes)
    after = write(
        tmp_path / "after.gpkg",
        objects(AFTER.centres - CORNER, [0, 0, 1], classes=("car", "van")),
    )
    report = compare_dates(before, after, tmp_path / "changes.gpkg")
    assert (report.kept, report.gone, report.new) == (2, 1, 1)
    assert geopandas.read_file(tmp_path / "changes.gpkg", layer="kept").label[0] == "car"
    assert "the class" not in caplog.text


def test_classes_of_one_date_alone_are_warned_of(tmp_path, caplog):
    xy = BEFORE.centres - CORNER
    before = write(tmp_path / "before.gpkg", objects(xy, [0, 1, 2], classes=("bus", "Car", "car")))
    after = write(tmp_path / "after.gpkg", objects(xy, [0, 1, 1], classes=("CAR", "bus")))
    assert compare_dates(before, after).kept == 0
    assert f"{before} has the classes Car, car, which {after} lacks" in caplog.text
    assert f"{after} has the class CAR, which {before} lacks" in caplog.text


def test_the_class_may_be_in_another_attribute(tmp_path, caplog):
    path = tmp_path / "labels.gpkg"
    columns = {"label": ["tree", None, "tree"], "species": ["oak", "elm", "elm"]}
    geopandas.GeoDataFrame(columns, geometry=BEFORE.shapes, crs=UTM).to_file(path)
    with pytest.raises(VectorError, match=r"objects without a class .*: 1 "):
        compare_dates(path, path)
    with caplog.at_level("INFO"):
        assert compare_dates(path, path, label_field="species").kept == 3
    assert "also label)" in caplog.text
    with pytest.raises(VectorError, match="no attribute 'genus'") as caught:
        compare_dates(path, path, label_field="genus")
    assert caught.value.hint == "there are label, species"


def test_the_score_may_be_in_another_attribute(tmp_path):
    path = tmp_path / "found.gpkg"
    columns = {"label": "tree", "confidence": [0.9, 0.2, 0.6]}
    geopandas.GeoDataFrame(columns, geometry=BEFORE.shapes, crs=UTM).to_file(path)
    report = compare_dates(path, path, min_score=0.5, score_field="confidence")
    assert (report.kept, report.gone, report.new) == (2, 0, 0)


def test_one_date_without_crs_is_refused(tmp_path):
    with pytest.raises(VectorError, match="has no CRS"):
        match_dates(BEFORE, objects([(0, 0)], crs=None), distance=3)


def test_objects_that_another_program_wrote_around_the_globe_are_kept(tmp_path):
    """Their vertices lie at 179.9 and -179.9 degrees, and their middle at 0."""
    zone = CRS.from_epsg(32701)  # ends at 180 degrees west
    x, y = Transformer.from_crs(4326, zone, always_xy=True).transform(-180.0, -17.0)
    shapes = [shapely.box(x + at - 3, y, x + at + 3, y + 6) for at in (-20, 0, 1, 20)]
    frame = geopandas.GeoDataFrame({"label": ["tree"] * 4}, geometry=shapes, crs=zone)
    frame.to_file(tmp_path / "utm.gpkg")
    wrapped = frame.to_crs(4326)
    assert (wrapped.bounds.maxx - wrapped.bounds.minx > 300).sum() == 2
    wrapped.to_file(tmp_path / "degrees.gpkg")
    found = [read_found_objects(tmp_path / name) for name in ("utm.gpkg", "degrees.gpkg")]
    compared = match_dates(*found, distance=1)
    assert [len(rows) for rows in compared.kept] == [4, 4]
    assert np.ptp(found[1].centres[:, 0] % 360) < 0.01


@pytest.mark.parametrize(
    ("crs", "metres"),
    [
        ("IAU_2015:49900", 3_396_190 * np.pi / 180),  # a degree on the sphere of Mars
        ('LOCAL_CS["site",UNIT["foot",0.3048],AXIS["X",EAST],AXIS["Y",NORTH]]', 0.3048),
    ],
)
def test_distances_of_other_worlds_are_in_metres(crs, metres):
    here = objects([(0, 0)], crs=CRS.from_user_input(crs))
    one = replace(here, centres=np.array([[10.0, 0.0]]), shapes=shapely.points([[10.0, 0.0]]))
    step = 2 / metres
    north = np.array([[10.0, step]])
    other = replace(one, centres=north, shapes=shapely.points(north))
    compared = match_dates(one, other, distance=3.0)
    assert compared.moved == pytest.approx([2.0], rel=1e-6)
    assert not len(match_dates(one, other, distance=1.9).moved)
