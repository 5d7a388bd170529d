import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodet.vector import rtree
from geodet.vector.rtree import RtreeBuilder


def make_database():
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute('CREATE VIRTUAL TABLE "index" USING rtree(id, minx, maxx, miny, maxy)')
    return database


def boxes_of(count, seed=0, scale=1000.0):
    low = np.array([6e5, 4e6]) + np.random.default_rng(seed).uniform(0, scale, (count, 2))
    return np.hstack([low, low + np.random.default_rng(seed + 1).uniform(0, 30, (count, 2))])


def add(database, ids, bounds):
    builder = RtreeBuilder(database, "index")
    for start in range(0, len(ids), 400):
        builder.add(ids[start : start + 400], bounds[start : start + 400])
    builder.finish()


def query(database, window):
    x1, y1, x2, y2 = window.tolist()
    rule = "maxx >= ? AND minx <= ? AND maxy >= ? AND miny <= ?"
    rows = database.execute(f'SELECT id FROM "index" WHERE {rule}', (x1, x2, y1, y2))
    return sorted(row[0] for row in rows)


def check(database):
    return database.execute("SELECT rtreecheck('index')").fetchone()[0]


@given(
    counts=st.lists(st.integers(0, 3000), min_size=1, max_size=3),
    group=st.sampled_from([100, 1 << 20]),
)
@settings(max_examples=30)
def test_the_tree_is_sound_and_finds_what_lies_in_a_window(counts, group):
    """SQLite itself checks the nodes; each count is a later run that adds to the tree."""
    database, bounds = make_database(), boxes_of(sum(counts))
    ids = np.arange(1, len(bounds) + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rtree, "_ROWS_AT_ONCE", group)
        start = 0
        for count in counts:
            add(database, ids[start : start + count], bounds[start : start + count])
            start += count
            assert check(database) == "ok"
    for window in boxes_of(5, seed=9):
        meets = (bounds[:, :2] <= window[2:]).all(axis=1) & (bounds[:, 2:] >= window[:2]).all(
            axis=1
        )
        found = query(database, window)
        assert set(ids[meets]) <= set(found)
        assert len(found) <= meets.sum() + 8  # float32 is 0.5 m at this northing
    database.close()


def test_the_tree_grows_and_shrinks_by_sqlite_afterwards():
    database, bounds = make_database(), boxes_of(3000)
    add(database, np.arange(3000), bounds)
    database.execute('DELETE FROM "index" WHERE id % 3 = 0')
    rows = [
        (4000 + i, x1, x2, y1, y2) for i, (x1, y1, x2, y2) in enumerate(boxes_of(500, 5).tolist())
    ]
    database.executemany('INSERT INTO "index" VALUES (?, ?, ?, ?, ?)', rows)
    assert check(database) == "ok"
    add(database, np.arange(5000, 5100), boxes_of(100, 7))
    assert check(database) == "ok"
    assert database.execute('SELECT count(*) FROM "index"').fetchone()[0] == 2000 + 500 + 100


def test_a_tree_that_sqlite_made_is_taken_over():
    database = make_database()
    rows = [(i, x1, x2, y1, y2) for i, (x1, y1, x2, y2) in enumerate(boxes_of(30).tolist())]
    database.executemany('INSERT INTO "index" VALUES (?, ?, ?, ?, ?)', rows)
    add(database, np.arange(30, 40), boxes_of(10, 3))
    assert check(database) == "ok"
    assert len(query(database, np.array([0, 0, 1e9, 1e9]))) == 40


def test_a_window_reads_few_nodes():
    """What the packing is for: neighbours share a node, so nodes hardly overlap."""
    database, bounds = make_database(), boxes_of(20_000, scale=10_000.0)
    add(database, np.arange(20_000), bounds)
    nodes = database.execute('SELECT data FROM "index_node" WHERE nodeno > 1').fetchall()
    cells = [np.frombuffer(data[4:], rtree._CELL) for (data,) in nodes]
    leaves = [c[c["bounds"][:, 0] > 0]["bounds"] for c in cells]
    sides = [b[:, 1].max() - b[:, 0].min() for b in leaves]
    assert np.median(sides) < 1.5 * 10_000 / np.sqrt(20_000 / 51)


def test_bounds_are_rounded_outwards():
    cells = rtree._to_cells(np.array([1]), np.array([[0.1, -0.1, 0.3, 16777217.0]]))
    x1, x2, y1, y2 = cells["bounds"][0].astype(np.float64)
    assert (x1 <= 0.1, y1 <= -0.1, x2 >= 0.3, y2 >= 16777217.0) == (True,) * 4
    np.testing.assert_allclose([x1, y1, x2, y2], [0.1, -0.1, 0.3, 16777217.0], rtol=2e-7)
