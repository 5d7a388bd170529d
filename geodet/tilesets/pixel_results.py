"""Read detections in the pixels of their images: COCO results and YOLO text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geodet.documents.values import finite_number, member, plain_word, shown, whole_number
from geodet.errors import TilesetError, VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import box_corners
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import fit_labels, oriented_corners
from geodet.tilesets.coco_shapes import single_outline
from geodet.tilesets.doubtful_labels import note_doubtful_form
from geodet.tilesets.label_documents import read_json_labels, read_text
from geodet.tilesets.labels import LabelledImage
from geodet.tilesets.outlines import bounds_of
from geodet.tilesets.parsed_labels import FARTHEST_PX, Box, BoxForm, Point
from geodet.tilesets.scene_labels import SceneLabels, ScoredObjects
from geodet.tilesets.yolo import read_names

__all__ = [
    "PixelObjects",
    "PixelResults",
    "is_pixel_results",
    "note_doubtful_results",
    "read_pixel_results",
]

_NAMES = "classes.txt"
_COCO_HINT = "each needs file_name, category, bbox and score, as geodet detect writes them"
_YOLO_HINT = "a line is: class index, centre x, centre y, width, height, score"


@dataclass(frozen=True, slots=True)
class PixelObjects:
    """Detections of one image."""

    boxes: Floats
    """(N, 4) x1 y1 x2 y2 in pixels of the image."""
    scores: Floats
    """(N,) in [0, 1]."""
    names: tuple[str, ...]
    """Class of each object."""
    oriented: Floats | None = None
    """(N, 5) oriented boxes; None: none stands at an angle."""

    @property
    def corners(self) -> Floats:
        """(N, 4, 2) corners of the boxes."""
        return box_corners(self.boxes) if self.oriented is None else oriented_corners(self.oriented)

    def placed(self, geobox: GeoBox) -> ScoredObjects:
        """Return the objects in the world coordinates of the image."""
        shapes = np.asarray(shapely.polygons(geobox.to_world(self.corners)), np.object_)
        return ScoredObjects(SceneLabels(shapes, self.names), self.scores, ())


@dataclass(frozen=True, slots=True)
class _Detection:
    """One detection: a line of YOLO text, or an entry of COCO results."""

    name: str
    """Name of the class."""
    box: Box
    """x1 y1 x2 y2, in pixels or in shares of the image's sides."""
    score: float
    """In [0, 1]."""
    quad: Sequence[Point] = ()
    """Its four corners, if the results have them."""


@dataclass(frozen=True, slots=True)
class PixelResults:
    """Detections of many images."""

    path: Path
    """The file, or the folder."""
    by_image: Mapping[str, Sequence[_Detection]]
    """Detections by the name of the image file; for YOLO text by the name without its suffix."""
    are_shares: bool
    """Whether boxes are shares of the image's sides."""

    def of(self, image: str, size: tuple[int, int]) -> PixelObjects:
        """Return the detections of one image.

        COCO results list no images without detections, so an image that they do not contain has
        none.

        Args:
            image: Name of its file.
            size: Its width and height.

        Raises:
            VectorError: YOLO text has no file for the image.
        """
        key = Path(image).stem if self.are_shares else image
        if self.are_shares and key not in self.by_image:
            raise VectorError(
                f"{self.path} has no {key}.txt with the detections of {image}",
                hint="an image without detections needs an empty file",
                path=self.path,
            )
        found = self.by_image.get(key, [])
        boxes = np.array([one.box for one in found], np.float64).reshape(-1, 4)
        unit = np.array([*size, *size], np.float64) if self.are_shares else 1.0
        scores = np.array([one.score for one in found], np.float64)
        sides = size if self.are_shares else (1, 1)
        quads = {
            row: [(x * sides[0], y * sides[1]) for x, y in one.quad]
            for row, one in enumerate(found)
            if one.quad
        }
        oriented = fit_labels(boxes * unit, quads)
        names = tuple(one.name for one in found)
        return PixelObjects(boxes * unit, scores, names, oriented)


def is_pixel_results(path: Path) -> bool:
    """Whether a path is COCO results (a JSON list) or a folder of YOLO text, and no vector file."""
    if path.is_dir():
        return (path / _NAMES).is_file()
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def read_pixel_results(path: Path, *, score_field: str = "score") -> PixelResults:
    """Read COCO results or YOLO text, written by detect or by another program.

    Args:
        path: A file of COCO results with the names of images and classes, or a folder with
            ``classes.txt`` and a text file for each image.
        score_field: Key of the score in COCO results; empty: every detection has score 1, in either
            format.

    Raises:
        VectorError: The file is broken, a score is missing or not in [0, 1], or two images have the
            same name.
    """
    try:
        by_image = _read_yolo(path, score_field) if path.is_dir() else _read_coco(path, score_field)
    except TilesetError as error:
        raise VectorError(str(error), hint=error.hint) from error
    return PixelResults(path, by_image, path.is_dir())


