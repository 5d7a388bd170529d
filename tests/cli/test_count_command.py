"""The command ``geodet count``."""

import json
from pathlib import Path

import geopandas
import pytest
import rasterio
import shapely
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures

from geodet_cli.count_by import counts_path


@pytest.fixture
def files(tmp_path):
    trees = geopandas.GeoDataFrame(
        {"label": ["tree"] * 3},
        geometry=shapely.points([[1.0, 1], [2, 2], [50, 50]]),
        crs="EPSG:32633",
    )
    stands = geopandas.GeoDataFrame({"n": [7]}, geometry=[shapely.box(0, 0, 10, 10)], crs=trees.crs)
    trees.to_file(tmp_path / "trees.gpkg")
    stands.to_file(tmp_path / "stands.gpkg")
    return str(tmp_path / "trees.gpkg"), "--by", str(tmp_path / "stands.gpkg")


def test_the_counts_are_printed_and_written(tmp_path, files, invoke):
    output = tmp_path / "counts.csv"
    done = invoke("count", *files, "-o", str(output), "--precision", "0.8", "--recall", "0.5")
    assert "2 objects in 1 place, 1 elsewhere" in done.stdout
    assert "estimated true count: 3, 95 % between" in done.stdout
    assert output.read_text().splitlines()[1].startswith("7,2,")


def test_polygons_without_ground_have_no_estimate(tmp_path, files, invoke):
    path = tmp_path / "nowhere.gpkg"
    geopandas.GeoDataFrame({"n": [7]}, geometry=[shapely.Polygon()], crs=32633).to_file(path)
    accuracy = ("--precision", "0.8", "--recall", "0.5")
    done = invoke("count", files[0], "--by", str(path), *accuracy)
    assert done.stdout.splitlines() == ["0 objects in 1 place, 3 elsewhere"]


def test_detect_counts_at_once(tmp_path, make_scene, tiny_path, invoke):
    scene = make_scene(epsg=32633)
    with rasterio.open(scene) as raster:
        bounds = raster.bounds
    stands = geopandas.GeoDataFrame({"n": [7]}, geometry=[shapely.box(*bounds)], crs=32633)
    stands.to_file(tmp_path / "stands.gpkg")
    output = tmp_path / "found.gpkg"
    options = ("--model", str(tiny_path), "--count-by", str(tmp_path / "stands.gpkg"))
    done = invoke("detect", str(scene), "-o", str(output), *options)
    found = len(geopandas.read_file(output, layer="detections"))
    counts = geopandas.read_file(tmp_path / "found.counts.gpkg", layer="counts")
    assert counts["objects"].tolist() == [found]
    assert f"found.counts.gpkg: {found} objects in 1 place" in done.stdout
    again = invoke("detect", str(scene), "-o", str(tmp_path / "found.shp"), *options, code=1)
    assert "found.counts.gpkg exists already" in again.stderr
    pixels = ("-o", str(tmp_path / "other.coco.json"))
    assert "in pixels" in invoke("detect", str(scene), *pixels, *options, code=1).stderr
    each = invoke("detect", str(scene), "-o", f"{tmp_path}/each/", *options, code=1)
    assert "writes a file for each scene" in " ".join(each.stderr.split())
    assert not (tmp_path / "each").exists()
    stands.rename(columns={"n": "Objects"}).to_file(tmp_path / "stands.gpkg")
    other = tmp_path / "other.gpkg"
    clash = invoke("detect", str(scene), "-o", str(other), *options, code=1)
    assert "the columns 'Objects' and 'objects' are one" in " ".join(clash.stderr.split())
    assert not other.exists()


@pytest.mark.parametrize(
    ("output", "counts"),
    [
        ("trees.2020.gpkg", "trees.2020.counts.gpkg"),
        ("trees.GeoJSON", "trees.counts.gpkg"),
        ("county.2020", "county.2020.counts.gpkg"),  # a folder, of a format without an extension
    ],
)
def test_counts_are_named_after_their_output_without_its_extension(output, counts):
    assert counts_path(Path(output)) == Path(counts)


def test_a_run_interrupted_while_it_counts_goes_on_without_searching_again(
    tmp_path, make_scene, tiny_path, invoke, monkeypatch
):
    scene, stands = make_scene(epsg=32633), tmp_path / "stands.gpkg"
    with rasterio.open(scene) as raster:
        whole = shapely.box(*raster.bounds)
    geopandas.GeoDataFrame({"n": [7]}, geometry=[whole], crs=32633).to_file(stands)
    command = ("detect", "scene.tif", "-m", tiny_path, "-o", "found.gpkg", "--count-by", stands)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("geodet.counting.count.count_objects", interrupt)
        invoke(*command, code=130)
    assert (tmp_path / "found.gpkg.partial").is_dir()
    monkeypatch.setattr("geodet.detection.predictor.Predictor.start", None)
    assert "found.counts.gpkg: " in invoke(*command).stdout
    assert not (tmp_path / "found.gpkg.partial").exists()


