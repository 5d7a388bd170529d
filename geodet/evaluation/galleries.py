"""Pictures of true positives, false positives and misses, cut from the images of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from geodet.evaluation.measures import JudgedBoxes
from geodet.geometry.arrays import Floats, Ints
from geodet.previews.closeups import Closeup, cut_closeups
from geodet.previews.preview import select_colours
from geodet.raster.scene import Scene
from geodet.reports.parts import Gallery, MarkedBox, Picture
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import LabelledImage

__all__ = ["SceneOpener", "build_galleries", "show_image", "show_scene"]

SceneOpener = Callable[[], Scene]
"""Opens an image with the bands to show."""

_MOST = 18  # pictures of a kind
_MOST_BOXES = 80  # drawn over a picture
_STYLES = {"true_positives": "right", "false_positives": "wrong", "misses": "missed"}
_TITLES = {
    "false_positives": ("Worst false positives", "Those with the highest scores."),
    "misses": ("Misses", "From the largest object to the smallest, evenly chosen."),
    "true_positives": ("True positives", "From the highest score to the lowest, evenly chosen."),
}


def build_galleries(
    judged: Sequence[Mapping[str, JudgedBoxes]],
    names: Sequence[str],
    openers: Sequence[SceneOpener],
    classes: Sequence[str],
) -> list[Gallery]:
    """Cut at most 18 pictures of each kind, with all boxes around drawn over them.

    Args:
        judged: True positives, false positives and misses of each image.
        names: Names of the images.
        openers: Open the images.
        classes: Names of the classes, by label.

    Raises:
        SceneError: An image cannot be read.
    """
    chosen = {kind: _choose(kind, [one[kind] for one in judged]) for kind in _TITLES}
    pictures: dict[tuple[str, int, int], Picture] = {}
    wanted = [(kind, *place) for kind, places in chosen.items() for place in places]
    for image in sorted({image for _, image, _ in wanted}):
        here = [place for place in wanted if place[1] == image]
        boxes = np.array([judged[image][kind].boxes[row] for kind, _, row in here])
        with openers[image]() as scene:
            for place, closeup in zip(here, cut_closeups(scene, boxes), strict=True):
                pictures[place] = _to_picture(closeup, judged[image], place, names[image], classes)
    return [
        Gallery(title, tuple(pictures[kind, image, row] for image, row in chosen[kind]), note)
        for kind, (title, note) in _TITLES.items()
    ]


def show_image(image: LabelledImage, bands: Sequence[int]) -> SceneOpener:
    """Return what opens a labelled image with the bands that a picture shows."""

    def open_shown() -> Scene:
        scene = open_image(image, bands)
        select_colours(scene, bands)
        return scene

    return open_shown


def show_scene(path: Path) -> SceneOpener:
    """Return what opens a scene with the bands that a picture shows."""

    def open_shown() -> Scene:
        scene = Scene(path)
        select_colours(scene)
        return scene

    return open_shown


def _choose(kind: str, parts: Sequence[JudgedBoxes]) -> list[tuple[int, int]]:
    """Return the image and the row of the boxes to show."""
    images = np.repeat(np.arange(len(parts)), [len(part.labels) for part in parts])
    rows = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(p.labels)) for p in parts)])
    sizes = [np.prod(_sides(part), axis=1) for part in parts]
    keys = sizes if kind == "misses" else [part.scores for part in parts]
    order = np.argsort(-np.concatenate([np.zeros(0), *keys]), kind="stable")
    if kind != "false_positives":
        order = _evenly(order)
    return [(int(images[row]), int(rows[row])) for row in order[:_MOST]]


def _sides(part: JudgedBoxes) -> Floats:
    """Return the sides of boxes: (R, 2)."""
    turned = part.oriented
    return part.boxes[:, 2:] - part.boxes[:, :2] if turned is None else turned[:, 2:4]


def _evenly(order: Ints) -> Ints:
    """Return at most as many as are shown, evenly spread, the first and the last among them."""
    count = min(len(order), _MOST)
    return order[np.linspace(0, max(len(order) - 1, 0), count).round().astype(np.int64)]


def _to_picture(
    closeup: Closeup,
    boxes: Mapping[str, JudgedBoxes],
    place: tuple[str, int, int],
    name: str,
    classes: Sequence[str],
) -> Picture:
    kind, _, row = place
    part = boxes[kind]
    score = "" if kind == "misses" else f" {part.scores[row]:.2f}"
    best = "IoU" if kind == "true_positives" else "best IoU"
    marks = [mark for other in _STYLES for mark in _marks(closeup, boxes[other], other, place)]
    marks.sort(key=lambda mark: mark.is_subject)
    return Picture(
        closeup.jpeg,
        closeup.width,
        closeup.height,
        f"{classes[part.labels[row]]}{score}",
        tuple(marks[-_MOST_BOXES:]),
        f"{best} {part.iou[row]:.2f}, {name}",
    )


def _marks(
    closeup: Closeup, part: JudgedBoxes, kind: str, place: tuple[str, int, int]
) -> list[MarkedBox]:
    """Return the boxes of a kind that a picture shows."""
    moved = closeup.place(part.boxes)
    size = np.array([closeup.width, closeup.height])
    seen = np.flatnonzero(np.all((moved[:, 2:] > 0) & (moved[:, :2] < size), axis=1))
    turned = _with_angles(moved)
    if part.oriented is not None:
        turned = closeup.place_oriented(part.oriented)
    return [
        _to_mark(turned[row], _STYLES[kind], is_subject=(kind, row) == (place[0], place[2]))
        for row in seen.tolist()
    ]


def _with_angles(boxes: Floats) -> Floats:
    """Return boxes (R, 4) as centres, sides in their order, and angles of 0: (R, 5)."""
    low, high = np.hsplit(boxes, 2)
    return np.hstack([(low + high) / 2, high - low, np.zeros((len(boxes), 1))])


def _to_mark(oriented: Floats, style: str, *, is_subject: bool) -> MarkedBox:
    x, y, length, width, angle = oriented.tolist()
    left, top = x - length / 2, y - width / 2
    return MarkedBox(left, top, length, width, style, is_subject, math.degrees(angle))
