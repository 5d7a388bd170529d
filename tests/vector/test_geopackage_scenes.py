"""The ground of each scene of a GeoPackage, when scenes are added, replaced and repaired."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
import shapely
from factories_vectors import found, part, write, write_searched
from hypothesis import given
from hypothesis import strategies as st

from geodet.geopackage.layer_metadata import LayerMetadata
from geodet.vector.geopackage_scenes import HeldScenes
from geodet.vector.provenance import EXAMINED, LEFT_OUT, read_examined_ground, read_provenance
from geodet.vector.rows import Appending
from geodet.vector.searched_scenes import SearchedScenes

EMPTY = shapely.Polygon()
WEST, EAST = shapely.box(0, 0, 10, 10), shapely.box(8, 0, 18, 10)
HALF = shapely.box(0, 0, 5, 10)
"""The western half of the western scene, which has no data in the other any more."""


def run(failures=None, extents=None, **grounds):
    return SearchedScenes(grounds, extents or grounds, failures or {})


@pytest.fixture
def texts():
    """Return the metadata of a layer, which are not stored."""
    with closing(sqlite3.connect(":memory:")) as database:
        yield LayerMetadata(database, "detections")


def add(texts, searched, model="m"):
    held = HeldScenes(texts, model)
    held.add(searched)
    held.store()


def replace(texts, searched, removed=None, model="m", *, are_compared=True):
    held = HeldScenes(texts, model)
    held.replace(searched, removed or {}, are_compared=are_compared)
    held.store()


def ground(texts):
    (text,) = texts.texts_of(EXAMINED)
    return shapely.from_wkt(text)


def same(one, other):
    return one.symmetric_difference(other).area == pytest.approx(0, abs=1e-9)


boxes = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 5)] * 2).map(
    lambda sides: shapely.box(sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3])
)
steps = st.tuples(
    st.booleans(), st.sampled_from("mn"), st.dictionaries(st.sampled_from("abc"), boxes)
)


@given(st.lists(steps, max_size=6))
def test_the_ground_is_that_of_all_scenes_as_they_were_searched_last(series):
    known = {}
    with closing(sqlite3.connect(":memory:")) as database:
        texts = LayerMetadata(database, "detections")
        for is_replacing, model, grounds in series:
            if is_replacing:
                replace(texts, run(**grounds), model=model, are_compared=False)
            else:
                add(texts, run(**grounds), model)
            for scene, shape in grounds.items():
                before = EMPTY if is_replacing else known.get((model, scene), EMPTY)
                known[model, scene] = shape.union(before)
        if known:
            assert same(ground(texts), shapely.union_all(list(known.values())))


def test_what_scenes_around_a_replaced_one_may_lack_is_not_examined(texts):
    """Their objects there may have been left out as duplicates of rows that are gone."""
    add(texts, run(a=WEST, b=EAST))
    replace(texts, run(a=HALF))
    assert same(ground(texts), shapely.union_all([HALF, shapely.box(10, 0, 18, 10)]))
    replace(texts, run(b=EAST))
    assert same(ground(texts), shapely.union_all([HALF, EAST]))


def test_scenes_around_keep_their_ground_where_nothing_is_compared(texts):
    add(texts, run(a=WEST, b=EAST))
    replace(texts, run(a=HALF), are_compared=False)
    assert same(ground(texts), shapely.union_all([HALF, EAST]))


def test_a_scene_without_data_is_known_and_examined_nowhere(texts):
    add(texts, run(a=EMPTY))
    assert ground(texts).is_empty
    assert HeldScenes(texts, "m").has_ground_of("a")
    add(texts, run(extents={"b": WEST}))  # it is not known what a run without places searched
    assert not HeldScenes(texts, "m").has_ground_of("b")


# Files of an earlier version


def earlier(texts, *grounds):
    """Write the grounds of runs, as an earlier version has."""
    for shape in grounds:
        texts.join({EXAMINED: shape.wkt})


def test_a_replaced_scene_takes_all_that_it_may_have_covered_off_an_earlier_ground(texts):
    earlier(texts, WEST, EAST)
    replace(texts, run(a=HALF, extents={"a": WEST}), {"a": shapely.box(11, 1, 12, 2)})
    remains = shapely.box(10, 0, 18, 10) - shapely.box(11, 1, 12, 2)
    assert same(ground(texts), shapely.union_all([HALF, remains]))
    replace(texts, run(a=WEST))  # whose ground is known now
    assert same(ground(texts), shapely.union_all([WEST, remains]))


def test_what_an_earlier_version_has_appended_counts(texts):
    add(texts, run(a=WEST))
    earlier(texts, EAST)
    assert len(texts.texts_of(EXAMINED)) == 2
    replace(texts, run(a=HALF))
    assert same(ground(texts), shapely.union_all([HALF, EAST - WEST]))


# Scenes that were left out


def left_out(texts):
    return texts.texts.get(LEFT_OUT)


def test_a_scene_that_is_added_is_left_out_no_more(texts):
    add(texts, run({"b": "it breaks off", "c": "no; file: c"}, a=WEST))
    assert left_out(texts) == "b: it breaks off; c: no; file: c"
    add(texts, run(b=EAST))
    assert left_out(texts) == "c: no; file: c"
    add(texts, run(c=EAST), model="other")
    assert left_out(texts) == "c: no; file: c"
    add(texts, run(c=EAST))
    assert LEFT_OUT not in texts.texts


def test_a_scene_that_cannot_be_read_again_is_there_as_before(texts):
    add(texts, run(a=WEST, b=EAST))
    replace(texts, run({"b": "it breaks off"}, a=HALF))
    assert left_out(texts) is None
    assert HeldScenes(texts, "m").has_ground_of("b")


def test_a_list_of_an_earlier_version_is_shortened(texts):
    texts.join({LEFT_OUT: "a.tif: cannot read window 1,2; x; b.tif: cannot open it"})
    texts.join({LEFT_OUT: "c.tif: it is missing"})
    add(texts, SearchedScenes({}, {"b.tif": EAST}, {}))
    assert left_out(texts) == "a.tif: cannot read window 1,2; x; c.tif: it is missing"


# In a file


NONE = np.zeros(0, np.int64)


def put(path, scene, shape, **options):
    appending = Appending(scenes=(scene,), drop=lambda _: (NONE, NONE), **options)
    write_searched(path, scene, shape, appending=appending)


def test_the_scenes_around_a_replaced_one_are_named(tmp_path, caplog):
    path = tmp_path / "found.gpkg"
    beside = shapely.box(10, 0, 20, 10)  # they only touch
    for scene, shape in {"a": WEST, "b": EAST, "c": beside}.items():
        put(path, scene, shape)
    assert not caplog.records
    put(path, "a", HALF, replace_scenes=True)
    assert "a overlaps b in " in caplog.text
    assert same(read_examined_ground(path), shapely.union_all([HALF, beside]))
    assert read_provenance(path).keys() == {"model_sha256", EXAMINED, "model"}
    caplog.clear()
    put(path, "a", WEST, replace_scenes=True)
    assert "overlaps" not in caplog.text


def test_a_new_file_knows_the_scene_of_all_its_ground(tmp_path):
    path = tmp_path / "found.gpkg"
    put(path, "a", WEST)
    with closing(sqlite3.connect(path)) as database:
        held = HeldScenes(LayerMetadata(database, "detections"), "m")
    assert held.has_ground_of("a")
    assert not held.may_hold("b")


def test_a_file_of_an_earlier_version_is_warned_of(tmp_path, caplog):
    path = write(tmp_path / "found.gpkg", part(found(3)), metadata={EXAMINED: WEST.wkt})
    put(path, "a.tif", HALF, replace_scenes=True)
    assert "does not record the area of each scene" in caplog.text


def test_a_thousand_scenes_take_little_room(texts):
    shapes = {
        f"sheet_{x:02d}_{y:02d}.tif": shapely.box(500_000.5 + 600 * x, 4e6 + 600 * y, 0, 0).envelope
        for x in range(40)
        for y in range(25)
    }
    add(texts, run(**shapes))
    assert len(texts.read_own("scenes")) < 200_000
