"""The spatial index of a layer, packed in parts: much faster than box by box.

SQLite's R*Tree module keeps a tree in three tables. Here boxes that are near each other are put in
full nodes, level by level (Leutenegger et al. 1997, "STR: a simple and efficient algorithm for
R-tree packing", section 3), and the nodes are written as that module reads them.

Reference:
    https://www.sqlite.org/rtree.html, sections 2 and 6, "shadow tables".
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats, Ints

__all__ = ["PackedIndex", "insert_boxes", "round_outward"]

_CELL = np.dtype([("id", ">i8"), ("sides", ">f4", (4,))])
_HEAD = 4  # bytes: the depth of the tree, in its root alone, and the number of cells
_MOST_CELLS = 51  # SQLite's limit
_NODE = _HEAD + _MOST_CELLS * _CELL.itemsize
_ROOT = 1
_PACKED_AT_ONCE = 1_000 * _MOST_CELLS  # boxes of a part, 1 MB

_Sides = NDArray[np.float32]


def round_outward(bounds: Floats) -> _Sides:
    """Round boxes to float32, as the index stores them, so that each contains the box it was.

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


class PackedIndex:
    """An index that is filled in parts, of which little stays in memory.

    Rows that come together should lie near each other, as each part is packed alone.

    Args:
        database: Where the index is, empty.
        index: Its name.

    Example:
        >>> database = sqlite3.connect(":memory:")
        >>> _ = database.execute("CREATE VIRTUAL TABLE places USING rtree(id, x1, x2, y1, y2)")
        >>> index = PackedIndex(database, "places")
        >>> index.add(np.array([7, 9]), np.array([[0, 1, 0, 1], [5, 6, 0, 1]], np.float32))
        >>> index.finish()
        >>> database.execute("SELECT id FROM places WHERE x1 > 2").fetchall()
        [(9,)]
    """

    def __init__(self, database: sqlite3.Connection, index: str) -> None:
        self._database, self._index = database, index
        self._is_begun = self._grows = False
        self._waiting = _Boxes.empty()
        self._nodes = [_Boxes.empty()]  # the lowest of the tree
        self._next = _ROOT + 1

    def add(self, ids: Ints, sides: _Sides) -> None:
        """Add N boxes.

        Args:
            ids: (N,) numbers of the rows, rising, and above those before.
            sides: (N, 4) of :func:`round_outward`.

        Raises:
            sqlite3.Error: They cannot be written.
        """
        if not self._is_begun:
            self._begin()
        if self._grows:
            insert_boxes(self._database, self._index, ids, sides)
            return
        self._waiting = _Boxes.concatenate([self._waiting, _Boxes(ids, sides)])
        if len(self._waiting) >= _PACKED_AT_ONCE:
            nodes, self._waiting = self._fill_nodes(self._waiting, "rowid", only_whole=True)
            self._nodes.append(nodes)

    def finish(self) -> None:
        """Write what waits, and the tree above it.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        if self._grows or not self._is_begun:
            return
        table, depth, boxes = "rowid", 0, self._waiting
        if self._next > _ROOT + 1 or len(boxes) > _MOST_CELLS:
            last, _ = self._fill_nodes(boxes, table)
            table, depth, boxes = "parent", 1, _Boxes.concatenate([*self._nodes, last])
        while len(boxes) > _MOST_CELLS:
            boxes, _ = self._fill_nodes(boxes, table)
            depth += 1
        _write_nodes(self._database, self._index, np.array([_ROOT]), boxes, depth)
        self._write_parents(table, boxes.ids, np.full(len(boxes), _ROOT))

    def _begin(self) -> None:
        self._is_begun = True
        try:
            self._database.execute(f'DELETE FROM "{self._index}_node"')
        except sqlite3.OperationalError as error:
            if "may not be modified" not in str(error):
                raise
            self._grows = True  # SQLite's tables are protected in Apple's

    def _fill_nodes(
        self, boxes: _Boxes, table: str, *, only_whole: bool = False
    ) -> tuple[_Boxes, _Boxes]:
        """Put boxes in nodes; return these, and the boxes that would not have filled one."""
        if not len(boxes):
            return boxes, boxes
        boxes = boxes.select(_tile(boxes.sides))
        end = len(boxes) // _MOST_CELLS * _MOST_CELLS if only_whole else len(boxes)
        boxes, rest = boxes.select(slice(end)), boxes.select(slice(end, None))
        starts = np.arange(0, len(boxes), _MOST_CELLS)
        nodes = self._next + np.arange(len(starts))
        self._next += len(nodes)
        _write_nodes(self._database, self._index, nodes, boxes)
        self._write_parents(table, boxes.ids, np.repeat(nodes, _MOST_CELLS)[: len(boxes)])
        return _Boxes(nodes, _bounding(boxes.sides, starts)), rest

    def _write_parents(self, table: str, ids: Ints, nodes: Ints) -> None:
        """Write in which node each box or node is, in the order of their numbers."""
        order = np.argsort(ids)
        rows = zip(ids[order].tolist(), nodes[order].tolist(), strict=True)
        insert = f'INSERT INTO "{self._index}_{table}" VALUES (?, ?)'
        self._database.executemany(insert, rows)


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Boxes of rows, or of nodes."""

    ids: Ints
    sides: _Sides

    @staticmethod
    def empty() -> _Boxes:
        return _Boxes(np.zeros(0, np.int64), np.zeros((0, 4), np.float32))

    @staticmethod
    def concatenate(parts: Sequence[_Boxes]) -> _Boxes:
        ids, sides = [part.ids for part in parts], [part.sides for part in parts]
        return _Boxes(np.concatenate(ids), np.concatenate(sides))

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, which: Ints | slice) -> _Boxes:
        return _Boxes(self.ids[which], self.sides[which])


