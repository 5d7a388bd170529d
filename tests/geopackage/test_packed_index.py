import sqlite3
from contextlib import closing

import numpy as np
import pytest

from geodet.geopackage import packed_index
from geodet.geopackage.packed_index import PackedIndex, insert_boxes, round_outward

FIND = "SELECT id FROM places WHERE maxx >= ? AND minx <= ? AND maxy >= ? AND miny <= ? ORDER BY id"


class Protected(sqlite3.Connection):
    """Refuses what SQLite refuses where its own tables are protected."""

    def execute(self, sql, *parameters):
        if "places_node" in sql:
            raise sqlite3.OperationalError("table places_node may not be modified")
        return super().execute(sql, *parameters)


def scatter(count, seed=0):
    random = np.random.default_rng(seed)
    low = random.uniform((447_000, 5_411_000), (448_000, 5_412_000), (count, 2))
    return np.hstack([low, low + random.uniform(0, 20, (count, 2))])


def make_index(kind=sqlite3.Connection):
    database = sqlite3.connect(":memory:", factory=kind)
    sqlite3.Connection.execute(
        database, "CREATE VIRTUAL TABLE places USING rtree(id, minx, maxx, miny, maxy)"
    )
    return database


def pack_boxes(database, ids, sides, *, parts=1, index="places"):
    packed = PackedIndex(database, index)
    for few in zip(np.array_split(ids, parts), np.array_split(sides, parts), strict=True):
        packed.add(*few)
    packed.finish()


def find(database, x1, y1, x2, y2):
    return [number for (number,) in database.execute(FIND, (x1, x2, y1, y2))]


@pytest.mark.parametrize("part", [51, 510, 51_000])
@pytest.mark.parametrize("count", [1, 50, 51, 52, 102, 103, 2601, 2602, 20_000])
def test_the_tree_is_whole_and_answers_as_sqlites_own_does(monkeypatch, count, part):
    monkeypatch.setattr(packed_index, "_PACKED_AT_ONCE", part)
    bounds, ids = scatter(count), np.arange(count) * 3 + 7
    with closing(make_index()) as packed, closing(make_index()) as grown:
        pack_boxes(packed, ids, round_outward(bounds), parts=7)
        insert_boxes(grown, "places", ids, round_outward(bounds))
        assert packed.execute("SELECT rtreecheck('places')").fetchone() == ("ok",)
        everything = "SELECT * FROM places ORDER BY id"
        assert packed.execute(everything).fetchall() == grown.execute(everything).fetchall()
        for x1, y1, x2, y2 in (scatter(20, 1) + np.array([0, 0, 40, 40])).tolist():
            touching = (bounds[:, :2] <= [x2, y2]).all(axis=1) & (bounds[:, 2:] >= [x1, y1]).all(1)
            result = find(packed, x1, y1, x2, y2)
            assert result == find(grown, x1, y1, x2, y2)
            assert set(ids[touching].tolist()) <= set(result)


def test_a_packed_tree_can_be_changed():
    bounds, ids = scatter(3000), np.arange(3000)
    with closing(make_index()) as database:
        pack_boxes(database, ids, round_outward(bounds))
        database.executemany("DELETE FROM places WHERE id = ?", [(i,) for i in range(0, 3000, 2)])
        insert_boxes(database, "places", ids[::2], round_outward(bounds[::2]))
        assert database.execute("SELECT rtreecheck('places')").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM places").fetchone() == (3000,)


def test_neighbours_share_nodes():
    """A small window then reads few nodes: those of a square, not of a strip across the scene."""
    bounds = scatter(51 * 100)
    order = packed_index._tile(round_outward(bounds))
    sides = np.array([np.ptp(part[:, :2], axis=0) for part in np.split(bounds[order], 100)])
    assert (np.median(sides, axis=0) < 120).all()


def test_boxes_are_rounded_outward():
    bounds = scatter(1000)
    sides = round_outward(bounds).astype(np.float64)
    assert (sides[:, ::2] <= bounds[:, :2]).all()
    assert (sides[:, 1::2] >= bounds[:, 2:]).all()
    exact = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert round_outward(exact).tolist() == [[1, 3, 2, 4]]


def test_where_sqlite_protects_its_tables_boxes_enter_one_by_one():
    bounds = round_outward(scatter(200))
    with closing(make_index(Protected)) as database, closing(make_index()) as packed:
        pack_boxes(database, np.arange(200), bounds)
        pack_boxes(packed, np.arange(200), bounds)
        everything = "SELECT * FROM places ORDER BY id"
        assert database.execute(everything).fetchall() == packed.execute(everything).fetchall()


def test_an_index_without_boxes_stays_empty():
    with closing(make_index()) as database:
        PackedIndex(database, "places").finish()
        pack_boxes(database, np.arange(0), round_outward(np.zeros((0, 4))))
        assert database.execute("SELECT rtreecheck('places')").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM places").fetchone() == (0,)


def test_another_error_is_raised():
    with (
        closing(make_index()) as database,
        pytest.raises(sqlite3.OperationalError, match="no such"),
    ):
        pack_boxes(database, np.arange(1), round_outward(scatter(1)), index="others")
