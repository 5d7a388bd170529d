"""The tool that counts: files in, a table out, and what is known of the accuracy."""

import json

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from factories_vectors import UTM, write_searched

from geodet.counting.compare import compare_dates
from geodet.counting.count import CountPlaces, count_objects
from geodet.counting.known_accuracy import KnownAccuracy
from geodet.errors import ConfigError, OutputError, VectorError

CORNER = np.array([500_000.0, 5_000_000.0])
STORED = {"precision": 0.8, "recall": 0.5, "objects": 400, "score_threshold": 0.3}


def at(x1, y1, x2, y2):
    x, y = CORNER
    return shapely.box(x + x1, y + y1, x + x2, y + y2)


def write(path, geometry, metadata=None, **columns):
    frame = geopandas.GeoDataFrame(columns, geometry=geometry, crs="EPSG:32633")
    pyogrio.write_dataframe(frame, path, layer="detections", layer_metadata=metadata)
    return path


@pytest.fixture
def trees(tmp_path):
    """Write 100 trees on a grid of 10 m, in two classes."""
    xy = [(x, y) for x in range(0, 100, 10) for y in range(0, 100, 10)]
    return write(
        tmp_path / "trees.gpkg",
        [at(x + 4, y + 4, x + 6, y + 6) for x, y in xy],
        {"accuracy": json.dumps(STORED), "software": "geodet"},
        label=["oak", "pine"] * 50,
        score=np.linspace(0.3, 0.99, 100),
        area_m2=[4.0] * 100,
    )


@pytest.fixture
def stands(tmp_path):
    areas = [at(0, 0, 50, 100), at(50, 0, 100, 50), at(500, 500, 600, 600)]
    return write(tmp_path / "stands.gpkg", areas, stand=["a", "b", "c"], owner=[1, 2, 3])


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet"])
def test_the_polygons_are_written_with_their_counts(tmp_path, trees, stands, suffix):
    output = tmp_path / f"counts{suffix}"
    report = count_objects(trees, CountPlaces(stands), output)
    assert (report.polygons, report.objects, report.elsewhere) == (3, 75, 25)
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    counts = read(output, **({"layer": "counts"} if suffix == ".gpkg" else {}))
    assert sorted(counts["objects"]) == [0, 25, 50]
    assert sorted(counts["stand"]) == ["a", "b", "c"]
    there = counts.set_index("stand").to_crs(32633).geometry.area
    assert there["a"] == pytest.approx(5000, rel=1e-5)


def test_text_ends_with_the_total(tmp_path, trees, stands):
    output = tmp_path / "counts.csv"
    count_objects(trees, CountPlaces(stands, "stand"), output)
    rows = pd.read_csv(output)
    assert rows["stand"].tolist() == ["a", "b", "c", "total"]
    assert rows["objects"].tolist() == [50, 25, 0, 75]
    assert rows["objects_oak"].tolist()[-1] + rows["objects_pine"].tolist()[-1] == 75
    assert "owner" not in rows.columns


def test_text_has_the_attributes_as_they_are(tmp_path, trees):
    path, output = tmp_path / "stands.gpkg", tmp_path / "counts.csv"
    day = pd.Timestamp("2026-05-17")
    columns = {"code": [12001, 9007199254740993], "day": [day, day], "share": [0.1, None]}
    write(path, [at(0, 0, 50, 100), at(50, 0, 100, 50)], name=["-a", "b"], **columns)
    count_objects(trees, CountPlaces(path), output)
    rows = [line.split(",")[:5] for line in output.read_text().splitlines()]
    assert rows[1:] == [
        ["'-a", "12001", "2026-05-17", "0.1", "50"],
        ["b", "9007199254740993", "2026-05-17", "", "25"],
        ["total", "", "", "", "75"],
    ]


