"""Formats in the pixels of each scene: COCO results and YOLO text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from geodet.errors import OutputError
from geodet.files.pending import PendingOutput
from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.geometry.written_scores import written_scores
from geodet.vector.formats import YOLO_ABOUT, YOLO_CLASSES, YOLO_FILES
from geodet.vector.rows import FileLayer, iter_slices
from geodet.vector.writer import ROWS_AT_ONCE, DetectionWriter

__all__ = ["CocoWriter", "YoloWriter", "check_yolo_names"]


class CocoWriter(DetectionWriter):
    """Writes COCO results: a list of boxes, by the numbers of the image and the category.

    Images are numbered from 1 in the order of the scenes, categories from 1 in the order of the
    classes. Two keys that COCO does not have, ``file_name`` and ``category``, name them.
    """

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        self._numbers: dict[tuple[str, GeoBox], int] = {}  # scenes of two folders may share a name
        self._file = self._temporary.open("w", encoding="utf-8")
        self._file.write("[")
        self._separator = "\n"

    def _finish(self) -> None:
        self._file.write("\n]\n")
        self._file.close()

    def _close(self) -> None:
        self._file.close()

    def _add(self, part: SceneDetections) -> None:
        image = self._numbers.setdefault((part.scene, part.geobox), len(self._numbers) + 1)
        for few in iter_slices(part, ROWS_AT_ONCE):
            for entry in self._to_entries(few, image):
                self._file.write(self._separator + json.dumps(entry, ensure_ascii=False))
                self._separator = ",\n"

    def _to_entries(self, part: SceneDetections, image: int) -> list[dict[str, object]]:
        found = part.detections
        scores = written_scores(found.scores).tolist()
        columns = (found.boxes.tolist(), scores, found.labels.tolist())
        shapes = found.corners.reshape(-1, 8).round(3).tolist() if self._layer.oriented else []
        outlines = [{"segmentation": [shape]} for shape in shapes] or [{}] * len(found)
        return [
            {
                "image_id": image,
                "category_id": label + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": score,
                "file_name": part.scene,
                "category": self._layer.classes[label],
            }
            | outline
            for (x1, y1, x2, y2), score, label, outline in zip(*columns, outlines, strict=True)
        ]


class YoloWriter(DetectionWriter):
    """Writes a folder of YOLO text: a file per scene, ``classes.txt`` and ``geodet.json``.

    A line is the class from 0, then centre x, centre y, width and height as shares of the scene's
    sides, or x and y of the four corners of an oriented box, then the score. A scene without
    objects has an empty file. ``geodet.json`` has the metadata and lists the files, so that
    ``overwrite`` removes no other one.
    """

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        self._known: dict[str, tuple[str, GeoBox]] = {}
        self._name = ""
        self._file: TextIOWrapper | None = None
        names = "".join(f"{name}\n" for name in layer.classes)
        (self._temporary / YOLO_CLASSES).write_text(names, encoding="utf-8")

    def _finish(self) -> None:
        self._close()
        about = {**self._layer.metadata, YOLO_FILES: [YOLO_CLASSES, *self._known]}
        text = json.dumps(about, indent=1, ensure_ascii=False)
        (self._temporary / YOLO_ABOUT).write_text(text, encoding="utf-8")

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _add(self, part: SceneDetections) -> None:
        file = self._open(part)
        width, height = part.geobox.width, part.geobox.height
        found = part.detections
        shares_of_all = self._shares(found, width, height).tolist()
        scores = written_scores(found.scores).tolist()
        columns = (found.labels.tolist(), shares_of_all, scores)
        for label, shares, score in zip(*columns, strict=True):
            file.write(f"{label} {' '.join(map(repr, shares))} {score}\n")

    def _shares(self, found: Detections, width: int, height: int) -> Floats:
        """Return centre and sides as shares of a scene, (N, 4), or (N, 8) corners."""
        sides = np.array([width, height], np.float64)
        if self._layer.oriented:
            return (found.corners / sides).reshape(-1, 8)
        low, high = found.boxes[:, :2], found.boxes[:, 2:]
        return np.hstack([(low + high) / 2 / sides, (high - low) / sides])

    def _open(self, part: SceneDetections) -> TextIOWrapper:
        """Return the open file of a scene; parts of several scenes may alternate."""
        name = _file_name(part.scene)
        known = self._known.setdefault(name, (part.scene, part.geobox))
        if name == YOLO_CLASSES or known != (part.scene, part.geobox):
            raise _shared_file_error(self._layer.path / name, part.scene)
        if self._file is None or name != self._name:
            self._close()
            self._file = (self._temporary / name).open("a", encoding="utf-8")
            self._name = name
        return self._file


def check_yolo_names(folder: Path, scenes: Sequence[str]) -> None:
    """Check that each scene gets a file of its own in a folder of YOLO text.

    Args:
        folder: The output.
        scenes: Different names.

    Raises:
        OutputError: Two scenes would share a file, or one has the name of the file of classes.
    """
    taken = {YOLO_CLASSES}
    for scene in scenes:
        name = _file_name(scene)
        if name in taken:
            raise _shared_file_error(folder / name, scene)
        taken.add(name)


def _file_name(scene: str) -> str:
    return f"{Path(scene).stem}.txt"


def _shared_file_error(file: Path, scene: str) -> OutputError:
    return OutputError(
        f"{file} would hold detections of {scene} and something else",
        hint="write scenes whose names differ in the extension alone to a folder each",
        path=file,
    )
