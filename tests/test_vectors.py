import json
import logging
import resource
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyogrio.errors import DataLayerError
from pyproj import CRS, Transformer

from geodet import vectors
from geodet.boxes import Detections
from geodet.errors import OutputError
from geodet.geobox import GeoBox
from geodet.outputs import replacing
from geodet.vectors import SceneDetections, check_output, write_detections

UTM = CRS.from_epsg(32610)
SITE = CRS.from_wkt(
    'LOCAL_CS["site",LOCAL_DATUM["x",0],UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
)
NORTH_UP = Affine(0.5, 0, 600000, 0, -0.5, 4000000)
FIELDS = ["label", "score", "scene", "x1_px", "y1_px", "x2_px", "y2_px", "area_m2"]
TYPES = ["OFTString", "OFTReal", "OFTString", *["OFTReal"] * 5]


def found(count=3, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 900, (count, 2))
    boxes = np.hstack([low, low + rng.uniform(1, 90, (count, 2))])
    return Detections(boxes, rng.uniform(0, 1, count), rng.integers(0, 2, count))


def part(detections=None, *, crs=UTM, transform=NORTH_UP, scene="a.tif"):
    detections = found() if detections is None else detections
    return SceneDetections(scene, GeoBox(1000, 1000, transform, crs), detections)


def write(path, *parts, **options):
    options = {"metadata": {}, **options}
    write_detections(path, parts or (part(),), ("tree", "palm"), **options)
    return path


def collection(path):
    return json.loads(path.read_text(encoding="utf-8"))


def litter(folder):
    return sorted(file.name for file in folder.iterdir() if file.name.startswith(".geodet"))


def pixel_corners(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=-1).reshape(-1, 4, 2)


angle = st.floats(-180, 180)
gsd = st.floats(0.01, 30)


@st.composite
def geoboxes(draw):
    rotation = Affine.rotation(draw(angle)) @ Affine.shear(draw(st.floats(-50, 50)), 0)
    mirror = draw(st.sampled_from([1, -1]))
    scale = Affine.scale(draw(gsd), mirror * draw(gsd))
    where = Affine.translation(draw(st.floats(1.7e5, 8.3e5)), draw(st.floats(0, 9.3e6)))
    return GeoBox(1000, 1000, where @ rotation @ scale, UTM)


