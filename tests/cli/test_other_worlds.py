"""Scenes on other planets and in local grids, which PROJ transforms to no CRS of the earth."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures
from factories_vectors import read
from pyproj import CRS

WORLDS = {
    "mars": CRS.from_user_input("IAU_2015:49910"),
    "moon": CRS.from_user_input("IAU_2015:30100"),
    "site": CRS.from_wkt(
        'LOCAL_CS["site",LOCAL_DATUM["x",0],UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
    ),
}
PIXELS = {"mars": 0.6, "moon": 2e-5, "site": 0.6}


@pytest.fixture
def make_world(make_scene):
    def make(name, **options):
        size = PIXELS[name]
        path = make_scene(f"{name}.tif", origin=(40.0, 10.0), pixel_size=size, **options)
        with rasterio.open(path, "r+") as raster:
            raster.crs = rasterio.CRS.from_wkt(WORLDS[name].to_wkt("WKT2_2019"))
        return path

    return make


@pytest.fixture
def detect(invoke, tiny_path):
    def run(*words, code=0):
        return invoke("detect", *map(str, words), "--model", str(tiny_path), code=code)

    return run


@pytest.mark.parametrize("world", WORLDS)
def test_every_output_has_the_coordinates_of_the_scene(make_world, detect, tmp_path, world):
    path = make_world(world)
    outputs = [tmp_path / f"found{end}" for end in (".gpkg", ".geojson", ".parquet", ".fgb")]
    extras = ("--report", tmp_path / "r.html", "--preview", tmp_path / "p.png")
    named = [word for output in outputs for word in ("-o", output)]
    done = detect(path, *named, *extras, "--counts", tmp_path / "c.csv")
    assert "found.geojson is not in degrees on the earth" in " ".join(done.stderr.split())
    frames = [read(output) for output in outputs]
    with rasterio.open(path) as raster:
        whole = shapely.box(*raster.bounds)
    assert len({len(frame) for frame in frames}) == 1
    for frame in frames:
        assert len(frame)
        assert frame.geometry.covered_by(whole.buffer(1e-9)).all()
    line = detect(path, "-o", "-", "--restart").stdout.splitlines()[0]
    assert shapely.from_geojson(json.dumps(json.loads(line)["geometry"])).within(whole.buffer(1e-9))


@pytest.mark.parametrize("world", WORLDS)
def test_formats_of_the_earth_are_refused(make_world, detect, tmp_path, world):
    path = make_world(world)
    refused = detect(path, "-o", tmp_path / "a.kml", code=1)
    assert "KML needs longitudes and latitudes on the earth" in refused.stderr
    refused = detect(path, "-o", tmp_path / "a", "--format", "parquet-quadkeys", code=1)
    assert "no place on the earth, so it has no quadkeys" in " ".join(refused.stderr.split())


def test_a_local_grid_has_cells_in_metres(make_world, detect, invoke, tmp_path):
    output, counts = tmp_path / "found.gpkg", tmp_path / "counts.gpkg"
    detect(make_world("site"), "-o", output)
    invoke("count", str(output), "--grid", "10", "-o", str(counts))
    cells = geopandas.read_file(counts, layer="counts")
    assert cells["objects"].sum() == len(read(output))
    full = cells[cells["examined_share"] > 0.999]
    assert np.allclose(full.geometry.area, 100)
    assert np.allclose(full["per_ha"], full["objects"] * 100)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--grid", "10"), "is not on the earth, where UTM zones are"),
        (("--h3", "9"), "is not on the earth, which the hexagons of H3 cover"),
    ],
)
def test_cells_of_the_earth_are_refused_on_mars(
    make_world, detect, invoke, tmp_path, words, message
):
    pytest.importorskip("h3")
    output = tmp_path / "found.gpkg"
    detect(make_world("mars"), "-o", output)
    refused = invoke("count", str(output), *words, "-o", str(tmp_path / "c.gpkg"), code=1)
    assert message in " ".join(refused.stderr.split())


def test_scenes_of_two_worlds_get_files_of_their_own(make_world, detect, tmp_path):
    paths = [make_world(world) for world in ("mars", "site")]
    refused = detect(*paths, "-o", tmp_path / "all.gpkg", code=1)
    assert "site.tif is in site, which has no transformation to Mars" in refused.stderr
    detect(*paths, "-o", f"{tmp_path}/each/", "--report", tmp_path / "r.html")
    for world in ("mars", "site"):
        frame = read(tmp_path / "each" / f"{world}.gpkg")
        assert len(frame)
        assert CRS(frame.crs).name == WORLDS[world].name


def test_labels_and_zones_of_another_world_are_refused(make_world, detect, invoke, tmp_path):
    path, output = make_world("mars"), tmp_path / "found.gpkg"
    detect(path, "-o", output)
    zones = tmp_path / "zones.gpkg"
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 10, 10)], crs=32633).to_file(zones)
    message = "there is no transformation from"
    count = ("count", str(output), "--by", str(zones), "-o", str(tmp_path / "c.csv"))
    tile = ("tile", str(path), "--labels", str(zones), "-o", str(tmp_path / "tiles"))
    preview = ("preview", str(path), str(zones), "-o", str(tmp_path / "p.png"))
    for words in (count, tile, preview):
        assert message in invoke(*words, code=1).stderr


@pytest.mark.parametrize("world", WORLDS)
def test_a_file_is_compared_with_itself(make_world, detect, invoke, tmp_path, world):
    output = tmp_path / "found.gpkg"
    detect(make_world(world), "-o", output)
    done = invoke("compare", str(output), str(output))
    count = len(read(output))
    assert f"{count} kept, 0 gone, 0 new" in done.stdout
