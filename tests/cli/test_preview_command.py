"""The command `geodet preview`."""

import json

import geopandas
import pytest
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures
from shapely import box

from geodet.raster.scene import Scene


@pytest.fixture
def files(make_scene, tmp_path):
    path = make_scene("scene.tif", width=100, height=80)
    with Scene(path) as scene:
        x, y = scene.geobox.to_world([20.0, 30.0])
        crs = scene.geobox.crs.to_wkt()
    frame = geopandas.GeoDataFrame(
        {"score": [0.9, 0.4], "label": "car"}, geometry=[box(x, y, x + 2, y + 2)] * 2, crs=crs
    )
    frame.to_file(tmp_path / "found.geojson")
    return "scene.tif", "found.geojson", "-o", "map.png"


def test_the_number_of_objects_drawn_is_printed(files, invoke, tmp_path):
    done = invoke("preview", *files, "--min-score", "0.5")
    assert done.stdout == "map.png: 1 object\n"
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_json_has_the_window_and_the_classes(files, invoke):
    done = invoke("preview", *files, "--window", "10,20,30,40", "--json")
    assert json.loads(done.stdout) == {
        "output": "map.png",
        "window": {"col_off": 10, "row_off": 20, "width": 30, "height": 40},
        "labels": {"car": 2},
    }


@pytest.mark.parametrize("command", ["preview", "detect"])
def test_a_slash_at_the_end_names_a_folder(files, invoke, tmp_path, tiny_path, command):
    if command == "preview":
        invoke("preview", *files[:2], "-o", "flight.2024/")
    else:
        options = ("-o", "found.gpkg", "--model", str(tiny_path), "--preview", "flight.2024/")
        invoke("detect", files[0], *options)
    assert [path.name for path in (tmp_path / "flight.2024").iterdir()] == ["scene.jpg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window", "1,2,3"), "not four numbers"),
        (("--window", "1,2,x,4"), "not four numbers"),
        (("--window", "1,2,3.5,4"), "not a window of whole pixels"),
        (("--window", "1,2,0,4"), "not a window of whole pixels"),
        (("--bounds", "1,2,3"), "is not xmin,ymin,xmax,ymax"),
        (("--bounds", "1,2,3,4", "--window", "1,2,3,4"), "not both"),
        (("--min-score", "2"), "--min-score"),
        (("--only-with-objects",), "needs a folder of pictures"),
        (("--preview-format", "png"), "needs a folder of pictures"),
    ],
)
def test_wrong_usage_exits_2_and_writes_nothing(files, invoke, tmp_path, options, message):
    assert message in invoke("preview", *files, *options, code=2).stderr
    assert not (tmp_path / "map.png").exists()


def test_bounds_outside_of_the_scene_are_an_error_with_a_hint(files, invoke):
    done = invoke("preview", *files, "--bounds", "0,0,1,1", code=1)
    assert "error: bounds 0,0,1,1 lies outside of the scene" in done.stderr
    assert "hint: check their CRS: the area spans 0,0 to 1,1 and the scene" in done.stderr
