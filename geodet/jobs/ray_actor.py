"""An actor of Ray: holds a model on its device, and searches bands of scenes."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from geodet.detection.band_parts import BandPart, BandStore
from geodet.detection.predictor import build_predictor
from geodet.errors import ConfigError, GeodetError, SceneError
from geodet.jobs.band_worker import BandWorker
from geodet.jobs.job_plan import JobPlan
from geodet.jobs.shard_run import Task, describe_device
from geodet.jobs.worker_process import Broken, Failed, Ready, limit_threads
from geodet.models.model import Model
from geodet.onnx.backend import load_model
from geodet.raster.scene_lists import is_gdal_path

__all__ = ["ActorSetup", "BandActor", "import_ray"]


@dataclass(frozen=True, slots=True)
class ActorSetup:
    """The instructions of an actor."""

    plan: Any
    """Reference to the job's plan."""
    model: Any
    """Reference to the bytes of the model's files, by name."""
    digest: str
    """SHA-256 of the model file."""
    precision: str
    """``detect.precision``."""
    device: str
    """``cpu`` or ``cuda``, the one that Ray gives to the actor."""
    threads: int
    """Threads of the network on a CPU."""


class BandActor:
    """Searches bands on a machine of the cluster, with a copy of the model."""

    def __init__(self, setup: ActorSetup) -> None:
        self._setup = setup
        self._found: dict[tuple[int, int], bytes] = {}
        self._worker: BandWorker | None = None

    def start(self) -> Ready | Broken:
        """Load the model; the first call."""
        ray, setup = import_ray(), self._setup
        logging.getLogger("geodet").setLevel(logging.ERROR)
        try:
            limit_threads(setup.threads)
            plan: JobPlan = ray.get(setup.plan)
            _check_reachable(plan, ray.util.get_node_ip_address())
            config = plan.config.model_copy(update={"precision": setup.precision})
            with tempfile.TemporaryDirectory(prefix="geodet-") as folder:
                model = _load_copy(Path(folder), ray.get(setup.model), setup.digest)
                predictor = build_predictor(model, config, setup.device)
        except GeodetError as error:
            return Broken(type(error), str(error), error.hint)
        about = model.description
        self._worker = BandWorker(plan, about, predictor, partial(_Kept, self._found))
        return Ready(str(predictor.device), describe_device(predictor))

    def search(self, task: Task) -> dict[int, bytes] | Failed | Broken:
        """Search bands, and return their parts."""
        number, bands = task
        assert self._worker is not None
        try:
            self._worker.search(number, bands)
        except SceneError as error:
            return Failed(number, str(error), error.hint)
        except GeodetError as error:
            return Broken(type(error), str(error), error.hint)
        return {band: self._found.pop((number, band)) for band in bands}


class _Kept(BandStore):
    """Keeps parts in memory until they travel."""

    def __init__(self, found: dict[tuple[int, int], bytes], number: int) -> None:
        super().__init__(Path())
        self._found, self._number = found, number

    def write(self, band: int, part: BandPart) -> None:
        self._found[self._number, band] = part.to_bytes()


def import_ray() -> Any:
    """Import Ray.

    Raises:
        ConfigError: The package is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "this needs the package ray, which is not installed",
            hint="python -m pip install 'geodet[ray]'",
        )
    return importlib.import_module("ray")


def _check_reachable(plan: JobPlan, node: str) -> None:
    """Check that this machine reaches the scenes: where the first one is not, none may be."""
    path = plan.scenes[0].planned.path
    if not is_gdal_path(path) and not Path(path).exists():
        raise SceneError(
            f"the machine {node} cannot access {path}",
            hint="put the scenes where all machines of the cluster can access them under the same "
            "path",
            path=path,
        )


def _load_copy(folder: Path, files: Mapping[str, bytes], digest: str) -> Model:
    """Load a model from the bytes of its files, and check that they are those of the plan."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    model = load_model(folder / next(iter(files)))
    if model.digest != digest:
        raise ConfigError(
            "the model was changed while it was sent to the cluster", hint="start the command again"
        )
    return model
