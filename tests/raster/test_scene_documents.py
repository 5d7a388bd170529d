import json
import logging

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from object_store import serving_buckets
from remote_server import Fault, serving

from geodet.config import DetectConfig
from geodet.errors import SceneError
from geodet.files.network import OFFLINE, RESTRICTED
from geodet.geometry.windows import Window
from geodet.raster.scene import Scene
from geodet.raster.scene_lists import list_files, list_scenes

INDEXES = ["i.gpkg", "i.parquet", "i.geojson", "i.fgb", "i.shp"]
SEARCH = {"type": "FeatureCollection", "features": []}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_CONNECTTIMEOUT", "5")


def write_index(path, locations, column="location"):
    shapes = [shapely.box(n, 0, n + 1, 1) for n in range(len(locations))]
    frame = geopandas.GeoDataFrame({column: locations}, geometry=shapes, crs=32633)
    options = {"SPATIAL_INDEX": "NO"} if path.suffix == ".fgb" else {}  # which changes the order
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path, **options)
    return path


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [str(folder / name) for name in names]


def item(name, **assets):
    return {"type": "Feature", "stac_version": "1.1.0", "id": name, "assets": assets}


def asset(href, *roles, type="image/tiff; application=geotiff; profile=cloud-optimized"):
    return {"href": href, "roles": list(roles), "type": type}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_names_scenes_relative_to_its_folder(tmp_path, name):
    scenes = touch(tmp_path, "a.tif", "below/b.tif")
    folder = tmp_path / "other"
    folder.mkdir()
    index = write_index(folder / name, ["../a.tif", scenes[1], "https://host/c.tif"])
    found = list_scenes([str(index)])
    assert found == [str(folder / "../a.tif"), scenes[1], "https://host/c.tif"]
    assert list_files([str(index)]) == [str(index)]


@pytest.mark.parametrize("name", INDEXES)
def test_a_row_that_cannot_be_used_is_named(tmp_path, name):
    touch(tmp_path, "a.tif")
    index = write_index(tmp_path / name, ["a.tif", "gone.tif"])
    with pytest.raises(SceneError, match=r"i\.\w+, row 2: no such file .*gone\.tif"):
        list_scenes([str(index)])
    assert list_scenes([str(index)], keep_missing=True)[1].endswith("gone.tif")
    empty = write_index(tmp_path / f"e{index.suffix}", ["a.tif", None])
    with pytest.raises(SceneError, match=r"row 2: the column location is empty"):
        list_scenes([str(empty)])


@pytest.mark.parametrize("name", INDEXES)
def test_a_file_of_objects_is_no_index(tmp_path, name):
    path = write_index(tmp_path / name, ["a"], column="label")
    with pytest.raises(SceneError, match="is not an index of scenes: it has no column location"):
        list_scenes([str(path)])


@pytest.mark.parametrize("name", [*INDEXES, "item.json", "search.json"])
@pytest.mark.parametrize("outer", ["outer.gpkg", "outer.txt"])
def test_an_index_that_names_an_index_is_an_error_with_the_row(tmp_path, name, outer):
    touch(tmp_path, "a.tif")
    (tmp_path / "below").mkdir()
    inner = tmp_path / "below" / name
    if inner.suffix != ".json":
        write_index(inner, ["../a.tif"])
    else:
        one = item("x", image=asset("../a.tif"))
        write_json(inner, one if name == "item.json" else {**SEARCH, "features": [one]})
    assert len(list_scenes([str(inner)])) == 1
    rows = ["a.tif", f"below/{name}"]
    if outer.endswith(".txt"):
        (tmp_path / outer).write_text("\n".join(rows))
    else:
        write_index(tmp_path / outer, rows)
    place = r"outer\.\w+, (row|line) 2: "
    with pytest.raises(SceneError, match=f"{place}.*{name} is an index of scenes itself") as caught:
        list_scenes([str(tmp_path / outer)])
    assert "name its scenes instead" in caught.value.hint


def test_a_search_without_a_match_has_no_items(tmp_path):
    path = write_json(tmp_path / "search.json", SEARCH)
    with pytest.raises(SceneError, match=r"search\.json has no items") as caught:
        list_scenes([path])
    assert "place or date" in caught.value.hint
    with (
        serving(tmp_path) as server,
        pytest.raises(SceneError, match=r"http://.*search\.json has no items"),
    ):
        list_scenes([f"{server.url}/search.json"])


