"""The command ``geodet count``."""

import json

import geopandas
import pytest
import shapely
from cli_runner import invoke_fixture  # noqa: F401 - a fixture


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