def _bounding(sides: _Sides, starts: Ints) -> _Sides:
    low, high = np.minimum.reduceat(sides, starts), np.maximum.reduceat(sides, starts)
    return np.stack([low[:, 0], high[:, 1], low[:, 2], high[:, 3]], axis=-1)


def _tile(sides: _Sides) -> Ints:
    """Return an order of boxes in which as many as fit in a node lie near each other: (N,)."""
    x, y = sides[:, 0] + sides[:, 1], sides[:, 2] + sides[:, 3]
    columns = max(math.ceil(math.sqrt(len(sides) / _MOST_CELLS)), 1)
    place = np.empty(len(sides), np.int64)
    place[np.argsort(x, kind="stable")] = np.arange(len(sides))
    height = math.ceil(len(sides) / _MOST_CELLS / columns) * _MOST_CELLS  # boxes of a column
    return np.lexsort((y, place // height))


def _write_nodes(
    database: sqlite3.Connection, index: str, nodes: Ints, boxes: _Boxes, depth: int = 0
) -> None:
    contents = _encode(boxes.ids, boxes.sides, depth)
    rows = zip(nodes.tolist(), contents, strict=True)
    database.executemany(f'INSERT INTO "{index}_node" VALUES (?, ?)', rows)


def _encode(ids: Ints, sides: _Sides, depth: int) -> Iterator[bytes]:
    """Yield the contents of nodes: as many cells as one can hold, in the last the rest."""
    count = max(math.ceil(len(ids) / _MOST_CELLS), 1)
    cells = np.zeros(count * _MOST_CELLS, _CELL)
    cells["id"][: len(ids)], cells["sides"][: len(ids)] = ids, sides
    filled = np.full(count, _MOST_CELLS)
    filled[-1] = len(ids) - (count - 1) * _MOST_CELLS
    for number, node in zip(filled.tolist(), cells.reshape(count, _MOST_CELLS), strict=True):
        yield depth.to_bytes(2, "big") + number.to_bytes(2, "big") + node.tobytes()
