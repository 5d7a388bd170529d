"""The outputs of a run, each written independently of errors in the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from geodet.detection.detect_options import DetectOptions, may_replace
from geodet.detection.scene_files import is_per_scene
from geodet.detection.scene_files_writer import SceneFilesWriter
from geodet.detection.written_files import WrittenFiles
from geodet.errors import OutputError
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.not_examined import SkippedArea
from geodet.vector.rows import Appending, VectorLayer
from geodet.vector.searched_scenes import SearchedScenes
from geodet.vector.write_detections import open_writer
from geodet.vector.writer import DetectionWriter

__all__ = ["RunOutputs"]

logger = logging.getLogger(__name__)


class RunOutputs:
    """Writers of the outputs of a run, for a ``with`` block, which discards what is not committed.

    An output that cannot be written is discarded, and the others go on. The error is raised only
    when no output is left.

    Args:
        outputs: The files; may be empty.
        layer: Properties of their layer.
        options: Formats, and whether files are replaced or appended to.
        appending: Which rows are appended.
        for_scenes: Opens the files of an output that is a pattern.
        before: What the run has written before it was interrupted.

    Raises:
        OutputError: One of the outputs cannot be begun.
    """

    def __init__(
        self,
        outputs: Sequence[Path],
        layer: VectorLayer,
        options: DetectOptions,
        appending: Appending,
        for_scenes: Callable[[Path], SceneFilesWriter],
        before: WrittenFiles,
    ) -> None:
        self.written: list[Path] = []
        """Outputs that are complete."""
        self.failed: dict[Path, OutputError] = {}
        """Why the others could not be written."""
        self._writers: dict[Path, DetectionWriter | SceneFilesWriter] = {}
        with ExitStack() as begun:
            begun.callback(self._abort)
            for output in outputs:
                if is_per_scene(output):
                    self._writers[output] = for_scenes(output)
                    continue
                self._writers[output] = open_writer(
                    output,
                    layer,
                    overwrite=may_replace(output, options, before),
                    append=appending if options.append else None,
                    format=options.format,
                )
            begun.pop_all()

    def write(self, part: SceneDetections) -> None:
        """Write detections of a scene to all outputs.

        Raises:
            OutputError: None of the outputs can be written.
        """
        for output, writer in list(self._writers.items()):
            with self._alone(output):
                writer.write(part)

    def commit(
        self,
        notes: Mapping[str, str],
        searched: SearchedScenes,
        not_examined: Sequence[SkippedArea] = (),
    ) -> None:
        """Complete all outputs.

        Args:
            notes: More metadata.
            searched: What became of the scenes.
            not_examined: Areas that could not be read.

        Raises:
            OutputError: None of the outputs can be written.
        """
        for output, writer in list(self._writers.items()):
            with self._alone(output):
                writer.annotate(notes, searched)
                writer.note_not_examined(not_examined)
                writer.commit()
                if isinstance(writer, SceneFilesWriter):
                    self.written += writer.written.values()
                else:
                    self.written.append(output)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._abort()

    @contextmanager
    def _alone(self, output: Path) -> Iterator[None]:
        """Discard an output that cannot be written, and go on with the others."""
        try:
            yield
        except OutputError as error:
            self._writers.pop(output).abort()
            self.failed[output] = error
            if not self._writers and not self.written:
                raise
            logger.error("%s is left out: %s", output, error)

    def _abort(self) -> None:
        for writer in self._writers.values():
            writer.abort()  # does nothing to those that are committed