def note_doubtful_results(
    results: PixelResults, found: Sequence[PixelObjects], images: Sequence[LabelledImage]
) -> list[str]:
    """Note boxes that were probably written in another form: all of them would count as wrong.

    Args:
        results: The detections.
        found: Those of each image.
        images: The images.

    Returns:
        One text, or none.
    """
    upright = [(i, one) for i, one in zip(images, found, strict=True) if one.oriented is None]
    counts = [len(one.boxes) for _, one in upright]
    if not sum(counts):
        return []
    boxes = np.concatenate([one.boxes for _, one in upright])
    sides = boxes[:, 2:] - boxes[:, :2]
    first = boxes[:, :2] + sides / 2 if results.are_shares else boxes[:, :2]
    sizes = np.repeat(np.array([(i.width, i.height) for i, _ in upright], np.float64), counts, 0)
    places = np.repeat([f"one of {i.path.name}" for i, _ in upright], counts).tolist()
    form: BoxForm = "centres" if results.are_shares else "sizes"
    return note_doubtful_form(form, np.hstack([first, sides]), sizes, places, results.path)


def _read_coco(path: Path, score_field: str) -> dict[str, list[_Detection]]:
    entries = read_json_labels(path)
    if not isinstance(entries, list):
        raise VectorError(f"{path} is not a list of results", hint=_COCO_HINT, path=path)
    by_image: dict[str, list[_Detection]] = {}
    numbers: dict[str, Any] = {}
    for row, entry in enumerate(entries, start=1):
        try:
            image = Path(member(entry, "file_name", str)).name
            found = _to_detection(entry, score_field)
        except ValueError as error:
            raise VectorError(
                f"{path}, result {row}: {error}", hint=_COCO_HINT, path=path
            ) from error
        if numbers.setdefault(image, entry.get("image_id")) != entry.get("image_id"):
            raise VectorError(
                f"{path}, result {row}: two images have the name {shown(image)}",
                hint="write the results of each folder to a separate file",
                path=path,
            )
        by_image.setdefault(image, []).append(found)
    return by_image


def _to_detection(entry: Mapping[str, Any], score_field: str) -> _Detection:
    values = member(entry, "bbox", list)
    if len(values) != 4:
        raise ValueError(f"the bbox {shown(values)} is not four numbers")
    for key in ("category", score_field or "category"):
        if key not in entry:
            raise ValueError(f"it has no {key}")
    x, y, width, height = (finite_number(value) for value in values)
    score = finite_number(entry[score_field]) if score_field else 1.0
    box = x, y, x + width, y + height
    return _checked(plain_word(entry["category"]), box, score, single_outline(entry))


def _read_yolo(folder: Path, score_field: str) -> dict[str, list[_Detection]]:
    names, _ = read_names([folder], folder)
    by_image = {}
    for file in sorted(folder.glob("*.txt")):
        if file.name != _NAMES:
            lines = enumerate(read_text(file).splitlines(), start=1)
            filled = [(line, f"{file}, line {row}") for row, line in lines if line.strip()]
            by_image[file.stem] = [
                _parse(line, where, names, score_field) for line, where in filled
            ]
    return by_image


def _parse(line: str, where: str, names: Sequence[str], score_field: str) -> _Detection:
    try:
        number, *shares = line.split()
        if not number.removeprefix("-").isdigit():
            raise ValueError(f"the class {shown(number)} is not a class number")
        if len(shares) < 4:
            raise ValueError(f"{len(shares)} numbers after the class")
        label, values = whole_number(number), [float(share) for share in shares]
        quad = list(zip(values[:8:2], values[1:8:2], strict=True)) if len(values) >= 8 else []
        if quad:
            scores, box = values[8:], bounds_of(quad)
        else:
            x, y, w, h, *scores = values
            box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        if not 0 <= label < len(names):
            raise ValueError(f"class {label} is not one of the {len(names)} in {_NAMES}")
        if len(scores) > 1 or (score_field and not scores):
            raise ValueError(f"{len(shares)} numbers after the class")
        return _checked(names[label], box, scores[0] if score_field else 1.0, quad)
    except ValueError as error:
        raise VectorError(f"{where}: {error}", hint=_YOLO_HINT) from error


def _checked(name: str, box: Box, score: float, quad: Sequence[Point]) -> _Detection:
    """Return a detection, after checking its box and score."""
    if not np.isfinite(box).all():
        raise ValueError(f"the box {box} is not finite")
    if max(map(abs, box)) > FARTHEST_PX:
        raise ValueError(f"the box {box} is beyond any image")
    if not 0 <= score <= 1:
        raise ValueError(f"the score {score:g} is not in [0, 1]")
    return _Detection(name, box, score, quad)
