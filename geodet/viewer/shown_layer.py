"""A layer of objects on the map: its tiles, its counts, and one object after the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.geometry.written_scores import written_scores
from geodet.vector.palette import Colour
from geodet.viewer.attribute_rows import AttributeRows
from geodet.viewer.map_frame import TILE_PX, MapFrame
from geodet.viewer.object_index import ObjectCells, ObjectIndex
from geodet.viewer.vector_tile import EXTENT, TileLayer, encode_tile

__all__ = ["LayerCounts", "ShownLayer"]

_MOST_OBJECTS = 5000  # of a tile that are drawn one by one
_CELL_ZOOMS = range(6, 2, -1)  # cells of 8 to 64 pixels stand for the objects of a fuller tile
_MOST_CELLS = 6000  # of a tile, so that the browser follows the slider
_DOT_PX = 4.0  # longer side of a box below which it is drawn as a dot
_BINS = 40


@dataclass(frozen=True, slots=True)
class LayerCounts:
    """How many objects have at least a score."""

    by_class: list[int]
    """All of them, by class."""
    in_view: list[int]
    """Those whose centre is in the part of the map that is shown, by class."""
    sizes: list[int]
    """All of the counted classes, by size."""


class ShownLayer:
    """Objects of a scene, on the map.

    Args:
        name: In addresses.
        title: For people.
        objects: In the pixels of the scene.
        classes: Names of the classes, by label.
        colours: Their colours.
        attributes: Attributes of each object; none at all for objects without attributes.
        frame: Where the scene lies on the map.
        bounds: (N, 4) least u and v, greatest u and v of each object on the square of the map.
        unscored: Classes whose objects have no scores; they are given 1, which is not shown.
        score_name: The attribute that the scores were read from.
    """

    def __init__(
        self,
        name: str,
        title: str,
        objects: Detections,
        classes: Sequence[str],
        colours: Sequence[Colour],
        attributes: AttributeRows,
        frame: MapFrame,
        bounds: Floats,
        *,
        unscored: Collection[int] = (),
        score_name: str = "score",
    ) -> None:
        self.name, self.title, self.score_name = name, title, score_name
        self.objects, self.classes, self.colours = objects, tuple(classes), tuple(colours)
        self._attributes, self._unscored = attributes, frozenset(unscored)
        self._frame, self._bounds = frame, bounds
        self._scores = written_scores(objects.scores)
        self._centres = np.asfortranarray((bounds[:, :2] + bounds[:, 2:]) / 2)
        self._sides_on_map = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
        finest = frame.finest_zoom + 1
        self._index = ObjectIndex(self._bounds, self._scores, objects.labels, finest_zoom=finest)

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def finest_zoom(self) -> int:
        """The zoom of the finest tiles."""
        return self._index.finest_zoom

    @property
    def has_scores(self) -> bool:
        """Whether the objects of any class have scores."""
        return not self._unscored >= set(range(len(self.classes)))

    def tile(self, z: int, x: int, y: int, *, at: float = 0.0) -> bytes:
        """Return a vector tile with the layers ``boxes``, ``dots`` and ``cells``.

        The tile has every object that it touches, or, if those are too many, the strongest of each
        class in each cell of 8 x 8 pixels or more, with the number of objects in the cell as ``n``.
        All have the attributes ``s``, the score, and ``k``, the class.

        Args:
            z: Zoom.
            x: Column.
            y: Row.
            at: Lowest score of the objects that ``n`` counts.
        """
        rows = self._index.centred(z, x, y)
        if len(rows) > _MOST_OBJECTS and z < self.finest_zoom:
            cells = self._cells(z, x, y, at)
            numbers = {"n": cells.count.astype(np.float64)}
            return encode_tile([self._layer("cells", cells.strongest, z, x, y, numbers)])
        sides = self._sides_on_map
        smallest = _DOT_PX / TILE_PX / 2**z
        near = self._index.touching(z, x, y)
        return encode_tile(
            [
                self._layer("boxes", near[sides[near] >= smallest], z, x, y),
                self._layer("dots", rows[sides[rows] < smallest], z, x, y),
            ]
        )

    def counts(self, at: float, view: Sequence[float] | None, shown: Bools) -> LayerCounts:
        """Count the objects of at least a score, exactly.

        Args:
            at: The lowest score.
            view: Least u and v, greatest u and v of what is shown; None: everything.
            shown: (K,) the classes whose sizes are counted.
        """
        labels, kinds = self.objects.labels, len(self.classes)
        above = self._scores >= at
        inside = above if view is None else above & self._is_in(view)
        sized = above if shown.all() else above & shown[labels]
        return LayerCounts(
            [len(one) - int(np.searchsorted(one, at)) for one in self._scores_by_class],
            np.bincount(labels[inside], minlength=kinds).tolist(),
            np.bincount(self._size_bins[sized], minlength=_BINS).tolist(),
        )

    def score_histogram(self) -> list[list[int]]:
        """Count the objects of each class by score, in 40 bins from 0 to 1: K rows.

        A class without scores is not counted.
        """
        ends = np.arange(1, _BINS) / _BINS
        bins = np.searchsorted(ends, self._scores, side="right")
        flat = self.objects.labels * _BINS + bins
        counts = np.bincount(flat, minlength=len(self.classes) * _BINS)
        table = counts.reshape(-1, _BINS)
        table[list(self._unscored)] = 0
        found: list[list[int]] = table.tolist()
        return found

    @property
    def largest_size(self) -> float:
        """The upper end of the histogram of sizes: pixels on the side of a square box.

        Larger objects, one in two hundred, are counted in the last bin.
        """
        return float(np.quantile(self._sizes, 0.995)) if len(self) else 0.0

    def describe(self, row: int) -> dict[str, Any]:
        """Return all attributes of an object, its box in pixels and its corners on the map."""
        label = int(self.objects.labels[row])
        return {
            "id": row,
            "label": self.classes[label],
            "score": None if label in self._unscored else float(self._scores[row]),
            "box_px": self.objects.boxes[row].tolist(),
            "oriented_px": self.oriented(row),
            "corners": self._corners(np.array([row]))[0].tolist(),
            "attributes": self._attributes.read(row),
        }

    def oriented(self, row: int) -> tuple[float, float, float, float, float] | None:
        """Return the oriented box of an object in pixels; None where the boxes are axis-aligned."""
        if self.objects.oriented is None:
            return None
        x, y, length, width, angle = self.objects.oriented[row].tolist()
        return x, y, length, width, angle

    def step(
        self,
        start: int | None,
        forward: bool,
        at: float,
        shown: Bools,
        *,
        without: Collection[int] = (),
    ) -> int | None:
        """Return the next object by falling score, of at least a score; None if there is none.

        Args:
            start: The object to go on from; None: begin.
            forward: To lower scores; after the last one comes the first again.
            at: The lowest score.
            shown: (K,) the classes that are visited.
            without: Objects that are left out.
        """
        ranked, places = self._ranked, self._places(at, shown)
        if without:
            places = places[~np.isin(ranked[places], list(without))]
        if not len(places):
            return None
        if start is None:
            return int(ranked[places[0 if forward else -1]])
        here = self._rank_of[start]
        if forward:
            place = np.searchsorted(places, here, side="right") % len(places)
        else:
            place = np.searchsorted(places, here, side="left") - 1
        return int(ranked[places[place]])

    def rank(self, row: int, at: float, shown: Bools) -> tuple[int, int]:
        """Return which object it is by falling score, from 1, and of how many.

        Args:
            row: The object.
            at: The lowest score.
            shown: (K,) the classes that are counted.
        """
        places = self._places(at, shown)
        return 1 + int(np.searchsorted(places, self._rank_of[row])), len(places)

    def _places(self, at: float, shown: Bools) -> Ints:
        """Return which places in the order by falling score are shown."""
        ranked = self._ranked
        wanted = (self._scores[ranked] >= at) & shown[self.objects.labels[ranked]]
        return np.flatnonzero(wanted)

    def _cells(self, z: int, x: int, y: int, at: float) -> ObjectCells:
        """Count the objects of a tile in the finest cells of which there are not too many."""
        for finer in _CELL_ZOOMS:
            cells = self._index.cells(z, x, y, finer, at=at)
            if len(cells.count) <= _MOST_CELLS:
                break
        return cells

    def _layer(
        self, name: str, rows: Ints, z: int, x: int, y: int, more: dict[str, Floats] | None = None
    ) -> TileLayer:
        corners = self._corners(rows) if name == "boxes" else self._centres[rows, None]
        units = (corners * 2**z - [x, y]) * EXTENT
        values = {"s": self._scores[rows], "k": self.objects.labels[rows].astype(np.float64)}
        return TileLayer(name, rows, units, values | (more or {}))

    def _corners(self, rows: Ints) -> Floats:
        """Return where the corners of objects lie on the square: (M, 4, 2)."""
        return self._frame.to_square(self.objects.select(rows).corners)

    def _is_in(self, view: Sequence[float]) -> Bools:
        west, north, east, south = view
        u, v = self._centres.T
        return np.asarray((u >= west) & (u <= east) & (v >= north) & (v <= south), np.bool_)

    @cached_property
    def _scores_by_class(self) -> list[Floats]:
        """The scores of each class, rising."""
        labels = self.objects.labels
        return [np.sort(self._scores[labels == label]) for label in range(len(self.classes))]

    @cached_property
    def _sizes(self) -> Floats:
        sides = self.objects.boxes[:, 2:] - self.objects.boxes[:, :2]
        return np.sqrt(sides[:, 0] * sides[:, 1])

    @cached_property
    def _size_bins(self) -> Ints:
        bins = self._sizes / max(self.largest_size, 1e-12) * _BINS
        return np.minimum(bins.astype(np.int64), _BINS - 1)

    @cached_property
    def _ranked(self) -> Ints:
        return np.argsort(-self._scores, kind="stable")

    @cached_property
    def _rank_of(self) -> Ints:
        ranks = np.empty(len(self), np.int64)
        ranks[self._ranked] = np.arange(len(self))
        return ranks