def test_polygons_without_attributes_are_numbered_in_text(tmp_path, trees):
    plain = tmp_path / "plain.geojson"
    geopandas.GeoSeries([at(0, 0, 50, 100)], crs=32633).to_crs(4326).to_file(plain)
    count_objects(trees, CountPlaces(plain), tmp_path / "counts.csv")
    rows = pd.read_csv(tmp_path / "counts.csv")
    assert rows.iloc[:, 0].tolist() == ["1", "total"]


def test_the_total_is_a_table_of_a_geopackage(tmp_path, trees, stands):
    output = tmp_path / "counts.gpkg"
    report = count_objects(trees, CountPlaces(stands), output)
    total = pyogrio.read_dataframe(output, layer="total")
    assert total["objects"].tolist() == [75]
    assert total["estimate_high"][0] == pytest.approx(report.total["estimate_high"])


def to_geojson(path, polygons, **columns):
    """Write polygons to a file whose attributes may have any name and any value."""
    shapes = geopandas.GeoSeries(polygons, crs=32633).to_crs(4326)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    features = [
        {"type": "Feature", "properties": row, "geometry": shapely.geometry.mapping(shape)}
        for row, shape in zip(rows, shapes, strict=True)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.mark.parametrize("names", [("a", "A"), ("Objects", "n"), ("objects_OAK", "n")])
def test_columns_that_a_geopackage_takes_as_one_are_named(tmp_path, trees, names):
    values = {name: ["x"] for name in names}
    stands = to_geojson(tmp_path / "stands.geojson", [at(0, 0, 50, 100)], **values)
    with pytest.raises(OutputError, match=f"the columns .*{names[0]}.* are one") as caught:
        count_objects(trees, CountPlaces(stands), tmp_path / "counts.gpkg")
    assert "rename the attribute" in caught.value.hint
    count_objects(trees, CountPlaces(stands), tmp_path / "counts.parquet")
    assert {*names} <= {*geopandas.read_parquet(tmp_path / "counts.parquet").columns}


def test_polygons_may_have_attributes_of_the_names_that_geopackages_use(tmp_path, trees):
    columns = {"fid": ["x", "x"], "Geom": [1, 2]}
    halves = [at(0, 0, 50, 100), at(50, 0, 100, 100)]
    stands = to_geojson(tmp_path / "stands.geojson", halves, **columns)
    count_objects(trees, CountPlaces(stands), tmp_path / "counts.gpkg")
    counts = geopandas.read_file(tmp_path / "counts.gpkg", layer="counts")
    assert counts[["fid", "Geom", "objects"]].to_numpy().tolist() == [["x", 1, 50], ["x", 2, 50]]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet", ".csv"])
def test_lists_and_objects_are_json_as_text_but_in_geojson(tmp_path, trees, suffix):
    values = [["a", "ä"], {"k": 1}, [1, [2.5]], None]
    shapes = [at(x, 0, x + 20, 100) for x in (0, 20, 40, 60)]
    stands = to_geojson(tmp_path / "stands.geojson", shapes, order=[1, 2, 3, 4], n=values)
    output = tmp_path / f"counts{suffix}"
    count_objects(trees, CountPlaces(stands), output)
    if suffix == ".geojson":
        read = [feature["properties"] for feature in json.loads(output.read_text())["features"]]
        assert [row["n"] for row in read] == values
        return
    read = {".parquet": geopandas.read_parquet, ".csv": pd.read_csv}.get(suffix)
    counts = read(output) if read else pyogrio.read_dataframe(output, layer="counts")
    counts = counts.sort_values("order").iloc[:4]
    assert counts["n"].tolist()[:3] == ['["a", "ä"]', '{"k": 1}', "[1, [2.5]]"]
    assert counts["n"].isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet", ".csv"])
def test_polygons_without_a_geometry_stay_in_the_table(tmp_path, trees, suffix):
    shapes = [at(0, 0, 50, 100), None, shapely.Polygon()]
    stands = write(tmp_path / "stands.gpkg", shapes, stand=["a", "b", "c"])
    output = tmp_path / f"counts{suffix}"
    count_objects(trees, CountPlaces(stands), output)
    read = {".parquet": geopandas.read_parquet, ".csv": pd.read_csv}.get(suffix)
    counts = read(output) if read else pyogrio.read_dataframe(output, layer="counts")
    assert dict(zip(counts["stand"], counts["objects"], strict=True)).items() >= {
        ("a", 50),
        ("b", 0),
        ("c", 0),
    }


def test_the_accuracy_is_what_the_file_says(trees, stands):
    report = count_objects(trees, CountPlaces(stands))
    assert report.total["estimate"] == pytest.approx(75 * 0.8 / 0.5)
    assert report.total["estimate_low"] < 120 < report.total["estimate_high"]
    assert "0.800 / recall 0.500, measured on 400 objects" in report.estimated_by


def test_at_another_threshold_the_stored_accuracy_does_not_hold(trees, stands, caplog):
    report = count_objects(trees, CountPlaces(stands), min_score=0.6)
    assert "estimate" not in report.total
    assert "only known for the score threshold 0.3, not for 0.6" in caplog.text


def test_a_file_of_another_program_gives_no_interval_and_says_why(tmp_path, stands, caplog):
    found = write(tmp_path / "other.gpkg", [at(1, 1, 2, 2)], name=["tree"])
    report = count_objects(found, CountPlaces(stands))
    assert (report.objects, report.estimated_by) == (1, "")
    assert "does not record its accuracy" in caplog.text


def test_another_layer_of_a_file_does_not_have_the_accuracy_of_its_detections(trees, stands):
    mine = geopandas.GeoDataFrame({"label": ["oak"]}, geometry=[at(1, 1, 2, 2)], crs=32633)
    pyogrio.write_dataframe(mine, trees, layer="mine", append=True)
    report = count_objects(f"{trees}|layername=mine", CountPlaces(stands))
    assert (report.objects, report.estimated_by) == (1, "")
    report = count_objects(f"{trees}|layername=detections", CountPlaces(stands))
    assert report.total["estimate"] == pytest.approx(75 * 0.8 / 0.5)


def test_the_user_may_know_better(trees, stands):
    report = count_objects(trees, CountPlaces(stands), known=KnownAccuracy(0.9, 0.9))
    assert report.total["estimate"] == pytest.approx(75)
    assert "taken as exact" in report.estimated_by


def test_plots_give_the_ratio(tmp_path, trees, stands):
    plots = write(tmp_path / "plots.gpkg", [at(0, 0, 20, 20), at(40, 0, 60, 20)], plot=[1, 2])
    truth = [at(x, y, x + 1, y + 1) for x, y in [(1, 1), (2, 2), (3, 3), (4, 4), (45, 5), (48, 8)]]
    sample = write(tmp_path / "sample.gpkg", truth, species=["x"] * 6)
    report = count_objects(
        trees, CountPlaces(stands), known=KnownAccuracy(sample=sample, plots=plots)
    )
    assert report.total["estimate"] == pytest.approx(75 * 6 / 8)
    assert "ratio of 6 labelled objects to 8 detections in 2 sample plots" in report.estimated_by


def test_the_labels_of_a_sample_may_have_a_name_each(tmp_path, trees, stands):
    plots = write(tmp_path / "plots.gpkg", [at(0, 0, 20, 20), at(40, 0, 60, 20)], plot=[1, 2])
    truth = [at(x, 1, x + 1, 2) for x in range(12)]
    sample = write(tmp_path / "sample.gpkg", truth, name=[f"T{n}" for n in range(11)] + [None])
    known = KnownAccuracy(sample=sample, plots=plots)
    report = count_objects(trees, CountPlaces(stands), known=known)
    assert "ratio of 12 labelled objects to 8 detections" in report.estimated_by


def test_plots_without_a_place_do_not_narrow_the_interval(tmp_path, trees, stands, caplog):
    areas = [at(0, 0, 20, 20), at(40, 0, 60, 20), at(60, 60, 90, 70)]
    truth = [at(x, x, x + 1, x + 1) for x in (1, 2, 3, 4, 5, 45)]
    sample = write(tmp_path / "sample.gpkg", truth, species=["x"] * 6)
    reports = []
    for name, plots in (("all", areas), ("gaps", [None, *areas, shapely.Polygon(), None])):
        path = write(tmp_path / f"{name}.gpkg", plots, plot=range(len(plots)))
        known = KnownAccuracy(sample=sample, plots=path)
        reports.append(count_objects(trees, CountPlaces(stands), known=known))
    assert reports[0] == reports[1]
    assert "gaps.gpkg: 3 plots have no geometry and are left out" in caplog.text


def test_half_of_what_is_needed_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="go together"):
        KnownAccuracy(precision=0.5)
    with pytest.raises(ConfigError, match="a sample and its plots go together"):
        KnownAccuracy(sample=tmp_path)
    with pytest.raises(ConfigError, match="without the precision and recall measured"):
        KnownAccuracy(objects=500)
    with pytest.raises(ConfigError, match="both an accuracy and a sample"):
        KnownAccuracy(0.9, 0.9, sample=tmp_path, plots=tmp_path)


