"""Pictures of the detections of a run: of one scene, of all scenes in one, or one for each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from geodet.config import DetectConfig
from geodet.detection.detect_options import DetectOptions
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.open_scenes import OpenScenes
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.previews.overview import OverviewScene, draw_overview
from geodet.previews.picture_folder import draw_pictures
from geodet.previews.picture_options import PictureOptions, is_picture_folder
from geodet.previews.preview import draw_preview, select_colours
from geodet.raster.scene import Scene
from geodet.raster.scene_names import name_files

__all__ = ["RunPreviews"]


class RunPreviews:
    """The preview of a run, drawn when its outputs are complete.

    Args:
        options: The preview and its format; nothing is kept without one.
        plan: The scenes.
        opened: Has a lone scene open.
        config: Bands, and what becomes of areas that cannot be read.
    """

    def __init__(
        self,
        options: DetectOptions,
        plan: DetectionPlan,
        opened: OpenScenes,
        config: DetectConfig,
    ) -> None:
        self._options, self._plan, self._opened, self._config = options, plan, opened, config
        self._found: dict[str, list[Detections]] = {}

    def add(self, part: SceneDetections) -> None:
        """Keep the detections of a scene, or of a part of it."""
        if self._options.preview is not None:
            self._found.setdefault(part.scene, []).append(part.detections)

    def draw(
        self, classes: Sequence[str], failed: Collection[str], *, overwrite: bool = False
    ) -> None:
        """Draw what was found.

        Args:
            classes: Names of the classes, by label.
            failed: Names of the scenes that could not be read, which are left out.
            overwrite: Replace a picture that exists.

        Raises:
            OutputError: A picture cannot be written.
            SceneError: A scene cannot be read again.
        """
        preview = self._options.preview
        if preview is None:
            return
        scenes = [scene for scene in self._plan.scenes if scene.name not in failed]
        if is_picture_folder(preview):
            self._draw_folder(Path(preview), scenes)
        elif len(self._plan.records) == 1:
            (only,) = scenes
            scene = self._opened.open(only.path)
            select_colours(scene, self._config.bands)
            draw_preview(Path(preview), scene, self._found_in(only), classes, overwrite=overwrite)
        else:
            shown = [
                OverviewScene(scene.part(self._found_in(scene)), partial(self.open, scene))
                for scene in scenes
            ]
            crs = scenes[0].geobox.crs
            draw_overview(Path(preview), shown, classes, crs=crs, overwrite=overwrite)

    def _draw_folder(self, folder: Path, scenes: Sequence[PlannedScene]) -> None:
        stems = name_files([record.scene for record in self._plan.records])
        options = PictureOptions(self._options.preview_format, self._options.only_with_objects)
        for scene in scenes:
            with self.open(scene) as opened:
                draw_pictures(folder, stems[scene.name], opened, self._found_in(scene), options)

    def open(self, planned: PlannedScene) -> Scene:
        """Open a scene with the bands that a picture shows; it is to be closed."""
        scene = Scene(planned.path, bands=self._config.bands, limits=self._config)
        try:
            select_colours(scene, self._config.bands)
            gsd = self._gsd(planned)
            if gsd is not None:
                scene.assume_gsd(gsd)
        except BaseException:
            scene.close()
            raise
        return scene

    def _gsd(self, planned: PlannedScene) -> float | None:
        """Return the metres per pixel that the settings or the camera say."""
        image = self._plan.images.get(planned.name)
        return self._config.gsd if image is None else image.gsd_m

    def _found_in(self, scene: PlannedScene) -> Detections:
        return Detections.concatenate(self._found.get(scene.name, []))