def test_a_geopackage_with_a_raster_is_a_scene(tmp_path, make_scene):
    with rasterio.open(make_scene()) as scene:
        profile = {**scene.profile, "driver": "GPKG", "dtype": "uint8", "count": 3}
        profile = {k: v for k, v in profile.items() if k in ("driver", "dtype", "count")}
        with rasterio.open(
            tmp_path / "r.gpkg",
            "w",
            width=64,
            height=64,
            crs=scene.crs,
            transform=scene.transform,
            **profile,
        ):
            pass
    assert list_scenes([str(tmp_path / "r.gpkg")]) == [str(tmp_path / "r.gpkg")]
    index = write_index(tmp_path / "index.gpkg", ["r.gpkg"])
    assert list_scenes([str(index)]) == [str(tmp_path / "r.gpkg")]


@pytest.mark.parametrize(
    ("assets", "chosen"),
    [
        ({"only": asset("a.tif")}, "a.tif"),
        ({"image": asset("a.tif", "data"), "other": asset("b.tif")}, "a.tif"),
        ({"image": asset("a.tif"), "small": asset("b.tif", "thumbnail")}, "a.tif"),
        ({"image": {"href": "a.tif"}, "text": {"href": "a.xml"}}, "a.tif"),
        ({"image": asset("a.tif"), "page": asset("a.html", "data", type="text/html")}, "a.tif"),
    ],
)
def test_the_asset_with_data_is_the_scene(tmp_path, assets, chosen):
    (scene,) = touch(tmp_path, chosen)
    assert list_scenes([write_json(tmp_path / "item.json", item("x", **assets))]) == [scene]


def test_an_item_that_does_not_tell_its_scene_is_an_error(tmp_path):
    both = item("x7", red=asset("r.tif", "data"), nir=asset("n.tif", "data"))
    path = write_json(tmp_path / "item.json", both)
    touch(tmp_path, "r.tif", "n.tif")
    with pytest.raises(SceneError, match=r"item x7: it has 2 rasters with data") as caught:
        list_scenes([path])
    assert "(--asset): it has red, nir" in caught.value.hint
    assert list_scenes([path], asset="nir") == [str(tmp_path / "n.tif")]
    with pytest.raises(SceneError, match=r"item x7: it has no asset blue"):
        list_scenes([path], asset="blue")
    with pytest.raises(SceneError, match=r"the asset nir is given, but no STAC item"):
        list_scenes([str(tmp_path)], asset="nir")


def test_encoded_links_lead_to_local_files_unless_a_file_has_that_very_name(tmp_path):
    spaced, literal = touch(tmp_path, "a b.tif", "c%20d.tif")
    for href, expected in (("a%20b.tif", spaced), ("./c%20d.tif", literal), ("c d.tif", None)):
        path = write_json(tmp_path / "item.json", item("one", image=asset(href, "data")))
        if expected is None:
            with pytest.raises(SceneError, match=r"no such file .*c d\.tif"):
                list_scenes([path])
        else:
            assert list_scenes([path]) == [expected]


def write_catalogue(folder, link):
    """Write a catalogue of a collection of two items; return the scenes that it names."""
    scenes = touch(folder, "c/1/a.tif", "c/b.tif")
    write_json(folder / "c/1/item.json", item("one", image=asset("./a.tif", "data")))
    write_json(folder / "c/two.json", item("two", image=asset("b.tif", "data")))
    links = [
        {"rel": "item", "href": link("c/1/item.json", "1/item.json")},
        {"rel": "item", "href": "./two.json"},
        {"rel": "parent", "href": "../catalog.json"},
        {"rel": "child", "href": "../catalog.json"},
    ]
    collection = {"type": "Collection", "stac_version": "1.1.0", "links": links}
    write_json(folder / "c/collection.json", collection)
    child = [{"rel": "child", "href": "./c/collection.json"}]
    catalogue = {"type": "Catalog", "stac_version": "1.1.0", "links": child}
    write_json(folder / "catalog.json", catalogue)
    return scenes


