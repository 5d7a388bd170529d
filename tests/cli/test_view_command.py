"""The command `geodet view`."""

import http.client
import json
import os
import threading
from urllib.parse import urlsplit

import geopandas
import pandas
import pytest
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from shapely import box

from geodet.raster.scene import Scene
from geodet.raster.scene_names import slashed_path
from geodet.reviewing.reviewed_items import ReviewedObject
from geodet.reviewing.reviewed_scenes import locked_review
from geodet.reviewing.reviews import ReviewFile
from geodet.viewer import serve_map
from geodet.viewer.map_server import MapServer


@pytest.fixture
def files(make_scene, tmp_path):
    make_scene("scene.tif")
    frame = geopandas.GeoDataFrame(
        {"score": [0.9], "label": "car"},
        geometry=[box(500_010, 4_499_980, 500_015, 4_499_985)],
        crs="EPSG:32633",
    )
    frame.to_file(tmp_path / "found.geojson")
    return "scene.tif", "found.geojson"


@pytest.fixture
def asked(monkeypatch):
    """Request the page once, then end the server as Ctrl-C does; return what was answered."""
    answers = []

    def serve(server):
        thread = threading.Thread(target=super(MapServer, server).serve_forever, args=(0.01,))
        thread.start()
        place = urlsplit(server.address)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
        connection.request("GET", place.path + "about.json")
        answers.append(connection.getresponse().read())
        connection.close()
        server.shutdown()
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(MapServer, "serve_forever", serve)
    return answers


def test_the_address_is_printed_and_ctrl_c_is_success(files, invoke, asked):
    done = invoke("view", *files, "--no-open")
    assert done.stdout.startswith("http://127.0.0.1:")
    assert done.stdout.count("\n") == 1
    assert b'"count":1' in asked[0]


def test_the_browser_is_opened_with_the_address(files, invoke, asked, monkeypatch):
    opened = []
    monkeypatch.setattr(serve_map.webbrowser, "open", opened.append)
    done = invoke("view", *files)
    assert opened == [done.stdout.strip()]


def test_a_base_map_needs_a_whole_address_and_a_network(files, invoke):
    done = invoke("view", *files, "--base-map", "tiles/{z}/{x}/{y}", code=1)
    assert "is not an address of map tiles" in done.stderr
    servers = "https://{s}.example.org/{z}/{x}/{y}.png"
    done = invoke("view", *files, "--base-map", servers, code=1)
    assert "does not fill in {s}" in done.stderr
    assert "one of its servers" in done.stderr
    good = "https://example.org/{z}/{x}/{y}.png"
    done = invoke("view", *files, "--own-grid", "--base-map", good, code=1)
    assert "cannot be shown below this scene: as wished" in done.stderr
    done = invoke("--offline", "view", *files, "--base-map", good, code=1)
    assert "geodet is offline" in done.stderr


def test_missing_files_are_errors_before_anything_is_served(files, invoke):
    assert "nothing.tif" in invoke("view", "nothing.tif", code=1).stderr
    assert "none.gpkg" in invoke("view", "scene.tif", "none.gpkg", code=1).stderr
    assert "e.gpkg" in invoke("view", *files, "--errors", "e.gpkg", code=1).stderr
    assert "--port" in invoke("view", *files, "--port", "70000", code=2).stderr


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--reviews", "other.gpkg", "is not a file of reviews"),
        ("--reviews", "found.geojson/r.gpkg", "found.geojson is a file: choose another folder"),
        ("--errors", "other.gpkg", "has none of the layers"),
    ],
)
def test_a_wrong_file_is_refused_before_objects_are_read(
    files, invoke, monkeypatch, tmp_path, option, name, message
):
    geopandas.read_file(tmp_path / "found.geojson").to_file(tmp_path / "other.gpkg")
    monkeypatch.setattr(serve_map, "read_shown_scene", None)
    done = invoke("view", *files, option, name, code=1)
    assert message in done.stderr
    assert done.stdout == ""


def test_scenes_of_one_name_in_two_folders_are_reviewed_in_one_file(
    make_scene, invoke, asked, tmp_path
):
    """As ODM names them; the detections of both are in one file."""
    frames, path = [], tmp_path / "r.gpkg"
    for number, folder in enumerate(("north", "south")):
        (tmp_path / folder).mkdir()
        x, y = 500_000.0, 4_500_000.0 - 500 * number
        make_scene(f"{folder}/ortho.tif", origin=(x, y))
        columns = {"score": [0.9 - 0.1 * number], "label": "car", "scene": f"{folder}/ortho.tif"}
        place = box(x + 10 + number, y - 20, x + 15, y - 15)
        frames.append(geopandas.GeoDataFrame(columns, geometry=[place], crs="EPSG:32633"))
    pandas.concat(frames).to_file(tmp_path / "both.gpkg")
    for folder in ("north", "south"):
        view = "view", f"{folder}/ortho.tif", "both.gpkg", "--reviews", path, "--no-open"
        invoke(*view)
        assert json.loads(asked[-1])["reviews"]["objects"] == []
        with Scene(tmp_path / folder / "ortho.tif") as scene:
            file = ReviewFile(path, slashed_path(scene.path), scene.geobox)
        drawn = ReviewedObject(file.take_id(), None, "added", folder, None, (1, 2, 9, 9))
        file.replace([], [drawn])
        invoke(*view)
        labels = [one["label"] for one in json.loads(asked[-1])["reviews"]["objects"]]
        assert labels == [folder]


def test_a_scene_that_another_program_reviews_is_refused(files, invoke, asked, tmp_path):
    invoke("view", *files, "--reviews", "r.gpkg", "--no-open")
    with Scene(tmp_path / "scene.tif") as scene:
        geobox = scene.geobox
    with locked_review(tmp_path / "r.gpkg", "scene.tif", geobox):
        done = invoke("view", *files, "--reviews", "r.gpkg", "--no-open", code=1)
    assert f"scene.tif is being reviewed in r.gpkg: process {os.getpid()}" in done.stderr
    assert "Ctrl-C" in done.stderr
    assert done.stdout == ""
    invoke("view", *files, "--reviews", "r.gpkg", "--no-open")
    assert len(asked) == 2


def test_objects_that_lie_elsewhere_are_warned_of(files, invoke, asked, tmp_path):
    frame = geopandas.read_file(tmp_path / "found.geojson").to_crs(32633)
    frame.geometry = frame.translate(1_000_000)
    frame.to_file(tmp_path / "far.gpkg")
    done = invoke("view", files[0], "far.gpkg", "--no-open")
    assert "far.gpkg: no object meets scene.tif" in done.stderr
