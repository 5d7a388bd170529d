"""SQLite's R-tree, written node by node: packed at once rather than grown row by row.

The tables are those behind a virtual table of SQLite's ``rtree`` module. Growing the tree by
triggers takes several times as long as the rows themselves. Rows are packed in large groups as they
come, so memory does not grow with them: a bound of 20 bytes remains for each node of 51 rows.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats, Ints

__all__ = ["RtreeBuilder"]

_ROOT = 1  # the node's number, by definition
_CELL = np.dtype([("id", ">i8"), ("bounds", ">f4", 4)])  # least and greatest x, then y
_ROWS_AT_ONCE = 1 << 18
_PAIRS_AT_ONCE = 100  # in a statement; one by one takes more than twice as long


class RtreeBuilder:
    """Adds rows to an R-tree of two dimensions, which is complete after :meth:`finish`.

    Args:
        database: Its caller begins and ends the transaction.
        name: The virtual table; it may hold rows.

    Reference:
        The comment at the top of ``ext/rtree/rtree.c`` in SQLite's source describes the nodes;
        Leutenegger et al. 1997, "STR: a simple and efficient algorithm for R-tree packing",
        doi:10.1109/ICDE.1997.582015.
    """

    def __init__(self, database: sqlite3.Connection, name: str) -> None:
        self._database = database
        self._name = name
        root = self._read_node(_ROOT)
        self._capacity = (len(root) - 4) // _CELL.itemsize
        self._node = np.dtype(
            {
                "names": ["depth", "count", "cells"],
                "formats": [">u2", ">u2", (_CELL, self._capacity)],
                "offsets": [0, 2, 4],
                "itemsize": len(root),
            }
        )
        self._waiting: list[NDArray[Any]] = []
        self._next = 1 + int(self._ask('SELECT max(nodeno) FROM "{}_node"'))
        self._leaves = [self._take_leaves()]

    def add(self, ids: Ints, bounds: Floats) -> None:
        """Add rows.

        Args:
            ids: (N,) row numbers that the tree does not hold.
            bounds: (N, 4) least x and y, greatest x and y.
        """
        self._waiting.append(_to_cells(ids, bounds))
        if sum(map(len, self._waiting)) >= _ROWS_AT_ONCE:
            self._flush()

    def finish(self) -> None:
        """Write what is above the leaves."""
        self._flush()
        level, depth = np.concatenate(self._leaves), 1 if any(map(len, self._leaves)) else 0
        while len(level) > self._capacity:
            level = self._pack(level, "parent")
            depth += 1
        root = np.zeros(1, self._node)
        root["depth"], root["count"] = depth, len(level)
        root["cells"][0, : len(level)] = level
        self._insert_nodes(np.array([_ROOT]), root)
        self._insert("parent", level["id"], np.full(len(level), _ROOT))

    def _flush(self) -> None:
        if self._waiting:
            self._leaves.append(self._pack(np.concatenate(self._waiting), "rowid"))
            self._waiting.clear()

    def _pack(self, cells: NDArray[Any], kind: str) -> NDArray[Any]:
        """Write nodes of neighbouring cells, say where each cell went, and give cells of nodes."""
        count = -(-len(cells) // self._capacity)
        numbers = np.arange(self._next, self._next + count)
        self._next += count
        order = _neighbours(cells, self._capacity)
        nodes = np.zeros(count, self._node)
        filled = np.zeros(count * self._capacity, _CELL)
        filled[: len(cells)] = cells[order]
        nodes["cells"] = filled.reshape(count, -1)
        nodes["count"] = self._capacity
        nodes["count"][-1:] = len(cells) - (count - 1) * self._capacity
        self._insert_nodes(numbers, nodes)
        place = np.empty(len(cells), np.int64)
        place[order] = numbers[np.arange(len(cells)) // self._capacity]
        self._insert(kind, cells["id"], place)
        return _to_node_cells(numbers, cells["bounds"][order], self._capacity)

    def _take_leaves(self) -> NDArray[Any]:
        """Remove all above the leaves of the tree as it is, and give cells of its leaves."""
        level = self._parse(self._read_node(_ROOT))
        depth = int.from_bytes(self._read_node(_ROOT)[:2], "big")
        if depth == 0:
            return self._pack(level, "rowid") if len(level) else level
        for _ in range(depth - 1):
            numbers = level["id"].tolist()
            level = np.concatenate([self._parse(self._read_node(number)) for number in numbers])
            self._run('DELETE FROM "{}_node" WHERE nodeno = ?', zip(numbers, strict=True))
        self._run('DELETE FROM "{}_parent"', [()])
        return level

    def _parse(self, data: bytes) -> NDArray[Any]:
        node = np.frombuffer(data, self._node)[0]
        cells: NDArray[Any] = node["cells"][: node["count"]]
        return cells

    def _read_node(self, number: int) -> bytes:
        return bytes(self._ask('SELECT data FROM "{}_node" WHERE nodeno = ?', number))

    def _insert_nodes(self, numbers: Ints, nodes: NDArray[Any]) -> None:
        data, size = nodes.tobytes(), nodes.dtype.itemsize
        blobs = (data[start : start + size] for start in range(0, len(data), size))
        rows = zip(numbers.tolist(), blobs, strict=True)
        self._run('INSERT OR REPLACE INTO "{}_node" VALUES (?, ?)', rows)

    def _insert(self, kind: str, keys: Ints, values: Ints) -> None:
        pairs = np.stack([keys, values], axis=1)
        whole = len(pairs) // _PAIRS_AT_ONCE * _PAIRS_AT_ONCE
        for few, length in ((pairs[:whole], _PAIRS_AT_ONCE), (pairs[whole:], 1)):
            marks = ", ".join(["(?, ?)"] * length)
            rows = few.reshape(-1, 2 * length)
            groups = (row.tolist() for row in rows)
            self._run(f'INSERT OR REPLACE INTO "{{}}_{kind}" VALUES {marks}', groups)

    def _ask(self, query: str, *values: Any) -> Any:
        return self._database.execute(query.format(self._name), values).fetchone()[0]

    def _run(self, statement: str, rows: Any) -> None:
        self._database.executemany(statement.format(self._name), rows)


def _to_cells(ids: Ints, bounds: Floats) -> NDArray[Any]:
    """Round bounds to float32, outwards: a row must not leave its own bounds."""
    narrow = bounds.astype(np.float32)
    low, high = narrow[:, :2], narrow[:, 2:]
    low = np.where(low > bounds[:, :2], np.nextafter(low, np.float32(-np.inf)), low)
    high = np.where(high < bounds[:, 2:], np.nextafter(high, np.float32(np.inf)), high)
    cells = np.zeros(len(ids), _CELL)
    cells["id"] = ids
    cells["bounds"] = np.stack([low, high], axis=-1).reshape(-1, 4)
    return cells


def _to_node_cells(numbers: Ints, bounds: NDArray[np.float32], capacity: int) -> NDArray[Any]:
    """Give each node the bounds of all its cells, which stand in order."""
    starts = np.arange(len(numbers)) * capacity
    cells = np.zeros(len(numbers), _CELL)
    cells["id"] = numbers
    cells["bounds"][:, ::2] = np.minimum.reduceat(bounds[:, ::2], starts, axis=0)
    cells["bounds"][:, 1::2] = np.maximum.reduceat(bounds[:, 1::2], starts, axis=0)
    return cells


def _neighbours(cells: NDArray[Any], capacity: int) -> Ints:
    """Order cells so that runs of ``capacity`` lie close together: strips, then rows in each."""
    bounds = cells["bounds"].astype(np.float32)
    x, y = bounds[:, 0] + bounds[:, 1], bounds[:, 2] + bounds[:, 3]
    strips = math.ceil(math.sqrt(-(-len(cells) // capacity)))
    order: Ints = np.argsort(x)
    for start in range(0, len(order), strips * capacity):
        strip = order[start : start + strips * capacity]
        strip[:] = strip[np.argsort(y[strip])]
    return order
