"""Decides on objects as the page requests, writes each decision at once, and undoes it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geodet.errors import ConfigError
from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import with_longer_side_first
from geodet.geometry.windows import Window, WindowGrid
from geodet.geometry.written_scores import written_scores
from geodet.raster.scene import Scene
from geodet.raster.scene_names import slashed_path
from geodet.reviewing.reviewed_items import (
    OrientedPx,
    ReviewedObject,
    ReviewedWindow,
    Verdict,
    bounds_of_oriented,
    corners_of_places,
)
from geodet.reviewing.reviews import ReviewFile
from geodet.reviewing.suggested_windows import read_suggestions
from geodet.viewer.map_frame import MapFrame
from geodet.viewer.review_requests import (
    LEAST_SIDE_PX,
    Request,
    requested_label,
    requested_number,
    requested_numbers,
)
from geodet.viewer.shown_layer import ShownLayer

__all__ = ["WINDOW_PX", "ReviewDesk"]

WINDOW_PX = 512
"""Side of the windows that are reviewed one by one."""


_Item = ReviewedObject | ReviewedWindow


class ReviewDesk:
    """The reviews of a scene; requests may come from several threads.

    Args:
        path: The file of reviews; made when it is not there.
        scene: The scene.
        layer: The detections that are reviewed; None: objects are only drawn.
        frame: Where the scene lies on the map.
        window_px: Side of the windows that are reviewed one by one, where the file suggests none.

    Raises:
        OutputError: The file cannot be written, or belongs to other detections.
    """

    def __init__(
        self,
        path: Path,
        scene: Scene,
        layer: ShownLayer | None,
        frame: MapFrame,
        *,
        window_px: int = WINDOW_PX,
    ) -> None:
        self._layer, self._frame, self._geobox = layer, frame, scene.geobox
        origin = "" if layer is None else _fingerprint(layer.objects)
        self._file = ReviewFile(path, slashed_path(scene.path), scene.geobox, origin=origin)
        suggested = read_suggestions(path, self._file.scene, scene.geobox)
        size = scene.geobox.width, scene.geobox.height
        self._windows: Sequence[Window] = [one.window for one in suggested] or WindowGrid(
            *size, window_px, 0
        )
        self._reasons = [one.reason for one in suggested]
        self._numbers = {window: number for number, window in enumerate(self._windows)}
        self._steps: list[tuple[Sequence[_Item], Sequence[_Item]]] = []
        self._lock = threading.Lock()
        self._deeds = {
            "judge": self._judge,
            "change": self._change,
            "add": self._add,
            "delete": self._delete,
            "window": self._mark,
        }

    def describe(self) -> dict[str, Any]:
        """Return everything that was decided, and the windows of the scene."""
        with self._lock:
            return {
                "file": self._file.path.name,
                "objects": self._to_json(self._file.objects.values()),
                "reviewed": [self._number(one) for one in self._file.windows.values()],
                "windows": [_sides(window) for window in self._windows],
                "reasons": self._reasons,
                "undo": len(self._steps),
            }

    def decided(self) -> list[int]:
        """Return the detections that have a decision."""
        with self._lock:
            return [one.source for one in self._file.objects.values() if one.source is not None]

    def act(self, request: Request) -> dict[str, Any]:
        """Carry out a request of the page, and return what changed.

        Raises:
            ValueError: The request cannot be understood.
            ConfigError: A box or a name is not usable.
            OutputError: The file cannot be written; nothing changed.
        """
        with self._lock:
            if request.get("do") == "undo":
                return self._undo()
            deed = self._deeds.get(str(request.get("do")))
            if deed is None:
                raise ValueError(f"{request.get('do')!r} is not an action")
            old, new = deed(request)
            _check_have_boxes(new)
            if old or new:
                self._file.replace(old, new)
                self._steps.append((old, new))
            return self._changed(old, new)

    def _undo(self) -> dict[str, Any]:
        if not self._steps:
            return self._changed((), ())
        old, new = self._steps[-1]
        self._file.replace(new, old)
        self._steps.pop()
        return self._changed(new, old)

    def _changed(self, old: Sequence[_Item], new: Sequence[_Item]) -> dict[str, Any]:
        return {
            "removed": [one.id for one in old if isinstance(one, ReviewedObject)],
            "put": self._to_json(one for one in new if isinstance(one, ReviewedObject)),
            "reviewed": [self._number(one) for one in self._file.windows.values()],
            "undo": len(self._steps),
        }

    def _judge(self, request: Request) -> tuple[Sequence[_Item], Sequence[_Item]]:
        """Accept or reject a detection, or take that back: without a verdict.

        Accepting one that was changed keeps the change.
        """
        source, verdict = self._source(request), request.get("verdict")
        if verdict not in ("accepted", "rejected", None):
            raise ValueError(f"{verdict!r} is not a verdict")
        old = self._of_source(source)
        if verdict == "accepted" and any(one.verdict != "rejected" for one in old):
            return [], []
        return old, [] if verdict is None else [self._detection(source, verdict)]

    def _change(self, request: Request) -> tuple[Sequence[_Item], Sequence[_Item]]:
        """Move or resize an object, or give it another class."""
        if "id" in request:
            known = self._object(request)
            old: Sequence[_Item] = [known]
            verdict: Verdict = "added" if known.verdict == "added" else "changed"
            base = replace(known, verdict=verdict)
        else:
            source = self._source(request)
            old, base = self._of_source(source), self._detection(source, "changed")
        label = requested_label(request) if "label" in request else base.label
        return old, [replace(self._reshaped(base, request), label=label)]

    def _reshaped(self, base: ReviewedObject, request: Request) -> ReviewedObject:
        """Return an object in the box of a request, if it has one."""
        if "oriented_px" in request:
            turned = self._oriented(request)
            return replace(base, box_px=bounds_of_oriented(turned), oriented_px=turned)
        if "box_px" in request:
            return replace(base, box_px=self._box(request), oriented_px=None)
        return base

    def _add(self, request: Request) -> tuple[Sequence[_Item], Sequence[_Item]]:
        """Add an object that was drawn."""
        box = self._box(request)
        new = ReviewedObject(
            self._file.take_id(), None, "added", requested_label(request), None, box
        )
        return [], [new]

    def _delete(self, request: Request) -> tuple[Sequence[_Item], Sequence[_Item]]:
        """Remove an object that was drawn; reject a detection, as it was found."""
        known = self._object(request)
        if known.source is None:
            return [known], []
        return [known], [self._detection(known.source, "rejected")]

    def _mark(self, request: Request) -> tuple[Sequence[_Item], Sequence[_Item]]:
        """Mark a window as reviewed: what is shown in it and was not judged is right.

        Objects that reach into the window from outside count, so that none of its pixels shows an
        object without a label.
        """
        number = requested_number(request, "number")
        if not 0 <= number < len(self._windows):
            raise ValueError(f"window {number} of {len(self._windows)}")
        window = self._windows[number]
        known = [one for one in self._file.windows.values() if one.window == window]
        if request.get("reviewed") is False:
            return known, []
        if known:
            return [], []
        at, hidden = request.get("at", 0), request.get("hidden", [])
        if not isinstance(at, int | float) or not isinstance(hidden, list):
            raise ValueError("a window is done at a score, without a list of classes")
        rows = self._shown_in(window, at, hidden)
        judged = {one.source for one in self._file.objects.values()}
        new = [row for row in rows if row not in judged]
        *numbers, last = self._file.take_ids(len(new) + 1)
        accepted = [
            self._detection(row, "accepted", number)
            for row, number in zip(new, numbers, strict=True)
        ]
        return [], [*accepted, ReviewedWindow(last, window)]

    def _shown_in(self, window: Window, at: float, hidden: Sequence[int]) -> list[int]:
        if self._layer is None:
            return []
        objects = self._layer.objects
        x1, y1, x2, y2 = objects.boxes.T
        across = (x2 > window.col_off) & (x1 < window.col_end)
        down = (y2 > window.row_off) & (y1 < window.row_end)
        shown = (written_scores(objects.scores) >= at) & ~np.isin(objects.labels, list(hidden))
        found: list[int] = np.flatnonzero(across & down & shown).tolist()
        return found

    def _detection(
        self, source: int, verdict: Verdict, number: int | None = None
    ) -> ReviewedObject:
        """Return a decision on a detection, as it was found; without a number it is given one."""
        assert self._layer is not None
        objects = self._layer.objects
        x1, y1, x2, y2 = objects.boxes[source].tolist()
        box, turned = (x1, y1, x2, y2), self._layer.oriented(source)
        return ReviewedObject(
            self._file.take_id() if number is None else number,
            source,
            verdict,
            self._layer.classes[int(objects.labels[source])],
            float(written_scores(objects.scores[source : source + 1])[0]),
            box if turned is None else bounds_of_oriented(turned),
            turned,
        )

    def _of_source(self, source: int) -> list[ReviewedObject]:
        return [one for one in self._file.objects.values() if one.source == source]

    def _source(self, request: Request) -> int:
        source = requested_number(request, "source")
        if self._layer is None or not 0 <= source < len(self._layer):
            raise ValueError(f"there is no detection {source}")
        return source

    def _object(self, request: Request) -> ReviewedObject:
        known = self._file.objects.get(requested_number(request, "id"))
        if known is None:
            raise ConfigError(
                "the decision on this object was taken back",
                hint="load the page again: another page has it open too",
            )
        return known

    def _box(self, request: Request) -> tuple[float, float, float, float]:
        """Return the box of a request, clipped to the scene."""
        given = requested_numbers(request, "box_px", 4)
        size = np.array([self._geobox.width, self._geobox.height] * 2)
        x1, y1, x2, y2 = np.clip(given, 0, size).round(3).tolist()
        if x2 - x1 < LEAST_SIDE_PX or y2 - y1 < LEAST_SIDE_PX:
            raise _wrong_box()
        return x1, y1, x2, y2

    def _oriented(self, request: Request) -> OrientedPx:
        """Return the oriented box of a request, whose centre has to be in the scene."""
        given = requested_numbers(request, "oriented_px", 5)
        size = np.array([self._geobox.width, self._geobox.height])
        is_inside = bool(((given[:2] >= 0) & (given[:2] <= size)).all())
        if not is_inside or given[2:4].min() < LEAST_SIDE_PX:
            raise _wrong_box()
        x, y, length, width, angle = with_longer_side_first(given[None])[0].tolist()
        return round(x, 3), round(y, 3), round(length, 3), round(width, 3), angle

    def _number(self, one: ReviewedWindow) -> int:
        """Return the number of a window in the grid; -1 for one of another grid."""
        return self._numbers.get(one.window, -1)

    def _to_json(self, items: Iterable[ReviewedObject]) -> list[dict[str, Any]]:
        """Return objects as values of JSON, with their corners on the map."""
        objects = list(items)
        corners = corners_of_places([(one.box_px, one.oriented_px) for one in objects])
        places = self._frame.to_square(corners).tolist()  # of all at once, since each call is slow
        return [
            {
                "id": one.id,
                "source": one.source,
                "verdict": one.verdict,
                "label": one.label,
                "score": one.score,
                "box_px": list(one.box_px),
                "oriented_px": None if one.oriented_px is None else list(one.oriented_px),
                "corners": place,
            }
            for one, place in zip(objects, places, strict=True)
        ]


def _fingerprint(objects: Detections) -> str:
    """Return a value that differs between files with different detections."""
    rows = np.hstack([objects.boxes.round(2), objects.labels[:, None]])
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:16]


def _wrong_box() -> ConfigError:
    return ConfigError(
        "the box is smaller than half a pixel, or outside of the scene",
        hint="draw it larger, and within the scene",
    )


def _check_have_boxes(items: Sequence[_Item]) -> None:
    """Check that no label is a point: chips would show its object without a label."""
    labels = [one for one in items if isinstance(one, ReviewedObject) and one.verdict != "rejected"]
    points = [one for one in labels if not _has_box(one)]
    if points:
        raise ConfigError(
            f"detections that are points, without a box: {len(points)}, and labels need boxes",
            hint="choose each and enlarge it with . until it fits, or draw its box and reject it; "
            "or view a file with boxes",
        )


def _has_box(one: ReviewedObject) -> bool:
    x1, y1, x2, y2 = one.box_px
    sides = (x2 - x1, y2 - y1) if one.oriented_px is None else one.oriented_px[2:4]
    return min(sides) > 0


def _sides(window: Window) -> list[int]:
    return [window.col_off, window.row_off, window.width, window.height]