def test_the_polygons_are_not_overwritten(trees, stands):
    with pytest.raises(OutputError, match="is an input"):
        count_objects(trees, CountPlaces(stands), stands, overwrite=True)


def test_objects_without_a_place_are_left_out_with_a_warning(tmp_path, stands, caplog):
    shapes = [at(1, 1, 2, 2), None, None]
    path = write(tmp_path / "found.gpkg", shapes, label=["tree"] * 3, score=[0.9] * 3)
    report = count_objects(path, CountPlaces(stands))
    assert report.objects == 1
    assert "objects without coordinates are left out: 2" in caplog.text


@pytest.mark.parametrize("title", ["accuracy", "thresholds", "model_sha256"])
def test_runs_of_other_thresholds_or_models_in_one_file_have_no_common_accuracy(
    tmp_path, stands, caplog, title
):
    about = {"accuracy": json.dumps(STORED), title: json.dumps(STORED), f"{title} 2": "other"}
    found = write(tmp_path / "two.gpkg", [at(1, 1, 2, 2)], about, label=["tree"], score=[0.9])
    report = count_objects(found, CountPlaces(stands))
    assert "estimate" not in report.total
    assert f"its runs differ in {title}" in caplog.text


@pytest.fixture
def half(tmp_path):
    """Write 50 trees of the western half of the hectare, and that only it was examined."""
    xy = [(x, y) for x in range(0, 50, 10) for y in range(0, 100, 10)]
    trees = [at(x + 4, y + 4, x + 6, y + 6) for x, y in xy]
    about = {"accuracy": json.dumps(STORED), "examined ground": at(0, 0, 50, 100).wkt}
    return write(tmp_path / "half.gpkg", trees, about, label=["oak"] * 50, score=[0.9] * 50)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet", ".csv"])
