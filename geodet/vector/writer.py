"""The base of all writers of detections: parts come in any number, and are written in order."""

from __future__ import annotations

import contextlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np

from geodet.errors import OutputError
from geodet.files.outputs import raising_output_errors
from geodet.files.pending import PendingOutput
from geodet.geometry.arrays import Ints
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.images_layer import ImageCounts, write_images
from geodet.vector.not_examined import SkippedArea, write_not_examined
from geodet.vector.rows import FileLayer, Rows, iter_slices, to_rows, warn_of_transformation
from geodet.vector.searched_scenes import SearchedScenes

__all__ = ["ROWS_AT_ONCE", "DetectionWriter", "RowWriter", "raising_os_errors"]

ROWS_AT_ONCE = 5_000
"""Rows that are held before they are written: about 3 MB of Python's objects."""


class DetectionWriter(ABC):
    """Writes detections, part by part, to an output that appears when it is committed.

    As a context manager it commits at the end of the block, or aborts where the block fails.

    Args:
        output: The pending file or folder.
        layer: Properties of the layer to write.
    """

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        self._output = output
        self._temporary = output.temporary
        self._layer = layer
        self._scenes: set[str] = set()
        self._counts: dict[str, Ints] = {}
        self._not_examined: tuple[SkippedArea, ...] = ()

    def write(self, part: SceneDetections) -> None:
        """Write detections of a scene, which may come in any number of parts.

        A scene without objects is a part as well: some formats list the scenes.

        Raises:
            OutputError: The file cannot be written, or the scene does not fit the layer's CRS.
            ValueError: A label has no class.
        """
        self._check(part)
        self._counts[part.scene] += np.bincount(
            part.detections.labels, minlength=len(self._layer.classes)
        )
        with raising_output_errors(self._layer.path):
            self._add(part)

    def annotate(self, more: Mapping[str, str], searched: SearchedScenes | None = None) -> None:
        """Add metadata before the output is committed.

        Args:
            more: Texts, kept where the format has a place for them.
            searched: What became of the scenes, kept where others may be added.
        """
        metadata = {**self._layer.metadata, **more}
        self._layer = replace(self._layer, metadata=metadata, searched=searched)

    def note_not_examined(self, areas: Sequence[SkippedArea]) -> None:
        """Note areas that were not examined, before the output is committed."""
        self._not_examined = tuple(areas)

    def commit(self) -> None:
        """Complete the output and put it in its place.

        Raises:
            OutputError: It cannot be written; what was there before is unharmed.
        """
        try:
            with raising_output_errors(self._layer.path):
                self._finish()
                self._close()
                self._output.commit()
            self._write_not_examined()
            self._write_images()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Discard what was written; after :meth:`commit` this does nothing."""
        with contextlib.suppress(OSError):  # a buffer that cannot be written is discarded as well
            self._close()
        self._output.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.commit()
        else:
            self.abort()

    def _write_not_examined(self) -> None:
        """Write the areas that were not examined beside the output."""
        layer = self._layer
        write_not_examined(
            layer.path,
            self._not_examined,
            layer.crs,
            layer.photographs,
            model=layer.model,
            searched=None if layer.append is None else self._scenes,
        )

    def _write_images(self) -> None:
        """Write what is known of photographs beside the output."""
        write_images(self._layer.path, self._images)

    @property
    def _images(self) -> ImageCounts | None:
        """The photographs that were written, with their counts; None of other scenes."""
        photographs = self._layer.photographs
        if photographs is None:
            return None
        return ImageCounts.of(self._layer.classes, photographs, self._counts)

    @abstractmethod
    def _finish(self) -> None:
        """Write what comes after the last part.

        Raises:
            OSError: It cannot be written.
        """

    @abstractmethod
    def _close(self) -> None:
        """Close all files; a second call does nothing."""

    @abstractmethod
    def _add(self, part: SceneDetections) -> None:
        """Write a part that has been checked."""

    def _check(self, part: SceneDetections) -> None:
        labels, count = part.detections.labels, len(self._layer.classes)
        unknown = (labels < 0) | (labels >= count)
        if unknown.any():
            raise ValueError(f"label {labels[unknown][0]} of {count} classes")
        if part.scene not in self._scenes:
            self._begin_scene(part)

    def _begin_scene(self, part: SceneDetections) -> None:
        """Check and note a scene when its first part comes."""
        self._scenes.add(part.scene)
        self._counts[part.scene] = np.zeros(len(self._layer.classes), np.int64)


class RowWriter(DetectionWriter):
    """A writer of rows with coordinates; it joins small parts and splits large ones."""

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        self._waiting: list[Rows] = []

    def _finish(self) -> None:
        self._flush()
        self._complete()

    @abstractmethod
    def _add_rows(self, rows: Rows) -> None:
        """Write at least one row."""

    @abstractmethod
    def _complete(self) -> None:
        """Complete the file, after the last row."""

    def _begin_scene(self, part: SceneDetections) -> None:
        super()._begin_scene(part)
        if self._layer.photographs is not None:
            return
        if (part.geobox.crs is None) != (self._layer.crs is None):
            has, others = ("no", "one") if part.geobox.crs is None else ("a", "none")
            raise OutputError(
                f"{part.scene} has {has} CRS, and {self._layer.path} has {others}",
                hint="write the scenes without a CRS to a file of their own",
                path=self._layer.path,
            )
        warn_of_transformation(part, self._layer.crs)

    def _add(self, part: SceneDetections) -> None:
        for few in iter_slices(part, ROWS_AT_ONCE):
            self._waiting.append(self._to_rows(few))
            if sum(map(len, self._waiting)) >= ROWS_AT_ONCE:
                self._flush()

    def _to_rows(self, part: SceneDetections) -> Rows:
        """Compute the rows of a part."""
        return to_rows(part, self._layer)

    def _flush(self) -> None:
        if any(map(len, self._waiting)):
            self._add_rows(Rows.concatenate(self._waiting))
        self._waiting.clear()


@contextlib.contextmanager
def raising_os_errors() -> Iterator[None]:
    """Turn the errors of SQLite, when a file cannot be written, into ``OSError``."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(str(error)) from error
