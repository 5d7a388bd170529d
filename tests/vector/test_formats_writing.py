import json
import logging
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from factories_vectors import (
    FIELDS,
    TYPES,
    UTM,
    found,
    litter,
    open_layer,
    part,
    pixel_corners,
    read,
    write,
)
from full_disk import largest_file
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from scipy import ndimage

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.geopackage.table import GeoPackageTable
from geodet.raster.scene import Scene
from geodet.vector.gdal_formats import GdalCopyWriter

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
@settings(max_examples=15)
def test_corners_map_back_to_the_box_and_run_counter_clockwise(geobox, seed):
    detections = found(20, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "found.gpkg", SceneDetections("a.tif", geobox, detections))
        polygons = shapely.from_wkb(pyogrio.raw.read(path, layer="detections")[2])
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    rings = shapely.get_coordinates(polygons).reshape(-1, 5, 2)
    back = geobox.to_pixels(rings)[:, :4]
    expected = pixel_corners(detections.boxes)
    forth = np.abs(back - expected).max(axis=(1, 2))
    reverse = np.abs(back - expected[:, [0, 3, 2, 1]]).max(axis=(1, 2))
    # One step of float64 at a northing of 9,300,000 m is 1.9e-9 m, 1e-6 px of 2 mm.
    np.testing.assert_allclose(np.minimum(forth, reverse), 0, atol=1e-6)


def test_rows_read_back_in_order_with_every_field(tmp_path):
    detections = found(50)
    path = write(tmp_path / "found.gpkg", part(detections, scene="größe.tif"))
    frame = read(path)
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
    frame = read(write(tmp_path / "found.gpkg", geobox_part))
    np.testing.assert_allclose(frame["area_m2"], 100 / 4, rtol=0.01)  # cos(60 degrees) squared


@pytest.mark.parametrize("crs", [UTM, None])
def test_an_empty_layer_has_the_full_schema(tmp_path, crs):
    path = write(tmp_path / "found.gpkg", part(Detections.empty(), crs=crs))
    info = pyogrio.read_info(path, layer="detections")
    assert list(info["fields"]) == FIELDS
    assert info["ogr_types"] == TYPES
    assert (info["layer_name"], info["geometry_type"]) == ("detections", "Polygon")
    frame = read(path)
    assert len(frame) == 0
    assert crs is None or frame.crs == UTM


def test_scenes_of_two_crs_share_the_first_one(tmp_path, caplog):
    other = CRS.from_epsg(32611)
    x, y = Transformer.from_crs(UTM, other, always_xy=True).transform(600000, 4000000)
    first = part(found(2, 1), scene="first.tif")
    second = part(found(3, 2), crs=other, transform=Affine(1, 0, x, 0, -1, y), scene="second.tif")
    with caplog.at_level(logging.WARNING):
        frame = read(write(tmp_path / "found.gpkg", first, second))
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
    with pytest.raises(OutputError, match=r"b\.tif lies where WGS 84 / UTM zone 10N"):
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
    frame = read(path)
    assert "Undefined Cartesian" in frame.crs.name
    boxes = source.detections.boxes
    expected = boxes[:, [0, 3, 2, 1]] * [1, -1, 1, -1]
    np.testing.assert_array_equal(frame.bounds.to_numpy(), expected)
    assert frame["area_m2"].isna().all()


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_the_same_input_writes_the_same_rows(tmp_path, suffix):
    first, second = (read(write(tmp_path / f"{n}{suffix}")) for n in "ab")
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
    assert len(read(path)) == 9
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
        (sqlite3.OperationalError("disk"), OutputError, r"cannot write .*found\.gpkg: disk"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, error, expected, match):
    path = write(tmp_path / "found.gpkg")
    before = path.read_bytes()

    def fail(_table, *_rows):
        (temporary,) = tmp_path.glob(".geodet*/new.gpkg")
        for suffix in ("-wal", "-shm", "-journal"):
            Path(f"{temporary}{suffix}").write_bytes(b"half")
        raise error

    monkeypatch.setattr(GeoPackageTable, "add", fail)
    with pytest.raises(expected, match=match):
        write(path, overwrite=True)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["found.gpkg"]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
@pytest.mark.parametrize("missing", [1, 500, 0.2, 0.5, 0.9])
def test_a_full_disk_is_noticed(tmp_path, suffix, missing):
    """GDAL says nothing where only a file's last buffer is lost."""
    whole = part(found(2000))
    size = write(tmp_path / f"whole{suffix}", whole).stat().st_size
    path = write(tmp_path / f"found{suffix}")
    before = path.read_bytes()
    limit = size - int(missing if missing >= 1 else size * missing) - 1
    with largest_file(limit), pytest.raises(OutputError, match=r"cannot write .*found") as caught:
        write(path, whole, overwrite=True)
    assert "free space" in caught.value.hint
    assert len(str(caught.value)) < 300 + len(str(path))
    assert path.read_bytes() == before
    assert not litter(tmp_path)


