"""Parts of a job as GeoParquet: exact for the merge, and open to other programs."""

import json
from dataclasses import replace

import geopandas
import numpy as np
import pytest
from affine import Affine
from pyarrow import parquet
from pyproj import CRS

from geodet.detection.band_parts import BandPart
from geodet.detection.detection_plan import PlannedScene
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window, WindowLimits
from geodet.jobs.placed_parts import PartNotes, PlacedParts
from geodet.vector.frames import object_ids

CLASSES = ("car", "lorry")
NOTES = PartNotes("salt", {"software": "geodet"})
JOB = "0123"
WINDOW = Window(3, 4, 50, 60)


@pytest.fixture
def scene():
    place = Affine(0.5, 0.1, 400_000, 0.1, -0.5, 5_000_000)
    geobox = GeoBox(2_000, 1_000, place, CRS.from_epsg(32633))
    return PlannedScene("/scenes/a.tif", "a.tif", geobox, "uint8", (1_000, 400), WindowLimits())


@pytest.fixture
def store(scene, tmp_path):
    return PlacedParts(tmp_path / "parts" / "000000", JOB, scene, CLASSES, lambda: NOTES)


def a_part(count=500, *, oriented=False):
    rng = np.random.default_rng(0)
    corner = rng.uniform(-3, 390, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(3, 30, (count, 2))])
    scores, labels = rng.uniform(0, 1, count), rng.integers(0, 2, count)
    found = Detections(boxes, scores, labels)
    if oriented:
        sizes = np.sort(rng.uniform(3, 30, (count, 2)))[:, ::-1]
        turned = np.column_stack([corner, sizes, rng.uniform(-1.5, 1.5, count)])
        found = Detections.of_oriented(turned, found.scores, found.labels)
    cut, blank = rng.random((count, 4)) < 0.1, (Window(-3, 4, 50, 60), Window(0, 90, 1, 2))
    return BandPart(found, cut, 2, 3, {WINDOW: "tile 7 is broken"}, blank)


def equal(one, other):
    """Whether two parts are the same to the last bit."""
    pairs = zip(
        (one.detections.shapes, one.detections.scores, one.detections.labels, one.cut),
        (other.detections.shapes, other.detections.scores, other.detections.labels, other.cut),
        strict=True,
    )
    counts = (one.empty, one.capped, one.not_examined, one.no_data) == (
        other.empty,
        other.capped,
        other.not_examined,
        other.no_data,
    )
    return counts and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("oriented", [False, True])
@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_part_comes_back_to_the_last_bit(store, count, oriented):
    part = a_part(count, oriented=oriented)
    store.write(7, part)
    assert equal(store.read(7), part)
    assert store.list_missing(range(6, 9)) == [6, 8]
    assert [path.name for path in store.folder.iterdir()] == ["000007.parquet"]


def test_scenes_without_a_crs_have_parts_as_well(scene, tmp_path):
    bare = replace(scene, geobox=replace(scene.geobox, crs=None))
    store = PlacedParts(tmp_path, JOB, bare, CLASSES, lambda: NOTES)
    store.write(0, a_part())
    assert equal(store.read(0), a_part())
    assert geopandas.read_parquet(tmp_path / "000000.parquet").crs is None


def test_other_programs_see_objects_in_their_places(store, scene):
    part = a_part()
    store.write(0, part)
    frame = geopandas.read_parquet(store.folder / "000000.parquet")
    assert frame.crs == scene.geobox.crs
    in_order = frame.sort_values("row")
    found = part.detections.scaled(2, 2.5)
    assert in_order["id"].tolist() == object_ids(scene.part(found), CLASSES, "salt").tolist()
    assert in_order["label"].tolist() == [CLASSES[label] for label in found.labels]
    centres = scene.geobox.to_world(found.centres, None)
    places = np.column_stack([in_order.centroid.x, in_order.centroid.y])
    np.testing.assert_allclose(places, centres, atol=1e-6)
    few = geopandas.read_parquet(
        store.folder / "000000.parquet", bbox=(400_000, 4_999_600, 400_300, 4_999_800)
    )
    assert 0 < len(few) < len(frame)


def test_rows_lie_along_a_hilbert_curve(store):
    store.write(0, a_part())
    frame = geopandas.read_parquet(store.folder / "000000.parquet")
    steps = frame.centroid.distance(frame.centroid.shift()).mean()
    in_order = frame.sort_values("row")
    assert steps < in_order.centroid.distance(in_order.centroid.shift()).mean() / 5


def test_the_file_is_geoparquet_1_1_and_says_how_it_was_made(store):
    store.write(5, a_part())
    texts = parquet.read_schema(store.folder / "000005.parquet").metadata
    geo = json.loads(texts[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert len(geo["columns"]["geometry"]["bbox"]) == 4
    assert texts[b"path"] == b"/scenes/a.tif"
    assert texts[b"band"] == b"5"
    assert texts[b"software"] == b"geodet"
    assert texts[b"job"] == b"0123"


def test_a_part_that_is_not_intact_is_computed_again(store, caplog):
    store.write(0, a_part(20))
    path, whole = store.folder / "000000.parquet", a_part(20)
    content = path.read_bytes()
    damaged = 0
    for place in range(0, len(content), 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        found = store.read(0)
        assert found is None or equal(found, whole)
        damaged += found is None
    assert damaged > 10
    path.write_bytes(content[: len(content) // 2])
    assert store.read(0) is None
    path.write_bytes(b"")
    assert store.read(0) is None
    assert "000000.parquet is computed again: " in caplog.text


def test_a_part_that_is_cut_off_anywhere_counts_as_missing(store, caplog):
    assert store.list_missing([0]) == [0]
    store.write(0, a_part(20))
    path = store.folder / "000000.parquet"
    content = path.read_bytes()
    for size in (0, 3, 8, 11, 12, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        assert store.list_missing([0]) == [0]
        path.write_bytes(content[:size].ljust(len(content), b"\0"))  # as after a power cut
        assert store.list_missing([0]) == [0]
        path.write_bytes(content[len(content) - size :])
        assert store.list_missing([0]) == [0]
    assert "000000.parquet counts as missing: it is cut off or damaged" in caplog.text
    path.write_bytes(content)
    assert store.list_missing([0]) == []


def test_a_label_of_another_model_is_refused(scene, store):
    store.write(0, a_part())
    other = PlacedParts(store.folder, JOB, scene, ("car",), lambda: NOTES)
    assert other.read(0) is None