def test_detect_refuses_polygons_elsewhere_before_it_begins(
    tmp_path, make_scene, tiny_path, invoke
):
    scene, stands = make_scene(epsg=32633), tmp_path / "stands.gpkg"
    with rasterio.open(scene) as raster:
        x1, y1, x2, y2 = raster.bounds
    away = shapely.box(x1 + 1e5, y1, x2 + 1e5, y2)
    geopandas.GeoDataFrame({"n": [7]}, geometry=[away], crs=32633).to_file(stands)
    run = ("detect", str(scene), "--model", str(tiny_path), "--count-by", str(stands), "-o")
    done = invoke(*run, str(tmp_path / "found.gpkg"), code=1)
    assert "none of the polygons in" in done.stderr
    assert not list(tmp_path.glob("*found*"))


def test_counts_of_a_detection_are_of_what_it_examined_in_any_format(
    tmp_path, make_scene, tiny_path, invoke
):
    scene, stands = make_scene(epsg=32633), tmp_path / "stands.gpkg"
    with rasterio.open(scene) as raster:
        x1, y1, x2, y2 = raster.bounds
    whole = shapely.box(x1, y1, x2, y2)
    geopandas.GeoDataFrame({"n": [7]}, geometry=[whole], crs=32633).to_file(stands)
    part = f"--bounds={x1},{y1},{(x1 + x2) / 2},{y2}"
    for name in ("found.gpkg", "found2.geojson"):
        run = ("detect", str(scene), "--model", str(tiny_path), "--count-by", str(stands), part)
        invoke(*run, "-o", str(tmp_path / name))
        path = tmp_path / f"{name.partition('.')[0]}.counts.gpkg"
        counts = geopandas.read_file(path, layer="counts")
        assert counts["examined_share"].tolist() == pytest.approx([0.5], abs=1e-6)
    about = json.loads(invoke("info", str(tmp_path / "found.gpkg"), "--json").stdout)
    done = invoke("count", str(tmp_path / "found.gpkg"), "--by", str(stands))
    assert "ha, the examined 50.0 % of the places" in done.stdout
    squares = invoke("count", str(tmp_path / "found.gpkg"), "--grid", "3")
    assert squares.stdout.splitlines()[1].endswith(f" on {about['examined_ha']:,.2f} ha")


def test_json_has_the_whole_report(files, invoke):
    report = json.loads(invoke("count", *files, "--json", "--quiet").stdout)
    assert report["total"]["objects"] == 2
    assert report["output"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--precision", "0.5"), "go together"),
        (("--precision", "0", "--recall", "1"), "not a share"),
        (("--grid", "10"), "2 are given"),
        (("--field", "block"), "no attribute 'block'"),
        (("-o", "counts.txt"), "cannot tell the format"),
    ],
)
def test_errors_are_clear(files, invoke, options, message):
    assert message in invoke("count", *files, *options, code=1).stderr


def test_compare_prints_the_counts_where_no_file_is_asked_for(tmp_path, files, invoke):
    trees, by, stands = files
    lines = invoke("compare", trees, trees, by, stands).stdout.splitlines()
    assert lines[0] == "3 kept, 0 gone, 0 new"
    assert [line.split() for line in lines[1:] if line] == [["n", "kept", "gone", "new"], [*"7200"]]
    report = json.loads(invoke("compare", trees, trees, by, stands, "--json").stdout)
    assert report["counts"] == [{"n": 7, "kept": 2, "gone": 0, "new": 0}]
    named = geopandas.read_file(stands).assign(n="[/b]")
    named.to_file(tmp_path / "named.gpkg")
    table = invoke("compare", trees, trees, by, str(tmp_path / "named.gpkg")).stdout
    assert "[/b]" in table
    output = str(tmp_path / "changes.gpkg")
    done = invoke("compare", trees, trees, by, stands, "-o", output)
    assert done.stdout.splitlines()[1:] == [output]


def test_compare_prints_how_much_of_each_polygon_was_compared(
    tmp_path, make_scene, tiny_path, invoke
):
    scene, trees, stands = make_scene(epsg=32633), str(tmp_path / "t.gpkg"), tmp_path / "s.gpkg"
    with rasterio.open(scene) as raster:
        x1, y1, x2, y2 = raster.bounds
    invoke("detect", str(scene), "--model", str(tiny_path), "-o", trees)
    places = [shapely.box(x1, y1, x2, y2), shapely.box(x1, y1, 2 * x2 - x1, y2), None]
    columns = {"n": ["whole", "half", "nowhere"]}
    geopandas.GeoDataFrame(columns, geometry=places, crs=32633).to_file(stands)
    done = invoke("compare", trees, trees, "--by", str(stands))
    head, *rows = [line.split() for line in done.stdout.splitlines()[-4:]]
    assert head == ["n", "kept", "gone", "new", "compared_share"]
    assert [row[4:] for row in rows] == [["100.0", "%"], ["50.0", "%"], []]
    assert "1 of 3 polygons was compared only in part" in done.stderr