@given(geobox=geoboxes(), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_corners_map_back_to_the_box_and_run_counter_clockwise(geobox, seed):
    detections = found(20, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "found.gpkg", SceneDetections("a.tif", geobox, detections))
        polygons = shapely.from_wkb(pyogrio.raw.read(path)[2])
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    rings = shapely.get_coordinates(polygons).reshape(-1, 5, 2)
    back = geobox.to_pixels(rings)[:, :4]
    expected = pixel_corners(detections.boxes)
    forth = np.abs(back - expected).max(axis=(1, 2))
    reverse = np.abs(back - expected[:, [0, 3, 2, 1]]).max(axis=(1, 2))
    # One step of float64 at a northing of 9,300,000 m is 1.9e-9 m, 1e-6 px of 2 mm.
    np.testing.assert_allclose(np.minimum(forth, reverse), 0, atol=1e-6)


def test_reads_back_in_order_with_every_field(tmp_path):
    detections = found(50)
    path = write(tmp_path / "found.gpkg", part(detections, scene="größe.tif"))
    frame = geopandas.read_file(path, layer="detections")
    assert list(frame.columns) == [*FIELDS, "geometry"]
    assert frame.crs == UTM
    names = np.array(["tree", "palm"])[detections.labels]
    assert frame["label"].tolist() == names.tolist()
    assert set(frame["scene"]) == {"größe.tif"}
    np.testing.assert_array_equal(frame[FIELDS[3:7]].to_numpy(), detections.boxes)
    np.testing.assert_allclose(frame["score"], detections.scores, atol=5.1e-7)
    np.testing.assert_array_equal(frame["score"], frame["score"].round(6))
    np.testing.assert_allclose(frame["area_m2"], frame.area, rtol=2e-3)  # UTM's scale is 0.9996


def test_area_is_on_the_ground_not_in_the_projection(tmp_path):
    crs = CRS.from_epsg(3857)
    y = Transformer.from_crs(4326, 3857, always_xy=True).transform(0, 60)[1]
    box = Detections(np.array([[0.0, 0, 10, 10]]), np.ones(1), np.zeros(1, int))
    geobox_part = part(box, crs=crs, transform=Affine(1, 0, 0, 0, -1, y))
    frame = geopandas.read_file(write(tmp_path / "found.gpkg", geobox_part))
    np.testing.assert_allclose(frame["area_m2"], 100 / 4, rtol=0.01)  # cos(60 degrees) squared


@pytest.mark.parametrize("crs", [UTM, None])
def test_an_empty_layer_has_the_full_schema(tmp_path, crs):
    path = write(tmp_path / "found.gpkg", part(Detections.empty(), crs=crs))
    info = pyogrio.read_info(path)
    assert list(info["fields"]) == FIELDS
    assert info["ogr_types"] == TYPES
    assert (info["layer_name"], info["geometry_type"]) == ("detections", "Polygon")
    frame = geopandas.read_file(path)
    assert len(frame) == 0
    assert crs is None or frame.crs == UTM


def test_an_empty_geojson_is_a_collection(tmp_path):
    written = collection(write(tmp_path / "found.geojson", part(Detections.empty())))
    assert (written["type"], written["features"]) == ("FeatureCollection", [])


def test_layer_metadata_reads_back(tmp_path):
    metadata = {"model": "trees é", "config": "[detect]\nchip_size = 512\n"}
    path = write(tmp_path / "found.gpkg", metadata=metadata)
    assert pyogrio.read_info(path)["layer_metadata"] == metadata
    written = collection(write(tmp_path / "found.geojson", metadata=metadata))
    assert written["metadata"] == metadata


@pytest.mark.parametrize("mirror", [1, -1])
@pytest.mark.parametrize("suffix", [".geojson", ".json", ".GeoJSON"])
def test_geojson_follows_rfc_7946(tmp_path, suffix, mirror):
    detections = found(30)
    transform = NORTH_UP @ Affine.rotation(20) @ Affine.scale(1, mirror)
    source = part(detections, transform=transform)
    written = collection(write(tmp_path / f"found{suffix}", source))
    assert "crs" not in written
    assert [list(f["properties"]) for f in written["features"]] == [FIELDS] * 30
    rings = np.array([f["geometry"]["coordinates"][0] for f in written["features"]])
    assert shapely.is_ccw(shapely.linearrings(rings)).all()
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    world = source.geobox.to_world(detections.centres)
    centres = np.stack(to_degrees.transform(world[:, 0], world[:, 1]), axis=-1)
    np.testing.assert_allclose(rings[:, :4].mean(axis=1), centres, rtol=0, atol=1e-8)


def test_geojson_is_split_at_the_antimeridian(tmp_path):
    box = Detections(np.array([[0.0, 0, 10, 10]]), np.ones(1), np.zeros(1, int))
    transform = Affine(1, 0, 166016, 0, -1, 10)  # EPSG:32601 meets 180 degrees at x = 166,021.4
    source = part(box, crs=CRS.from_epsg(32601), transform=transform)
    written = collection(write(tmp_path / "found.geojson", source))
    geometry = written["features"][0]["geometry"]
    longitudes = [x for polygon in geometry["coordinates"] for x, _ in polygon[0]]
    assert geometry["type"] == "MultiPolygon"
    assert {180.0, -180.0} < set(longitudes)


def test_scenes_of_two_crs_share_the_first_one(tmp_path, caplog):
    other = CRS.from_epsg(32611)
    x, y = Transformer.from_crs(UTM, other, always_xy=True).transform(600000, 4000000)
    first = part(found(2, 1), scene="first.tif")
    second = part(found(3, 2), crs=other, transform=Affine(1, 0, x, 0, -1, y), scene="second.tif")
    with caplog.at_level(logging.WARNING):
        frame = geopandas.read_file(write(tmp_path / "found.gpkg", first, second))
    assert "second.tif is transformed from WGS 84 / UTM zone 11N" in caplog.text
    assert frame.crs == UTM
    assert frame["scene"].tolist() == ["first.tif"] * 2 + ["second.tif"] * 3
    assert frame.exterior.is_ccw.all()
    centres = second.geobox.to_world(second.detections.centres)
    back = Transformer.from_crs(other, UTM, always_xy=True).transform(*centres.T)
    expected = shapely.points(np.stack(back, axis=-1))
    assert (shapely.distance(frame.centroid[2:].to_numpy(), expected) < 0.01).all()


def test_scenes_of_one_crs_raise_no_warning(tmp_path, caplog):
    same = CRS.from_wkt(UTM.to_wkt("WKT1_GDAL"))
    write(tmp_path / "found.gpkg", part(), part(crs=same, scene="b.tif"))
    assert not caplog.records


def test_a_scene_beyond_the_first_crs_is_an_error(tmp_path):
    far = part(crs=CRS.from_epsg(4326), transform=Affine(1, 0, 0, 0, -1, 1000))
    with pytest.raises(OutputError, match=r"b\.tif lies outside of WGS 84 / UTM zone 10N"):
        write(tmp_path / "found.gpkg", part(), SceneDetections("b.tif", far.geobox, found()))
    assert not list(tmp_path.iterdir())


def test_scenes_with_and_without_crs_do_not_mix(tmp_path):
    parts = part(), part(crs=None, scene="b.tif")
    with pytest.raises(OutputError, match=r"1 of 2 scenes have no CRS, such as b\.tif") as caught:
        write(tmp_path / "found.gpkg", *parts)
    assert "a file of their own" in caught.value.hint


def test_without_a_crs_coordinates_stay_as_they_are(tmp_path, caplog):
    source = part(crs=None, transform=Affine(1, 0, 0, 0, -1, 0))
    path = write(tmp_path / "found.gpkg", source)
    assert not caplog.records
    frame = geopandas.read_file(path)
    assert "Undefined Cartesian" in frame.crs.name
    boxes = source.detections.boxes
    expected = boxes[:, [0, 3, 2, 1]] * [1, -1, 1, -1]
    np.testing.assert_array_equal(frame.bounds.to_numpy(), expected)
    assert frame["area_m2"].isna().all()


@pytest.mark.parametrize("crs", [None, SITE])
def test_geojson_without_degrees_warns(tmp_path, caplog, crs):
    source = part(crs=crs, transform=Affine(1, 0, 0, 0, -1, 0))
    written = collection(write(tmp_path / "found.geojson", source))
    assert "has no degrees: GeoJSON readers will misplace" in caplog.text
    assert "crs" not in written
    assert (written["features"][0]["properties"]["area_m2"] is None) == (crs is None)
    rings = np.array([f["geometry"]["coordinates"][0] for f in written["features"]])
    boxes = source.detections.boxes
    np.testing.assert_allclose(rings.min(axis=1), boxes[:, [0, 3]] * [1, -1], atol=1e-9)
    assert shapely.is_ccw(shapely.linearrings(rings)).all()


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_the_same_input_writes_the_same_rows(tmp_path, suffix):
    first, second = (geopandas.read_file(write(tmp_path / f"{n}{suffix}")) for n in "ab")
    assert first.equals(second)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_an_existing_file_is_kept(tmp_path, suffix):
    path = write(tmp_path / f"found{suffix}")
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"found\.\w+ exists already") as caught:
        write(path, part(found(9)))
    assert "--overwrite" in caught.value.hint
    assert path.read_bytes() == before
    write(path, part(found(9)), overwrite=True)
    assert len(geopandas.read_file(path)) == 9
    assert not litter(tmp_path)