@pytest.mark.parametrize("suffix", [".fgb", ".shp", ".gdb"])
@pytest.mark.parametrize("missing", [2, 10, 50, 500, 0.2, 0.5])
def test_a_disk_that_is_full_when_gdal_closes_a_file_is_noticed(
    tmp_path, monkeypatch, suffix, missing
):
    """The headers of these formats have the number of rows, also of those that are lost."""
    whole, written = part(found(2000)), GdalCopyWriter._convert
    write(tmp_path / f"whole{suffix}", whole)
    size = max(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    limit = size - int(missing if missing >= 1 else size * missing)

    def convert(writer):
        with largest_file(limit):
            written(writer)

    monkeypatch.setattr(GdalCopyWriter, "_convert", convert)
    with pytest.raises(OutputError, match=rf"cannot write .*found\{suffix}: "):
        write(tmp_path / f"found{suffix}", whole)
    assert not list(tmp_path.glob("found*"))
    assert not litter(tmp_path)


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_without_a_class_is_a_value_error(tmp_path, label):
    wrong = Detections(np.array([[0.0, 0, 1, 1]]), np.ones(1), np.array([label]))
    with pytest.raises(ValueError, match=f"label {label} of 2 classes"):
        write(tmp_path / "found.gpkg", part(wrong))


# Scenes at the middle of a CRS's area; the pixel is in its units.
PLACES = {
    32633: (500_000.0, 5_400_000.0, 1.0),
    32733: (400_000.0, 8_000_000.0, 1.0),
    3857: (3_620_000.0, 39_000.0, 1.0),
    4326: (32.5, 0.35, 1e-5),
    2227: (6_100_000.0, 2_100_000.0, 3.28),  # US survey feet
    None: (1000.0, 2000.0, 1.0),
}


@st.composite
def placed(draw):
    epsg = draw(st.sampled_from(list(PLACES)))
    x, y, unit = PLACES[epsg]
    side = unit * draw(st.floats(0.1, 10))
    scale = Affine.scale(side * draw(st.floats(0.5, 2)), side * draw(st.sampled_from([1, -1])))
    turned = Affine.rotation(draw(st.floats(-180, 180))) @ Affine.shear(draw(st.floats(-40, 40)), 0)
    return epsg, Affine.translation(x, y) @ turned @ scale


@st.composite
def painted(draw):
    """One box in each of some squares of 16 px, so that none touch."""
    squares = draw(st.lists(st.integers(0, 11), min_size=1, max_size=6, unique=True))
    boxes = []
    for square in sorted(squares):
        x, y = square % 4 * 16 + draw(st.integers(0, 6)), square // 4 * 16 + draw(st.integers(0, 6))
        boxes.append((x, y, x + draw(st.integers(1, 9)), y + draw(st.integers(1, 9))))
    return boxes


def stub_detector(pixels):
    """Return the bounds of what is bright."""
    found_ = ndimage.find_objects(ndimage.label(pixels > 100)[0])
    boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in found_], float)
    return Detections(boxes, np.ones(len(boxes)), np.zeros(len(boxes)))


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".csv"])
@given(place=placed(), boxes=painted())
@settings(max_examples=12)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_is_painted_is_found_where_it_was_painted(suffix, place, boxes):
    """From known world coordinates to a raster, a detector, a file, and back to 1e-6 px."""
    epsg, transform = place
    truth = [[transform @ corner for corner in ring] for ring in pixel_corners(np.array(boxes))]
    with tempfile.TemporaryDirectory() as folder:
        raster = paint(Path(folder) / "scene.tif", boxes, epsg, transform)
        with Scene(raster) as scene:
            geobox = scene.geobox
        with rasterio.open(raster) as opened:
            detections = stub_detector(opened.read(1))
        path = write(Path(folder) / f"a{suffix}", SceneDetections("scene.tif", geobox, detections))
        shapes = read(path).geometry
    rings = shapely.get_coordinates(shapes.to_numpy()).reshape(-1, 5, 2)[:, :4]
    truth_px, rings_px = ((~transform @ np.moveaxis(xy, -1, 0)) for xy in (np.array(truth), rings))
    assert len(truth) == len(rings)
    wanted, got = (np.stack(px, axis=-1) for px in (truth_px, rings_px))
    by_place = [order[np.lexsort(order.mean(axis=1).round(3).T)] for order in (wanted, got)]
    apart = np.abs(by_place[0][:, :, None] - by_place[1][:, None]).max(axis=-1)
    assert apart.min(axis=1).max() < 1e-6
    assert apart.min(axis=2).max() < 1e-6