def test_a_catalogue_is_followed_to_its_items(tmp_path, monkeypatch):
    scenes = write_catalogue(tmp_path, lambda _, near: near)
    assert list_scenes([str(tmp_path / "catalog.json")]) == scenes
    many = {"type": "FeatureCollection", "features": [item("x", i=asset("c/b.tif"))]}
    assert list_scenes([write_json(tmp_path / "items.geojson", many)]) == scenes[1:]
    monkeypatch.chdir(tmp_path.parent)
    for name, named in (("catalog.json", scenes), ("items.geojson", scenes[1:])):
        assert list_scenes([f"{tmp_path.name}/{name}"]) == named


def test_a_catalogue_on_a_server_is_followed_to_its_items(tmp_path):
    with serving(tmp_path) as server:
        write_catalogue(tmp_path, lambda whole, _: f"{server.url}/{whole}")
        found = list_scenes([f"{server.url}/catalog.json"])
        assert found == [f"{server.url}/c/1/a.tif", f"{server.url}/c/b.tif"]
        broken = {"stac_version": "1.1.0", "links": [{"rel": "item", "href": "gone.json"}]}
        write_json(tmp_path / "broken.json", broken)
        with pytest.raises(SceneError, match=r"cannot read .*/gone\.json: HTTP status 404"):
            list_scenes([f"{server.url}/broken.json"])


def test_an_object_store_is_asked_as_often_as_the_settings_say(server, monkeypatch, tmp_path):
    (tmp_path / "bucket/c").mkdir(parents=True)
    (tmp_path / "bucket/c/-").touch()
    monkeypatch.setenv("AWS_S3_ENDPOINT", server.url.removeprefix("http://"))
    for name, value in (("HTTPS", "NO"), ("NO_SIGN_REQUEST", "YES"), ("VIRTUAL_HOSTING", "FALSE")):
        monkeypatch.setenv(f"AWS_{name}", value)
    server.fault = Fault("503")
    for retries, message in ((0, "HTTP status 503\n"), (1, "HTTP status 503; tried 2 times")):
        limits = DetectConfig(retries=retries, retry_delay=0.0)
        with pytest.raises(SceneError, match=message):
            list_scenes(["s3://bucket/c/"], limits=limits)


@pytest.mark.parametrize("name", ["item.json", "catalog.json", "i.gpkg"])
def test_a_server_of_lists_is_asked_as_often_as_the_settings_say(tmp_path, name):
    write_json(tmp_path / "item.json", item("x", image=asset("a.tif")))
    links = [{"rel": "item", "href": "item.json"}]
    write_json(tmp_path / "catalog.json", {"stac_version": "1.1.0", "links": links})
    write_index(tmp_path / "i.gpkg", ["a.tif"])
    with serving(tmp_path) as server:
        server.fault = Fault("503")
        with pytest.raises(SceneError, match=r"HTTP status 503\n"):
            list_scenes([f"{server.url}/{name}"], limits=DetectConfig(retries=0))
        server.fault = Fault("503", times=2)  # a file is asked for once more, to learn why
        limits = DetectConfig(retries=1, retry_delay=0.0)
        assert list_scenes([f"{server.url}/{name}"], limits=limits) == [f"{server.url}/a.tif"]


def page(*names, **following):
    links = [{"rel": "next", **following}] if following else []
    features = [item(name, image=asset(f"{name}.tif")) for name in names]
    return {"type": "FeatureCollection", "features": features, "links": links}


def test_the_pages_of_an_api_are_followed(tmp_path):
    with serving(tmp_path) as server:
        first = f"{server.url}/pages/items?limit=2"
        links = [{"rel": "items", "href": first}, {"rel": "child", "href": "gone"}]
        collection = {"type": "Collection", "stac_version": "1.1.0", "links": links[:1]}
        write_json(tmp_path / "collections/trees", collection)
        write_json(tmp_path / "pages/items", page("a", "b", href=f"{server.url}/pages/2?token=x"))
        write_json(tmp_path / "pages/2", page("c", href=first))  # once round is enough
        named = [f"{server.url}/pages/{name}.tif" for name in "abc"]
        assert list_scenes([f"{server.url}/collections/trees"]) == named
        assert list_scenes([first]) == named
        write_json(tmp_path / "search", page("a", href=f"{server.url}/search2", method="POST"))
        with pytest.raises(SceneError, match="next page needs a POST request"):
            list_scenes([f"{server.url}/search"])


