"""Detections in the pixels of their scenes: results as COCO's tools read them, and YOLO's text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from geodet.errors import OutputError
from geodet.files.outputs import PendingOutput
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.formats import YOLO_ABOUT, YOLO_CLASSES, YOLO_FILES
from geodet.vector.layer import VectorLayer
from geodet.vector.rows import iter_slices
from geodet.vector.writer import ROWS_AT_ONCE, DetectionWriter

__all__ = ["CocoWriter", "YoloWriter", "check_yolo_names"]


class CocoWriter(DetectionWriter):
    """Writes COCO results: a list of boxes, by the numbers of the image and the category.

    Images are numbered from 1 as the scenes come, categories from 1 as the classes stand. Two keys
    more than COCO's own, ``file_name`` and ``category``, say what the numbers mean.
    """

    def __init__(self, output: PendingOutput, layer: VectorLayer) -> None:
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
        columns = (found.boxes.tolist(), found.scores.tolist(), found.labels.tolist())
        return [
            {
                "image_id": image,
                "category_id": label + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": round(score, 6),
                "file_name": part.scene,
                "category": self._layer.classes[label],
            }
            for (x1, y1, x2, y2), score, label in zip(*columns, strict=True)
        ]


class YoloWriter(DetectionWriter):
    """Writes a folder of YOLO text: a file a scene, ``classes.txt``, and what made it.

    A line is the class from 0, then centre x, centre y, width and height as shares of the scene's
    sides, then the score. A scene without objects has an empty file. ``geodet.json`` names the
    files, so that no other one is ever removed.
    """

    def __init__(self, output: PendingOutput, layer: VectorLayer) -> None:
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
        columns = (found.labels.tolist(), found.boxes.tolist(), found.scores.tolist())
        for label, (x1, y1, x2, y2), score in zip(*columns, strict=True):
            centre = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
            shares = *centre, (x2 - x1) / width, (y2 - y1) / height
            file.write(f"{label} {' '.join(map(repr, shares))} {round(score, 6)}\n")

    def _open(self, part: SceneDetections) -> TextIOWrapper:
        """Give the file of a scene; scenes may take turns."""
        name = _file_name(part.scene)
        known = self._known.setdefault(name, (part.scene, part.geobox))
        if name == YOLO_CLASSES or known != (part.scene, part.geobox):
            raise _shared(self._layer.path / name, part.scene)
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
        OutputError: Two would share a file, or one would be where the classes are.
    """
    taken = {YOLO_CLASSES}
    for scene in scenes:
        name = _file_name(scene)
        if name in taken:
            raise _shared(folder / name, scene)
        taken.add(name)


def _file_name(scene: str) -> str:
    return f"{Path(scene).stem}.txt"


def _shared(file: Path, scene: str) -> OutputError:
    return OutputError(
        f"{file} would be of {scene} and of something else",
        hint="write scenes with such names to a folder each",
        path=file,
    )
