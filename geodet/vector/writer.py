"""What all writers of detections share: parts come in, in any number, and go out in order."""

from __future__ import annotations

import contextlib
import sqlite3
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pyogrio.errors import DataLayerError, DataSourceError

from geodet.errors import GeodetError, OutputError
from geodet.files.closable import Closing
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.layer import VectorLayer
from geodet.vector.rows import Rows, iter_slices, to_rows, warn_of_transformation

__all__ = ["ROWS_AT_ONCE", "DetectionWriter", "RowWriter", "raising_os_errors"]

ROWS_AT_ONCE = 50_000
"""Rows that are held before they are written: about 30 MB of Python's objects."""


class DetectionWriter(Closing):
    """Writes detections part by part to a file that nobody has seen yet.

    Args:
        temporary: Where to write; it becomes ``layer.path`` later, when all went well.
        layer: What the file is to hold.
    """

    def __init__(self, temporary: Path, layer: VectorLayer) -> None:
        self._temporary = temporary
        self._layer = layer
        self._scenes: set[str] = set()

    def write(self, part: SceneDetections) -> None:
        """Write detections of a scene, which may come in any number of parts.

        A scene without objects is a part, too: some formats list the scenes.

        Raises:
            OutputError: The file cannot be written, or the scene has no place in the layer.
            ValueError: A label has no class.
        """
        self._check(part)
        try:
            self._add(part)
        except GeodetError:
            raise
        except OSError as error:
            raise OutputError(
                f"cannot write {self._layer.path}: {error}",
                hint=f"check the free space and the permissions of {self._layer.path.parent}",
            ) from error

    def annotate(self, more: Mapping[str, str]) -> None:
        """Say more of how the layer was made, before it is finished.

        Args:
            more: Texts, kept where the format has a place for them.
        """
        self._layer = replace(self._layer, metadata={**self._layer.metadata, **more})

    @abstractmethod
    def finish(self) -> None:
        """Complete the file, after the last part.

        Raises:
            OSError: It cannot be written.
        """

    @abstractmethod
    def _add(self, part: SceneDetections) -> None:
        """Write a part that has been checked."""

    def _check(self, part: SceneDetections) -> None:
        labels, count = part.detections.labels, len(self._layer.classes)
        unknown = (labels < 0) | (labels >= count)
        if unknown.any():
            raise ValueError(f"label {labels[unknown][0]} of {count} classes")
        if part.scene not in self._scenes:
            self._scenes.add(part.scene)
            self._meet(part)

    def _meet(self, part: SceneDetections) -> None:
        """Look at a scene when its first part comes."""


class RowWriter(DetectionWriter):
    """A writer of rows with coordinates; it gathers small parts and cuts large ones."""

    def __init__(self, temporary: Path, layer: VectorLayer) -> None:
        super().__init__(temporary, layer)
        self._waiting: list[Rows] = []

    def finish(self) -> None:
        """Complete the file, after the last part."""
        self._flush()
        self._complete()

    @abstractmethod
    def _add_rows(self, rows: Rows) -> None:
        """Write at least one row."""

    @abstractmethod
    def _complete(self) -> None:
        """Complete the file, after the last row."""

    def _meet(self, part: SceneDetections) -> None:
        if (part.geobox.crs is None) != (self._layer.crs is None):
            has, others = ("no", "one") if part.geobox.crs is None else ("a", "none")
            raise OutputError(
                f"{part.scene} has {has} CRS, and {self._layer.path} has {others}",
                hint="write the scenes without a CRS to a file of their own",
            )
        warn_of_transformation(part, self._layer.crs)

    def _add(self, part: SceneDetections) -> None:
        for few in iter_slices(part, ROWS_AT_ONCE):
            layer = self._layer
            self._waiting.append(to_rows(few, layer.classes, layer.crs, layer.geometry))
            if sum(map(len, self._waiting)) >= ROWS_AT_ONCE:
                self._flush()

    def _flush(self) -> None:
        if any(map(len, self._waiting)):
            self._add_rows(Rows.concatenate(self._waiting))
        self._waiting.clear()


@contextlib.contextmanager
def raising_os_errors() -> Iterator[None]:
    """Turn the errors of GDAL and SQLite, when a file cannot be written, into ``OSError``."""
    try:
        yield
    except (DataSourceError, DataLayerError, sqlite3.Error) as error:
        raise OSError(_shortened(str(error))) from error


def _shortened(message: str, length: int = 160) -> str:
    """Keep the end of a message, where GDAL names the cause after pages of SQL."""
    return message if len(message) <= length else f"... {message[-length:].lstrip()}"
