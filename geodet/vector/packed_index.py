"""The spatial index of a layer, packed at once: much faster than box by box.

SQLite's R*Tree module keeps a tree in three tables. Here boxes that are near each other are put in
full nodes, level by level (Leutenegger et al. 1997, "STR: a simple and efficient algorithm for
R-tree packing", section 3), and the nodes are written as that module reads them.

Reference:
    https://www.sqlite.org/rtree.html, sections 2 and 6, "shadow tables".
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats, Ints

__all__ = ["insert_boxes", "pack_boxes", "round_outward"]

_CELL = np.dtype([("id", ">i8"), ("sides", ">f4", (4,))])
_HEAD = 4  # bytes: the depth of the tree, in its root alone, and the number of cells
_MOST_CELLS = 51  # SQLite's limit
_NODE = _HEAD + _MOST_CELLS * _CELL.itemsize
_ROOT = 1
_NODES_AT_ONCE = 4_096  # 5 MB

_Sides = NDArray[np.float32]


def round_outward(bounds: Floats) -> _Sides:
    """Round boxes to the index's float32, so that each contains what it did.

    Args:
        bounds: (N, 4) least x and y, greatest x and y.

    Returns:
        (N, 4) least x, greatest x, least y, greatest y.
    """
    sides = bounds[:, [0, 2, 1, 3]]
    rounded = sides.astype(np.float32)
    low, high = np.float32(-np.inf), np.float32(np.inf)
    rounded[:, ::2] = np.where(
        rounded[:, ::2] > sides[:, ::2], np.nextafter(rounded[:, ::2], low), rounded[:, ::2]
    )
    rounded[:, 1::2] = np.where(
        rounded[:, 1::2] < sides[:, 1::2], np.nextafter(rounded[:, 1::2], high), rounded[:, 1::2]
    )
    return rounded


def insert_boxes(database: sqlite3.Connection, index: str, ids: Ints, sides: _Sides) -> None:
    """Add boxes to an index one by one.

    Raises:
        sqlite3.Error: They cannot be written.
    """
    rows = zip(ids.tolist(), *sides.astype(np.float64).T.tolist(), strict=True)
    database.executemany(f'INSERT INTO "{index}" VALUES (?, ?, ?, ?, ?)', rows)


def pack_boxes(database: sqlite3.Connection, index: str, ids: Ints, sides: _Sides) -> None:
    """Fill an empty index.

    Args:
        database: Where the index is.
        index: Its name.
        ids: (N,) numbers of the rows.
        sides: (N, 4) of :func:`round_outward`.

    Raises:
        sqlite3.Error: They cannot be written.
    """
    try:
        database.execute(f'DELETE FROM "{index}_node"')
    except sqlite3.OperationalError as error:
        if "may not be modified" not in str(error):
            raise
        insert_boxes(database, index, ids, sides)  # SQLite's tables are protected in Apple's
        return
    table, depth, first = "rowid", 0, _ROOT + 1
    while len(ids) > _MOST_CELLS:
        order = _tile(sides)
        ids, sides = ids[order], sides[order]
        starts = np.arange(0, len(ids), _MOST_CELLS)
        nodes = first + np.arange(len(starts))
        _write_nodes(database, index, nodes, ids, sides)
        _write_parents(database, f"{index}_{table}", ids, np.repeat(nodes, _MOST_CELLS)[: len(ids)])
        low, high = np.minimum.reduceat(sides, starts), np.maximum.reduceat(sides, starts)
        ids, sides = nodes, np.stack([low[:, 0], high[:, 1], low[:, 2], high[:, 3]], axis=-1)
        table, depth, first = "parent", depth + 1, first + len(nodes)
    _write_nodes(database, index, np.array([_ROOT]), ids, sides, depth)
    _write_parents(database, f"{index}_{table}", ids, np.full(len(ids), _ROOT))


def _tile(sides: _Sides) -> Ints:
    """Return an order of boxes in which as many as fit in a node lie near each other: (N,)."""
    x, y = sides[:, 0] + sides[:, 1], sides[:, 2] + sides[:, 3]
    columns = math.ceil(math.sqrt(len(sides) / _MOST_CELLS))
    place = np.empty(len(sides), np.int64)
    place[np.argsort(x, kind="stable")] = np.arange(len(sides))
    height = math.ceil(len(sides) / _MOST_CELLS / columns) * _MOST_CELLS  # boxes of a column
    return np.lexsort((y, place // height))


def _write_nodes(
    database: sqlite3.Connection, index: str, nodes: Ints, ids: Ints, sides: _Sides, depth: int = 0
) -> None:
    insert = f'INSERT INTO "{index}_node" VALUES (?, ?)'
    for start in range(0, len(nodes), _NODES_AT_ONCE):
        end = start + _NODES_AT_ONCE
        some = slice(start * _MOST_CELLS, end * _MOST_CELLS)
        contents = _encode(ids[some], sides[some], depth)
        database.executemany(insert, zip(nodes[start:end].tolist(), contents, strict=True))


def _encode(ids: Ints, sides: _Sides, depth: int) -> Iterator[bytes]:
    """Yield the contents of nodes: as many cells as one can hold, in the last the rest."""
    count = max(math.ceil(len(ids) / _MOST_CELLS), 1)
    cells = np.zeros(count * _MOST_CELLS, _CELL)
    cells["id"][: len(ids)], cells["sides"][: len(ids)] = ids, sides
    filled = np.full(count, _MOST_CELLS)
    filled[-1] = len(ids) - (count - 1) * _MOST_CELLS
    for number, node in zip(filled.tolist(), cells.reshape(count, _MOST_CELLS), strict=True):
        yield depth.to_bytes(2, "big") + number.to_bytes(2, "big") + node.tobytes()


def _write_parents(database: sqlite3.Connection, table: str, ids: Ints, nodes: Ints) -> None:
    """Write in which node each box or node is, in the order of their numbers."""
    order = np.argsort(ids)
    rows = zip(ids[order].tolist(), nodes[order].tolist(), strict=True)
    database.executemany(f'INSERT INTO "{table}" VALUES (?, ?)', rows)
