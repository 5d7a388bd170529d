"""The command line of evaluate."""

import json

import geopandas
import pytest
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures
from factories_models import paint_chip, write_coco
from shapely import box


@pytest.fixture
def vectors(tmp_path):
    shapes = [box(500_000 + x, 4_500_000, 500_010 + x, 4_500_010) for x in (0, 20, 40)]
    found = {"score": [0.9, 0.8], "label": ["car", "bus"]}
    geopandas.GeoDataFrame(found, geometry=shapes[:2], crs=32633).to_file(tmp_path / "found.gpkg")
    truth = {"class": ["car", "bus", "car"]}
    geopandas.GeoDataFrame(truth, geometry=shapes, crs=32633).to_file(tmp_path / "truth.geojson")
    return "--detections", "found.gpkg", "--labels", "truth.geojson"


def rows(text):
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_detections_against_labels_print_a_table(tmp_path, vectors, invoke):
    done = invoke("evaluate", *vectors, "-o", "out")
    thresholds, _, precisions = done.stdout.partition("average precision")
    assert "found.gpkg against truth.geojson, one to one, IoU >= 0.5" in thresholds
    assert rows(thresholds)["car"] == [
        "0.800",
        "1.000",
        "0.500",
        "0.667",
        "2",
        "1",
        "0.850",
        "0.667",
    ]
    assert rows(precisions)["bus"] == ["1.000", "1.000", "1.000"]
    assert "px" not in precisions  # nobody knows the pixels
    assert (tmp_path / "out" / "curves.png").is_file()
    again = invoke("evaluate", *vectors, "-o", "out", code=1)
    assert "--overwrite" in again.stderr
    invoke("evaluate", *vectors, "-o", "out", "--overwrite")


def test_printed_thresholds_keep_the_objects_that_they_count(tmp_path, vectors, invoke):
    """Rounded, 0.360516 would be above the score."""
    frame = geopandas.read_file(tmp_path / "found.gpkg").assign(score=0.360516)
    frame.to_file(tmp_path / "found.gpkg")
    printed = invoke("evaluate", *vectors, "-o", "out").stdout.partition("average precision")[0]
    row = rows(printed)["car"]
    assert (row[0], row[6]) == ("0.360516", "0.360516")
    assert ">0.361<" not in (tmp_path / "out" / "report.html").read_text()


def test_a_class_of_the_name_all_is_a_row_of_its_own(tmp_path, vectors, invoke):
    for name in ("found.gpkg", "truth.geojson"):
        frame = geopandas.read_file(tmp_path / name).replace("car", "all")
        frame.to_file(tmp_path / name)
    thresholds = invoke("evaluate", *vectors).stdout.partition("average precision")[0]
    lines = [line for line in thresholds.splitlines() if line.startswith(("all", "bus"))]
    assert [line.split("  ")[0] for line in lines] == ["all classes", "all", "bus"]


def test_json_equals_the_file_in_the_folder(tmp_path, vectors, invoke):
    done = invoke("evaluate", *vectors, "-o", "out", "--json", "--set", "data.gsd=0.5")
    printed = json.loads(done.stdout)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {key: printed[key] for key in ("overall", "by_class", "match")} == {
        key: written[key] for key in ("overall", "by_class", "match")
    }
    assert printed["size_bounds_px"] == [16.0, 48.0]
    assert printed["size_bounds_m"] == pytest.approx([8.0, 24.0])


def test_the_columns_of_sizes_are_in_pixels_and_metres(vectors, invoke):
    done = invoke("evaluate", *vectors, "--set", "data.gsd=0.5")
    assert "AP below 16 px (8 m)" in done.stdout
    assert "AP to 48 px (24 m)" in done.stdout


def test_a_model_on_chips_prints_its_figures(tmp_path, tiny_path, invoke):
    for name, split in (("a.png", "train"), ("b.png", "val")):
        paint_chip(tmp_path / "tiles" / name, [[8, 8, 20, 20]])
        write_coco(tmp_path / "tiles" / f"{split}.json", {name: [[8, 8, 20, 20]]}, ("tree",))
    done = invoke(
        "evaluate", "--data", "tiles", "--model", tiny_path, "--device", "cpu", "-o", "out"
    )
    assert "1 val images" in done.stdout
    assert rows(done.stdout)["tree"]
    assert (tmp_path / "out" / "errors.gpkg").is_file()


def test_results_of_any_program_on_chips_are_measured(tmp_path, invoke):
    for name, split in (("a.png", "train"), ("b.png", "val")):
        paint_chip(tmp_path / "tiles" / name)
        write_coco(tmp_path / "tiles" / f"{split}.json", {name: [[8, 8, 20, 20]]}, ("tree",))
    result = {"file_name": "b.png", "category": "tree", "bbox": [8, 8, 12, 12], "score": 0.75}
    (tmp_path / "found.json").write_text(json.dumps([result]), encoding="utf-8")
    done = invoke("evaluate", "--data", "tiles", "--detections", "found.json", "--json")
    printed = json.loads(done.stdout)
    assert printed["title"] == "found.json against 1 val images"
    assert (printed["overall"]["threshold"], printed["overall"]["f1"]) == (0.75, 1.0)


@pytest.mark.parametrize(
    "arguments",
    [(), ("--detections", "a.gpkg"), ("--data", "d", "--labels", "a.gpkg"), ("--labels", "a.gpkg")],
)
def test_wrong_usage_exits_2(invoke, arguments):
    done = invoke("evaluate", *arguments, code=2)
    assert "--data" in done.stderr


@pytest.mark.parametrize("against", ["--data", "--labels"])
def test_a_model_beside_detections_is_refused(invoke, against):
    arguments = ("--detections", "a.gpkg", against, "b", "--model", "urban-trees")
    assert "no model runs" in invoke("evaluate", *arguments, code=2).stderr


def test_a_missing_file_is_an_error_with_a_hint(vectors, invoke):
    done = invoke("evaluate", *vectors[:2], "--labels", "nothing.gpkg", code=1)
    assert "no such file: nothing.gpkg" in done.stderr
    assert "hint:" in done.stderr


def test_a_crs_is_named_for_labels_in_a_table(tmp_path, vectors, invoke):
    truth = geopandas.read_file(tmp_path / "truth.geojson").to_crs(4326)
    sides = truth.bounds.assign(label=truth["class"])
    sides.to_csv(tmp_path / "truth.csv", index=False)
    arguments = (*vectors[:3], "truth.csv")
    done = invoke("evaluate", *arguments, code=1)
    assert "truth.csv has no CRS, but" in done.stderr
    named = invoke("evaluate", *arguments, "--crs", "EPSG:4326")
    assert rows(named.stdout)["bus"] == ["1.000", "1.000", "1.000"]


def test_tile_reads_longitudes_and_latitudes(make_scene, invoke, tmp_path):
    make_scene("a.tif", width=400, height=400)
    places = geopandas.GeoSeries.from_xy([500_060, 500_200], [4_499_940, 4_499_800], crs=32633)
    degrees = places.to_crs(4326)
    text = "".join(
        f"{x!r};{y!r}\n".replace(".", ",") for x, y in zip(degrees.x, degrees.y, strict=True)
    )
    (tmp_path / "a.csv").write_text(f"lon;lat\n{text}")
    done = invoke(
        "tile", "a.tif", "--labels", "a.csv", "-o", "tiles", "--chip-size", 64,
        "--set", "data.box_size_m=6", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["objects_kept"] == 2
