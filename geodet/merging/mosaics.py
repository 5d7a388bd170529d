"""Suppression of duplicates between overlapping scenes, scene after scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from geodet.files.closable import Closing
from geodet.files.spilled_arrays import SpilledArrays
from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.merging.footprints import find_footprints, is_meeting
from geodet.merging.met_boxes import ROW_BITS, MetPairs, settle_pairs
from geodet.merging.placed_boxes import MosaicBoxes, corner_bounds, iter_met_pairs

__all__ = ["MosaicJoiner"]

_MOST_BYTES = 256 * 2**20
_AT_ONCE = 500_000  # boxes that are placed on the ground at once, in 50 MB
_FEW_PAIRS = 50_000
_ROW = (1 << ROW_BITS) - 1


class MosaicJoiner(Closing):
    """Keeps the strongest detection of each object that several scenes show.

    Equal to the definition: take the strongest box of all scenes left, drop those of its class in
    *other* scenes that overlap it by more than the threshold, repeat. Boxes of one scene do not
    compete, since their duplicates are gone already. Overlap is measured on the ground in the CRS
    of the layer, between the boxes themselves: under a rotation their bounds would be up to twice
    as large, and join neighbours. Equal scores are taken by position, then by the scene's name, so
    the order of scenes of one CRS does not matter.

    Scenes without a georeference all begin at (0, 0) and are not compared.

    Scenes come one by one. What is yielded is final: a scene when all scenes that overlap it have
    come, no box of it waits for a box of a scene that is to come, and all scenes before it have
    been yielded. So the rows and their order do not depend on what waits meanwhile: in a mosaic
    whose scenes come row by row, about a row of scenes. Memory holds at most 256 MB of it, and a
    temporary file the rest; only the pairs that cannot be decided yet all stay in memory.

    Args:
        scenes: All scenes, each with any detections.
        iou_threshold: IoU above which the weaker box is dropped.
        folder: Where to create the temporary file; None: the system's folder for them.
        most_bytes: Bytes of detections that may wait in memory; more wait in a file.

    Raises:
        OutputError: Only some scenes have a CRS.
        ValueError: There are no scenes.
    """

    def __init__(
        self,
        scenes: Sequence[SceneDetections],
        *,
        iou_threshold: float,
        folder: Path | None = None,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        geoboxes = [scene.geobox for scene in scenes]
        self.footprints = find_footprints(geoboxes, common_crs(scenes))
        """The geoboxes of the scenes."""
        self._names = [scene.scene for scene in scenes]
        self._name_ranks = np.argsort(np.argsort(self._names, kind="stable"), kind="stable")
        self._iou_threshold = iou_threshold
        self._held = SpilledArrays(folder, most_bytes=most_bytes)
        self._missing = np.array([len(near) + 1 for near in self.footprints.neighbours])
        self._dropped: dict[int, Bools] = {}
        self._failed: set[int] = set()
        self._oriented = False
        self._open: dict[tuple[int, int], MetPairs] = {}  # of two scenes that others may yet meet
        self._pairs: list[MetPairs] = []
        self._most_pairs = _FEW_PAIRS
        self._undecided: set[int] = set()
        self._next = 0

    def add(self, number: int, found: Sequence[Detections]) -> Iterator[SceneDetections]:
        """Add a scene, and yield the detections of the scenes that become final with it.

        Args:
            number: The scene, from 0; each comes once, in any order.
            found: Its detections, in any number of parts; none for a scene that failed.

        Yields:
            The scenes in their order, each with what is left of its detections in its order;
            nothing for a scene without parts.

        Raises:
            OutputError: The temporary file cannot be written.
        """
        near = self.footprints.neighbours[number]
        self._missing[[number, *near]] -= 1
        if number == self._next and not len(near):  # the usual case needs no memory
            yield from (self._part(number, part) for part in found)
            self._next += 1
        else:
            self._hold(number, found)
        closed = [one for one in (number, *near.tolist()) if not self._missing[one]]
        self._pairs += self._take_pairs(closed)
        if closed and (self._is_complete(self._next) or self._has_many_pairs()):
            self._settle()  # not for every scene: the pairs that stay are looked at again
        yield from self._iter_final()

    def close(self) -> None:
        """Remove the temporary file."""
        self._held.close()

    def _hold(self, number: int, found: Sequence[Detections]) -> None:
        """Keep a scene, and pair its boxes with those of the scenes that have come."""
        whole = Detections.concatenate(found)
        placed = list(self._iter_shared(number, whole.corners))
        rows, corners = map(np.concatenate, zip(*placed, strict=True))
        self._held.add(number, (whole.shapes, whole.scores, whole.labels, rows, corners))
        self._oriented |= whole.oriented is not None
        self._dropped[number] = np.zeros(len(whole), np.bool_)
        if not len(found):
            self._failed.add(number)
            return
        near = self.footprints.neighbours[number].tolist()
        come = [other for other in near if other in self._dropped]
        ours = self._shared_boxes(number, np.full(4, np.nan))
        extent = self.footprints.extents[number]
        theirs = [self._shared_boxes(other, extent) for other in come]
        if len(ours) and any(map(len, theirs)):
            others = MosaicBoxes.concatenate(theirs)
            ranks, threshold = self._name_ranks, self._iou_threshold
            met = iter_met_pairs(ours, others, ranks, threshold)
            self._note_pairs(number, np.concatenate([np.zeros((0, 2), np.int64), *met]))

    def _iter_shared(self, number: int, pixels: Floats) -> Iterator[tuple[Ints, Floats]]:
        """Yield the rows of the boxes that lie in footprints of others, and their corners."""
        near = self.footprints.neighbours[number].tolist()
        for start in range(0, max(len(pixels), 1), _AT_ONCE):
            corners = self.footprints.place(number, pixels[start : start + _AT_ONCE])
            bounds, shared = corner_bounds(corners), np.zeros(len(corners), np.bool_)
            for other in near:
                shared |= is_meeting(bounds, self.footprints.extents[other])
            rows = np.flatnonzero(shared)
            yield rows + start, corners[rows]

    def _shared_boxes(self, number: int, extent: Floats) -> MosaicBoxes:
        """Return the boxes that a scene shares with an extent and others, and may yet keep."""
        _, scores, labels, rows, corners = self._held.read(number)
        bounds = corner_bounds(corners)
        near = np.flatnonzero(is_meeting(bounds, extent) & ~self._dropped[number][rows])
        return MosaicBoxes(
            Detections(bounds[near], scores[rows[near]], labels[rows[near]]),
            corners[near],
            np.full(len(near), self.footprints.is_upright(number) and not self._oriented),
            np.full(len(near), number),
            rows[near],
        )

    def _note_pairs(self, number: int, pairs: MetPairs) -> None:
        """Keep the pairs of a scene with each of the others, until one of the two is closed."""
        others = (pairs >> ROW_BITS).sum(axis=1) - number
        order = np.argsort(others, kind="stable")
        starts = np.flatnonzero(np.diff(others[order], prepend=-1))
        for rows in np.split(order, starts[1:]) if len(order) else []:
            self._open[_couple(number, int(others[rows[0]]))] = pairs[rows]

    def _take_pairs(self, closed: Iterable[int]) -> Iterator[MetPairs]:
        """Yield the pairs of scenes that no other will meet, without those that are decided."""
        for one in closed:
            for other in self.footprints.neighbours[one].tolist():
                pairs = self._open.pop(_couple(one, other), None)
                if pairs is not None:
                    yield pairs[~self._are_dropped(pairs, (one, other)).any(axis=1)]

    def _are_dropped(self, pairs: MetPairs, scenes: Iterable[int]) -> Bools:
        """Whether the boxes of pairs are dropped, as far as they are of these scenes: (P, 2)."""
        dropped = np.zeros(pairs.shape, np.bool_)
        for scene in scenes:
            here = pairs >> ROW_BITS == scene
            dropped[here] = self._dropped[scene][pairs[here] & _ROW]
        return dropped

    def _has_many_pairs(self) -> bool:
        return sum(map(len, self._pairs)) > self._most_pairs

    def _settle(self) -> None:
        """Decide the pairs that no scene still to come can change."""
        pairs = np.concatenate([np.zeros((0, 2), np.int64), *self._pairs])
        ids, left = settle_pairs(pairs, self._missing > 0)
        self._pairs, self._most_pairs = [left], max(2 * len(left), _FEW_PAIRS)
        self._undecided = set(np.unique(left >> ROW_BITS).tolist())
        starts = np.flatnonzero(np.diff(ids >> ROW_BITS, prepend=-1))
        for few in np.split(ids, starts[1:]) if len(ids) else []:
            self._dropped[int(few[0]) >> ROW_BITS][few & _ROW] = True

    def _is_complete(self, number: int) -> bool:
        """Whether a scene is held, and all that overlap it have come."""
        return number in self._dropped and not self._missing[number]

    def _iter_final(self) -> Iterator[SceneDetections]:
        while self._is_complete(self._next) and self._next not in self._undecided:
            shapes, scores, labels, *_ = self._held.read(self._next)
            kept = ~self._dropped.pop(self._next)
            self._held.remove(self._next)
            if self._next not in self._failed:
                whole = Detections.of_shapes(shapes, scores, labels)
                yield self._part(self._next, whole.select(kept))
            self._next += 1

    def _part(self, number: int, found: Detections) -> SceneDetections:
        return SceneDetections(self._names[number], self.footprints.geoboxes[number], found)


def _couple(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)