def paint(path, boxes, epsg, transform):
    pixels = np.zeros((48, 64), np.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 255
    options = {"driver": "GTiff", "width": 64, "height": 48, "count": 1, "dtype": "uint8"}
    crs = None if epsg is None else f"EPSG:{epsg}"
    with rasterio.open(path, "w", crs=crs, transform=transform, **options) as raster:
        raster.write(pixels, 1)
    return path


ALL = [".gpkg", ".geojson", ".geojsonl", ".fgb", ".parquet", ".csv", ".coco.json"]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet", ".csv"])
def test_points_are_the_centres(tmp_path, suffix):
    source = part(found(20), crs=CRS.from_epsg(4326), transform=Affine(1e-5, 0, 9, 0, -1e-5, 47))
    frame = read(write(tmp_path / f"a{suffix}", source, geometry="centroid"))
    assert set(frame.geom_type) == {"Point"}
    boxes = frame[FIELDS[3:7]].astype(float).to_numpy()
    expected = source.geobox.to_world((boxes[:, :2] + boxes[:, 2:]) / 2)
    np.testing.assert_allclose(frame.get_coordinates(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("suffix", ALL)
def test_parts_in_a_stream_are_like_the_whole(tmp_path, suffix):
    whole = part(found(9))
    write(tmp_path / f"whole{suffix}", whole)
    with open_layer(tmp_path / f"a{suffix}") as writer:
        for few in np.split(np.arange(9), [0, 2, 7]):
            writer.write(part(whole.detections.select(few)))
    streamed = (tmp_path / f"a{suffix}").read_bytes()
    if suffix == ".gpkg":  # it holds the time
        assert read(tmp_path / f"a{suffix}").equals(read(tmp_path / f"whole{suffix}"))
    elif suffix != ".fgb":  # it may hold rows in another order
        assert streamed == (tmp_path / f"whole{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", ALL)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError, ValueError])
def test_a_block_that_ends_early_leaves_what_was_there(tmp_path, suffix, kind):
    path = write(tmp_path / f"a{suffix}")
    before = path.read_bytes()

    def stop_early():
        with open_layer(path, overwrite=True) as writer:
            writer.write(part(found(5)))
            raise kind("of the block")

    with pytest.raises(kind, match=r"^of the block$") as caught:
        stop_early()
    assert not isinstance(caught.value, OutputError)
    assert path.read_bytes() == before
    assert not litter(tmp_path)


@pytest.mark.parametrize("suffix", ALL)
def test_a_writer_commits_without_a_block(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    writer = open_layer(path)
    writer.write(part(found(5)))
    assert not path.exists()
    writer.commit()
    writer.abort()  # does nothing any more
    write(tmp_path / f"b{suffix}", part(found(5)))
    assert abs(path.stat().st_size - (tmp_path / f"b{suffix}").stat().st_size) < 100
    assert not litter(tmp_path)


@pytest.mark.parametrize("suffix", ALL)
def test_an_aborted_writer_leaves_nothing(tmp_path, suffix):
    writer = open_layer(tmp_path / f"a{suffix}")
    writer.write(part(found(5)))
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_commit_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = write(tmp_path / "a.gpkg")
    before = path.read_bytes()
    writer = open_layer(path, overwrite=True)
    writer.write(part(found(5)))

    def fail(_self, _target):
        raise OSError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OutputError, match=r"cannot write .*a\.gpkg: read-only"):
            writer.commit()
    assert path.read_bytes() == before
    (kept,) = tmp_path.glob("a.complete-*.gpkg")
    assert pyogrio.read_info(kept, layer="detections")["features"] == 5
    assert len(list(tmp_path.iterdir())) == 2


def test_a_layer_without_a_crs_refuses_a_scene_with_one(tmp_path):
    with open_layer(tmp_path / "a.gpkg", None) as writer:
        writer.write(part(crs=None))
        with pytest.raises(OutputError, match=r"b\.tif has a CRS, and .*a\.gpkg has none"):
            writer.write(part(scene="b.tif"))


def test_a_transformed_scene_is_warned_of_once(tmp_path, caplog):
    other = CRS.from_epsg(32611)
    with open_layer(tmp_path / "a.gpkg") as writer:
        for seed in range(3):
            writer.write(part(found(2, seed), crs=other))
    assert len(caplog.records) == 1


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson"])
def test_layer_metadata_reads_back(tmp_path, suffix):
    metadata = {"model": "trees é", "config": "[detect]\nchip_size = 512\n"}
    path = write(tmp_path / f"a{suffix}", metadata=metadata)
    if suffix == ".geojson":
        assert json.loads(path.read_text(encoding="utf-8"))["metadata"] == metadata
    else:
        info = pyogrio.read_info(path, layer="detections" if suffix == ".gpkg" else None)
        assert info["layer_metadata"] == metadata
