"""Write the detections of each scene to a file of its own, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from geodet.detection.detect_options import DetectOptions, may_replace
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.output_notes import describe_scenes
from geodet.detection.scene_files import file_of_scene
from geodet.detection.scene_loop import SceneLoop
from geodet.detection.written_files import WrittenFiles
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.raster.scene_names import name_files
from geodet.vector.not_examined import SkippedArea
from geodet.vector.rows import Appending, VectorLayer
from geodet.vector.searched_scenes import SearchedScenes
from geodet.vector.write_detections import open_writer
from geodet.vector.writer import DetectionWriter

__all__ = ["SceneFilesWriter"]


class SceneFilesWriter:
    """Writes the file of each scene, in its CRS, and completes it when the next scene begins.

    Args:
        output: The pattern of the files.
        plan: The scenes.
        layer: Properties of their layers, apart from the CRS.
        options: Formats, and whether files are replaced or appended to.
        appending: Which rows are appended.
        loop: Source of the detections; it names the scenes that could not be read.
        before: What the run has written before it was interrupted.
    """

    def __init__(
        self,
        output: Path,
        plan: DetectionPlan,
        layer: VectorLayer,
        options: DetectOptions,
        appending: Appending,
        loop: SceneLoop,
        before: WrittenFiles,
    ) -> None:
        stems = name_files([record.scene for record in plan.records])
        self._files = {one.name: file_of_scene(output, stems[one.name]) for one in plan.scenes}
        self._plan = plan
        self._scenes = {scene.name: scene for scene in plan.scenes}
        self._layer, self._options = layer, options
        self._appending, self._loop, self._before = appending, loop, before
        self._current: tuple[PlannedScene, DetectionWriter] | None = None
        self.written: dict[str, Path] = {}
        """The complete files, by scene."""

    def write(self, part: SceneDetections) -> None:
        """Write detections of a scene; all parts of a scene come one after another.

        Raises:
            OutputError: A file cannot be written.
        """
        if self._current is None or self._current[0].name != part.scene:
            self._complete()
            self._begin(self._scenes[part.scene])
        assert self._current is not None
        self._current[1].write(part)

    def annotate(self, more: Mapping[str, str], searched: SearchedScenes) -> None:
        """Do nothing: each file has metadata of its own."""

    def note_not_examined(self, areas: Sequence[SkippedArea]) -> None:
        """Do nothing: each file gets the areas of its scene."""

    def commit(self) -> None:
        """Complete the last file, and write an empty one for each scene without detections.

        Raises:
            OutputError: A file cannot be written; those before are complete.
        """
        self._complete()
        for name, scene in self._scenes.items():
            if name not in self.written and name not in self._loop.failed:
                self.write(scene.part(Detections.empty()))
                self._complete()

    def abort(self) -> None:
        """Discard the file that is not complete."""
        if self._current is not None:
            self._current[1].abort()
            self._current = None

    def _begin(self, scene: PlannedScene) -> None:
        file, options = self._files[scene.name], self._options
        appending = replace(self._appending, scenes=(scene.name,))
        writer = open_writer(
            file,
            replace(self._layer, crs=scene.geobox.crs),
            overwrite=may_replace(file, options, self._before),
            append=appending if options.append else None,
            format=options.format,
        )
        self._current = scene, writer

    def _complete(self) -> None:
        if self._current is None:
            return
        (scene, writer), self._current = self._current, None
        alone = replace(self._plan, scenes=(scene,), crs=scene.geobox.crs)
        writer.annotate(*describe_scenes(alone, self._loop))
        areas = self._loop.not_examined
        writer.note_not_examined([area for area in areas if area.scene == scene.name])
        writer.commit()  # aborts where it fails
        self.written[scene.name] = self._files[scene.name]