@pytest.mark.parametrize("name", ["i.gpkg", "i.parquet", "i.geojson", "i.fgb"])
def test_an_index_on_a_server_names_scenes_beside_it(tmp_path, name):
    write_index(tmp_path / name, ["a.tif", "below/b.tif", "s3://bucket/c.tif"])
    write_index(tmp_path / f"none{name[1:]}", ["a"], column="label")
    with serving(tmp_path) as server:
        near = [f"{server.url}/{scene}" for scene in ("a.tif", "below/b.tif")]
        assert list_scenes([f"{server.url}/{name}"]) == [*near, "s3://bucket/c.tif"]
        with pytest.raises(SceneError, match=r"http://.*/none\.\w+ is not an index of scenes"):
            list_scenes([f"{server.url}/none{name[1:]}"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "broken JSON"),
        ('{"stac_version": "1.1.0", "type": "Catalog", "links": 3}', "has no items"),
        ('{"stac_version": "1.1.0", "type": "Feature", "assets": [1]}', "no rasters with data"),
        ('{"stac_version": "1", "type": "FeatureCollection", "features": [7]}', "no rasters"),
        ('{"stac_version": "1", "links": [{"rel": "item", "href": "b.json"}]}', "b.json"),
        (
            '{"stac_version": "1", "links": [{"rel": "child", "href": "l.json"}]}',
            "not a JSON object",
        ),
    ],
)
def test_crafted_documents_are_errors(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    (tmp_path / "l.json").write_text("[]")
    with pytest.raises(SceneError, match=message):
        list_scenes([str(tmp_path / "a.json")])


def test_what_may_not_be_read_is_refused(tmp_path, monkeypatch):
    remote = write_json(tmp_path / "r.json", item("x", image=asset("https://host/a.tif")))
    linked = {"stac_version": "1.1.0", "links": [{"rel": "item", "href": "https://host/i.json"}]}
    away = write_json(tmp_path / "away.json", linked)
    touch(tmp_path, "a.tif")
    (tmp_path / "in").mkdir()
    outside = write_index(tmp_path / "in/i.gpkg", ["../a.tif"])
    monkeypatch.setenv(OFFLINE, "1")
    for named in (remote, away, "https://host/c.json", "s3://bucket/a/"):
        with pytest.raises(SceneError, match="not allowed offline"):
            list_scenes([named])
    assert len(list_scenes([str(outside)])) == 1
    monkeypatch.setenv(RESTRICTED, "1")
    with pytest.raises(SceneError, match="is not in its folder"):
        list_scenes([str(outside)])


def test_scenes_of_an_index_elsewhere_are_announced(tmp_path, caplog):
    touch(tmp_path, "a.tif")
    (tmp_path / "in").mkdir()
    with caplog.at_level(logging.INFO):
        list_scenes([str(write_index(tmp_path / "in/i.gpkg", ["../a.tif"]))])
    assert "1 of them outside of its folder" in caplog.text


def test_a_prefix_of_an_object_store_lists_its_rasters(monkeypatch):
    names = ["c/a.tif", "c/b.TIF", "c/notes.txt", "c/deep/d.tif", "other/e.tif", "texts/a.txt"]
    with serving_buckets({"bucket": dict.fromkeys(names, b"x")}) as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        assert list_scenes(["s3://bucket/c/"]) == ["s3://bucket/c/a.tif", "s3://bucket/c/b.TIF"]
        every = list_scenes(["s3://bucket/c/**"])
        assert sorted(every) == [
            f"s3://bucket/{n}" for n in sorted(names) if n.lower()[-3:] == "tif" and n[0] == "c"
        ]
        with pytest.raises(SceneError, match=r"no rasters in s3://bucket/texts/"):
            list_scenes(["s3://bucket/texts/"])
        with pytest.raises(SceneError, match="cannot list s3://bucket/none/: HTTP status 404"):
            list_scenes(["s3://bucket/none/"])


@pytest.mark.parametrize("system", ["s3", "gs", "az"])
def test_scenes_of_an_object_store_are_listed_and_read(monkeypatch, make_scene, system):
    content = make_scene().read_bytes()
    with serving_buckets({"bucket": {"c/a.tif": content, "c/notes.txt": b"x"}}) as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        (path,) = list_scenes([f"{system}://bucket/c/"])
        assert path == f"{system}://bucket/c/a.tif"
        with Scene(path) as far, Scene(make_scene()) as near:
            window = Window(0, 0, 64, 64)
            np.testing.assert_array_equal(far.read(window).pixels, near.read(window).pixels)