def test_polygons_that_were_not_examined_have_no_counts(tmp_path, half, caplog, suffix):
    areas = [at(0, 0, 100, 100), at(0, 0, 50, 50), at(60, 0, 90, 90), None]
    stands = write(tmp_path / "stands.gpkg", areas, stand=["a", "b", "c", "d"])
    output = tmp_path / f"counts{suffix}"
    report = count_objects(half, CountPlaces(stands), output)
    read = {".parquet": geopandas.read_parquet, ".csv": pd.read_csv}.get(suffix)
    counts = read(output) if read else pyogrio.read_dataframe(output, layer="counts")
    counts = counts.set_index("stand").loc[["a", "b", "c"]]
    assert counts["objects"].fillna(-1).tolist() == [50, 25, -1]
    np.testing.assert_allclose(counts["examined_share"], [0.5, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(counts["per_ha"], [100, 100, np.nan], rtol=2e-3)
    assert counts["estimate_high"].isna().tolist() == [False, False, True]
    assert report.total["examined_share"] == pytest.approx(0.5)
    assert report.total["per_ha"] == pytest.approx(100, rel=2e-3)
    said = "1 of 4 polygons was not examined, and 1 of 4 polygons was examined only in part; counts"
    assert said in caplog.text


def test_whole_polygons_need_no_warning(tmp_path, half, caplog):
    stands = write(tmp_path / "stands.gpkg", [at(0, 0, 50, 50), at(0, 50, 50, 100)], n=[1, 2])
    assert count_objects(half, CountPlaces(stands)).total["examined_share"] == 1
    assert caplog.text == ""


def test_polygons_of_which_none_was_examined_are_refused(tmp_path, half):
    away = write(tmp_path / "away.gpkg", [at(1e5, 0, 1.1e5, 100)], n=[1])
    with pytest.raises(VectorError, match=r"none of the polygons in .*away\.gpkg") as caught:
        count_objects(half, CountPlaces(away))
    assert "check the CRS of both" in caught.value.hint
    there = geopandas.GeoSeries([at(0, 0, 50, 50)], crs=32633).to_crs(4326)
    swapped = tmp_path / "swapped.gpkg"
    turned = shapely.transform(there.to_numpy(), lambda xy: xy[:, ::-1])
    geopandas.GeoSeries(turned, crs=4326).to_file(swapped)
    with pytest.raises(VectorError, match="none of the polygons") as caught:
        count_objects(half, CountPlaces(swapped))
    assert caught.value.hint.endswith("perhaps latitude and longitude are swapped")


def test_plots_that_were_not_examined_are_left_out(tmp_path, half, stands, caplog):
    areas = [at(0, 0, 20, 20), at(40, 0, 60, 20), at(60, 0, 80, 20), at(0, 40, 20, 60)]
    plots = write(tmp_path / "plots.gpkg", areas, plot=[1, 2, 3, 4])
    xy = [(1, 1), (2, 2), (12, 12), (13, 3), (41, 5), (55, 5), (65, 5), (71, 5), (5, 45), (9, 49)]
    truth = [at(x, y, x + 1, y + 1) for x, y in xy]
    sample = write(tmp_path / "sample.gpkg", truth, species=["x"] * len(xy))
    known = KnownAccuracy(sample=sample, plots=plots)
    report = count_objects(half, CountPlaces(stands), known=known)
    # Of the second plot only the western half: 1 labelled, 2 found; nothing of the third.
    assert "ratio of 7 labelled objects to 10 detections in 3 sample" in report.estimated_by
    assert (
        "1 of 4 plots was not examined, and 1 of 4 plots was examined only in part" in caplog.text
    )
    away = write(tmp_path / "away.gpkg", areas[2:3], plot=[3])
    with pytest.raises(VectorError, match="none of the plots"):
        count_objects(half, CountPlaces(stands), known=KnownAccuracy(sample=sample, plots=away))


def test_ground_that_one_of_several_models_searched_is_warned_of(tmp_path, caplog):
    x, y = 600_000, 4_000_000
    area = shapely.box(x, y - 500, x + 500, y)
    shape = geopandas.GeoSeries([area], crs=UTM)
    shape.to_file(tmp_path / "area.gpkg")
    one, other = (tmp_path / name for name in ("one.gpkg", "other.gpkg"))
    for path, ground in ((one, area), (other, area.buffer(-100))):
        write_searched(path, "a", area, "m")
        write_searched(path, "a", ground, "n")
    count_objects(one, CountPlaces(tmp_path / "area.gpkg"))
    assert "searched different areas" not in caplog.text
    count_objects(other, CountPlaces(tmp_path / "area.gpkg"))
    assert "other.gpkg: its models searched different areas" in caplog.text
    caplog.clear()
    compare_dates(one, other)
    assert caplog.text.count("other.gpkg: its models searched different areas") == 1