def test_a_left_over_log_is_not_replayed_into_the_new_file(tmp_path):
    path = write(tmp_path / "found.gpkg")
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"found.gpkg{suffix}").write_bytes(b"of the old file")
    write(path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["found.gpkg"]


@pytest.mark.parametrize(
    ("error", "expected", "match"),
    [
        (OSError("no space"), OutputError, r"cannot write .*found\.gpkg: no space"),
        (DataLayerError("disk"), OutputError, r"cannot write .*found\.gpkg: disk"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, error, expected, match):
    path = write(tmp_path / "found.gpkg")
    before = path.read_bytes()

    def fail(temporary, *_args, **_options):
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{temporary}{suffix}").write_bytes(b"half")
        raise error

    monkeypatch.setattr(vectors.pyogrio.raw, "write", fail)
    with pytest.raises(expected, match=match):
        write(path, overwrite=True)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["found.gpkg"]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
@pytest.mark.parametrize("missing", [1, 500, 0.2, 0.5, 0.9])
def test_a_full_disk_is_noticed(tmp_path, suffix, missing):
    """GDAL says nothing where only a file's last buffer or its spatial index is lost."""
    whole = part(found(2000))
    size = write(tmp_path / f"whole{suffix}", whole).stat().st_size
    path = write(tmp_path / f"found{suffix}")
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = size - int(missing if missing >= 1 else size * missing) - 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*found") as caught:
            write(path, whole, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "free space" in caught.value.hint
    assert len(str(caught.value)) < 300 + len(str(path))
    assert path.read_bytes() == before
    assert not litter(tmp_path)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("found.shp", r"cannot tell the format of .*found\.shp"),
        ("found", "cannot tell the format"),
        ("missing/found.gpkg", "no folder .*missing"),
        ("file.txt/found.gpkg", r"no folder .*file\.txt"),
        ("folder.gpkg", "is a folder"),
        ("there.gpkg", "exists already"),
    ],
)
def test_a_bad_destination_is_known_beforehand(tmp_path, name, match):
    (tmp_path / "folder.gpkg").mkdir()
    (tmp_path / "file.txt").touch()
    (tmp_path / "there.gpkg").touch()
    with pytest.raises(OutputError, match=match) as caught:
        check_output(tmp_path / name, overwrite=False)
    assert caught.value.hint


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder that nobody can write to")
def test_a_read_only_folder_is_known_beforehand():
    with pytest.raises(OutputError, match="cannot write to /proc"):
        check_output(Path("/proc/found.gpkg"), overwrite=True)


def test_checking_leaves_nothing_behind(tmp_path):
    check_output(tmp_path / "found.gpkg", overwrite=False)
    assert not list(tmp_path.iterdir())


def test_files_get_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    path = tmp_path / "found.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole", encoding="utf-8")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_without_a_class_is_a_bug(tmp_path, label):
    wrong = Detections(np.array([[0.0, 0, 1, 1]]), np.ones(1), np.array([label]))
    with pytest.raises(ValueError, match=f"label {label} of 2 classes"):
        write(tmp_path / "found.gpkg", part(wrong))


def test_no_scenes_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="no scenes"):
        write_detections(tmp_path / "found.gpkg", (), (), metadata={})
