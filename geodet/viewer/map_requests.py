"""The requests of the page: addresses, and the answer to each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from geodet.errors import GeodetError
from geodet.geometry.arrays import Bools
from geodet.viewer.review_desk import ReviewDesk
from geodet.viewer.shown_layer import ShownLayer
from geodet.viewer.shown_scene import ShownScene

__all__ = ["Answer", "MapRequests", "guarded", "read_page_file"]

_PAGE = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES = {path.relative_to(_PAGE).as_posix(): path for path in _PAGE.rglob("*") if path.is_file()}
_TILE = r"(\d{1,2})/(\d{1,9})/(\d{1,9})"


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request."""

    status: int
    """Status code of HTTP."""
    kind: str
    """The type of the content."""
    content: bytes
    """The content."""

    @staticmethod
    def of_json(value: Any, status: int = 200) -> Answer:
        """Return an answer in JSON."""
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        return Answer(status, "application/json", text.encode())


_NOTHING = Answer(204, "text/plain", b"")
_UNKNOWN = Answer(404, "text/plain", b"there is no such address")

_Query = Mapping[str, str]


def read_page_file(name: str) -> Answer | None:
    """Return a file of the page itself, None where it has none of this name."""
    path = _FILES.get(name or "index.html")
    if path is None:
        return None
    return Answer(200, _TYPES.get(path.suffix, "text/plain; charset=utf-8"), path.read_bytes())


class MapRequests:
    """Answers the page; from several threads.

    Args:
        shown: What the map shows.
        settings: Further entries of what the page is told at its start.
        desk: Decides on objects; None: they are only looked at.
    """

    def __init__(
        self,
        shown: ShownScene,
        settings: Mapping[str, Any] | None = None,
        *,
        desk: ReviewDesk | None = None,
    ) -> None:
        self._shown, self._desk = shown, desk
        self._settings = dict(settings or {})
        names = "|".join(shown.layers) or "none"
        self._routes: list[tuple[re.Pattern[str], Callable[..., Answer]]] = [
            (re.compile(r"about\.json"), self._about),
            (re.compile(r"scene/ready"), self._ready),
            (re.compile(rf"scene/{_TILE}\.png"), self._picture),
            (re.compile(rf"({names})/{_TILE}\.mvt"), self._objects),
            (re.compile(rf"({names})/count"), self._count),
            (re.compile(rf"({names})/step"), self._step),
            (re.compile(rf"({names})/(\d{{1,12}})"), self._object),
        ]

    def answer(self, address: str) -> Answer:
        """Return the answer to an address, without the token that it begins with."""
        parts = urlsplit(address)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if file := read_page_file(parts.path):
            return file
        for pattern, respond in self._routes:
            if match := pattern.fullmatch(parts.path):
                return guarded(partial(respond, query, *match.groups()))
        return _UNKNOWN

    def receive(self, address: str, content: bytes) -> Answer:
        """Run the action that the page requests; there is one address for all actions."""
        if self._desk is None or address != "reviews":
            return _UNKNOWN
        desk = self._desk
        return guarded(lambda: Answer.of_json(desk.act(_to_request(content))))

    def _about(self, _query: _Query) -> Answer:
        reviews = None if self._desk is None else self._desk.describe()
        return Answer.of_json(self._shown.describe() | self._settings | {"reviews": reviews})

    def _ready(self, _query: _Query) -> Answer:
        """Answer when the overview of the scene is read."""
        return Answer.of_json({"is_ready": self._shown.pictures.wait()})

    def _picture(self, _query: _Query, z: str, x: str, y: str) -> Answer:
        picture = self._shown.pictures.read(int(z), int(x), int(y))
        return _NOTHING if picture is None else Answer(200, "image/png", picture)

    def _objects(self, query: _Query, name: str, z: str, x: str, y: str) -> Answer:
        at = float(query.get("at", "0"))
        tile = self._shown.layers[name].tile(int(z), int(x), int(y), at=at)
        return Answer(200, "application/vnd.mapbox-vector-tile", tile) if tile else _NOTHING

    def _count(self, query: _Query, name: str) -> Answer:
        layer = self._shown.layers[name]
        view = [float(value) for value in query["view"].split(",")] if "view" in query else None
        if view is not None and len(view) != 4:
            raise ValueError("view has four numbers")
        counts = layer.counts(float(query.get("at", "0")), view, _shown_classes(query, layer))
        return Answer.of_json(
            {"classes": counts.by_class, "view": counts.in_view, "sizes": counts.sizes}
        )

    def _step(self, query: _Query, name: str) -> Answer:
        layer = self._shown.layers[name]
        start = int(query["from"]) if "from" in query else None
        if start is not None and not 0 <= start < len(layer):
            return _UNKNOWN
        forward = query.get("by", "1") != "-1"
        at, shown = float(query.get("at", "0")), _shown_classes(query, layer)
        desk = self._desk if name == "objects" and "undecided" in query else None
        decided = () if desk is None else desk.decided()
        found = layer.step(start, forward, at, shown, without=decided)
        if found is None:
            return _NOTHING
        rank, count = layer.rank(found, at, shown)
        return Answer.of_json(layer.describe(found) | {"rank": rank, "of": count})

    def _object(self, _query: _Query, name: str, row: str) -> Answer:
        layer = self._shown.layers[name]
        return Answer.of_json(layer.describe(int(row))) if int(row) < len(layer) else _UNKNOWN


def _shown_classes(query: _Query, layer: ShownLayer) -> Bools:
    """Return which classes are shown: all but those that the address says are hidden."""
    shown = np.ones(len(layer.classes), np.bool_)
    hidden = [int(number) for number in query.get("hidden", "").split(",") if number]
    shown[[number for number in hidden if 0 <= number < len(shown)]] = False
    return shown


def _to_request(content: bytes) -> dict[str, Any]:
    """Parse a request of the page."""
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("a request is an object of JSON")
    return value


def guarded(respond: Callable[[], Answer]) -> Answer:
    """Return an answer, or what is wrong with a request or a file."""
    try:
        return respond()
    except GeodetError as error:
        return Answer.of_json({"error": str(error), "hint": error.hint}, 422)
    except ValueError as error:
        return Answer.of_json({"error": f"the request is wrong: {error}", "hint": ""}, 400)
