"""Search bands of the scenes of a job, and write their parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import closing

from geodet.detection.band_parts import BandStore
from geodet.detection.band_search import BandSearch
from geodet.detection.predictor import Predictor, with_input_values
from geodet.detection.progress import DetectProgress
from geodet.detection.scene_for_model import open_for_model, report_choices
from geodet.detection.scene_windows import SceneWindows
from geodet.errors import SceneError
from geodet.files.closable import Closing
from geodet.jobs.job_plan import CHANGED, CHANGED_HINT, JobPlan, JobScene
from geodet.models.description import ModelDescription
from geodet.raster.scene import Scene
from geodet.raster.scene_identity import identify_scene

__all__ = ["BandWorker"]

logger = logging.getLogger(__name__)


class BandWorker(Closing):
    """Searches bands, one scene open at a time; for a ``with`` block, which closes it.

    Args:
        plan: The job.
        about: The model.
        predictor: Finds the objects of chips, with the model's own input statistics.
        store: Returns the folder of the parts of a scene, by its number.
        readers: Threads that read chips; None: as many as the settings say.
    """

    def __init__(
        self,
        plan: JobPlan,
        about: ModelDescription,
        predictor: Predictor,
        store: Callable[[int], BandStore],
        *,
        readers: int | None = None,
    ) -> None:
        self._plan, self._about, self._predictor, self._store = plan, about, predictor, store
        update = {} if readers is None else {"workers": readers}
        self._config = plan.config.model_copy(update=update)
        self._open: tuple[int, Scene, SceneWindows] | None = None

    def search(
        self,
        number: int,
        bands: Iterable[int],
        progress: Callable[[DetectProgress], None] = lambda _: None,
    ) -> int:
        """Search bands of a scene, and return the number of detections in them.

        Args:
            number: Number of the scene in the plan.
            bands: Their numbers, in rising order.
            progress: Called after each batch.

        Raises:
            SceneError: The scene cannot be read, or has changed since the job was planned.
            OutputError: A part cannot be written.
        """
        planned = self._plan.scenes[number].planned
        scene, windows = self._scene(number)
        predictor = with_input_values(self._predictor, self._plan.values[planned.dtype])
        search = BandSearch(
            scene,
            predictor,
            self._config,
            windows,
            aoi=planned.aoi,
            journal=self._store(number),
        )
        chosen, found = list(bands), 0
        total = sum(len(windows.bands[band]) for band in chosen)
        with closing(search.run(chosen)) as pieces:
            for piece in pieces:
                found += len(piece.part.detections)
                pixels = windows.count_pixels(piece.windows)
                progress(DetectProgress(planned.name, len(piece.windows), total, pixels, found))
        return found

    def close(self) -> None:
        """Close the open scene."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _scene(self, number: int) -> tuple[Scene, SceneWindows]:
        """Return a scene, open as it was planned, and how it is cut."""
        if self._open is None or self._open[0] != number:
            self.close()
            wanted = self._plan.scenes[number]
            scene = open_for_model(wanted.planned.path, self._about, self._config)
            try:
                _check_same(scene, wanted)
                report_choices(scene, self._about, self._config)
                self._open = number, scene, self._plan.cut(number)
            except BaseException:
                scene.close()
                raise
        assert self._open is not None
        return self._open[1], self._open[2]


def _check_same(scene: Scene, wanted: JobScene) -> None:
    planned, now = wanted.planned, identify_scene(wanted.planned.path)
    is_same = scene.geobox == planned.geobox and scene.grid == planned.grid
    if wanted.identity == now and is_same and scene.dtype.name == planned.dtype:
        return
    raise SceneError(
        f"{planned.path} {CHANGED}: it was {wanted.identity} and is {now}",
        hint=CHANGED_HINT,
        path=planned.path,
    )
