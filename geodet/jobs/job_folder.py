"""The folder of a job: its plan, its model, and the parts that its shards have computed.

    job/
      job.json                    the plan: scenes, how they are cut, settings
      model/NAME.safetensors      a copy of the model, with its eight-bit file if it has one
      device.json                 what computes: kind of device, precision, versions
      parts/000/000012/000003.parquet  the fourth band of scene 12
      parts/000/000012/failed.json     why scene 12 could not be read to its end

Any number of processes on any machines may write to it at a time: a file appears as a whole, and
whoever computes a part again writes the same. Nothing is removed but the note of a scene that can
be read now.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from geodet.detection.output_notes import describe_run, salt_of
from geodet.detection.predictor import PredictorFacts, facts_of
from geodet.documents.json_documents import parse_json, read_json
from geodet.documents.values import member
from geodet.errors import OutputError
from geodet.files.output_folders import JOB_PLAN, is_job
from geodet.files.outputs import int8_path, raising_output_errors, replace_folder
from geodet.files.synced_files import write_synced
from geodet.jobs.job_documents import from_document, to_document
from geodet.jobs.job_plan import JobPlan
from geodet.jobs.placed_parts import PartNotes, PlacedParts
from geodet.jobs.recorded_engine import RecordedEngine
from geodet.models.engine import HostDevice
from geodet.models.model import Model
from geodet.onnx.backend import load_model

__all__ = ["JOB_FILES", "JobFolder", "open_job", "write_job"]

_MODEL, _PARTS, _DEVICE, _FAILED = "model", "parts", "device.json", "failed.json"
JOB_FILES = (JOB_PLAN, _MODEL, _PARTS, _DEVICE)
"""Names of what is in the folder of a job."""
_SCENES_OF_A_FOLDER = 1000  # file systems are slow with more


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder of a job that is planned."""

    folder: Path
    """Its path."""
    plan: JobPlan
    """The plan."""
    model: Model
    """The model, from the copy in the folder."""

    @property
    def model_path(self) -> Path:
        """The model file."""
        return _find_model(self.folder)

    def store(self, number: int) -> PlacedParts:
        """Return the parts of a scene, by its number from 0."""
        scene, classes = self.plan.scenes[number].planned, self.model.description.classes
        return PlacedParts(self._scene(number), self.plan.identifier, scene, classes, self._note)

    def recorded_facts(self) -> PredictorFacts:
        """Return what is known of what computes, as far as a process has begun.

        Raises:
            OutputError: The file that says it is broken.
        """
        known = self.read_device() or {"device": self.plan.device, "precision": "", "software": {}}
        software = {name: text for name, text in known["software"].items() if name != "geodet"}
        engine = RecordedEngine(HostDevice(known["device"]), known["precision"], software)
        return facts_of(engine, self.model.description, self.plan.config)

    def list_missing(self, number: int, *, strict: bool = False) -> list[int]:
        """List the bands of a scene that have no part, as :meth:`PlacedParts.list_missing`."""
        bands = range(len(self.plan.scenes[number].bands))
        return self.store(number).list_missing(bands, strict=strict)

    def note_failure(self, number: int, error: str) -> None:
        """Note why a scene could not be read to its end.

        Raises:
            OutputError: The note cannot be written.
        """
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        note = {"error": error, "host": platform.node(), "pid": os.getpid(), "at": now}
        with raising_output_errors(self.folder):
            self._scene(number).mkdir(parents=True, exist_ok=True)
            write_synced(self._scene(number) / _FAILED, json.dumps(note).encode())

    def forget_failure(self, number: int) -> None:
        """Remove the note of a scene that could be read now.

        Raises:
            OutputError: It cannot be removed.
        """
        with raising_output_errors(self.folder):
            (self._scene(number) / _FAILED).unlink(missing_ok=True)

    def read_failure(self, number: int) -> str:
        """Return why a scene could not be read to its end; empty without a note of it."""
        try:
            note = parse_json((self._scene(number) / _FAILED).read_text(encoding="utf-8"))
            return str(member(note, "error", str))
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            return f"its note cannot be read: {error}"

    def agree(self, about: dict[str, Any]) -> dict[str, Any]:
        """Write what computes, where no process has yet; return what the first process wrote.

        Raises:
            OutputError: The folder cannot be written to.
        """
        path = self.folder / _DEVICE
        with raising_output_errors(self.folder):
            if not path.exists():
                _write_first(path, json.dumps(about, indent=1).encode())
        known = self.read_device()
        assert known is not None
        return known

    def read_device(self) -> dict[str, Any] | None:
        """Read what computes; None where no process has begun.

        Raises:
            OutputError: The file is broken.
        """
        path = self.folder / _DEVICE
        if not path.exists():
            return None
        try:
            known = read_json(path)
            texts = {name: member(known, name, str) for name in ("device", "precision")}
            return texts | {"software": member(known, "software", dict)}
        except ValueError as error:
            raise _broken(path, error) from error

    def _note(self) -> PartNotes:
        """Return what a part says of how it was made."""
        about = describe_run(self.model, self.plan.config, self.recorded_facts())
        return PartNotes(salt_of(self.model, self.plan.config), about)

    def _scene(self, number: int) -> Path:
        return self.folder / _PARTS / f"{number // _SCENES_OF_A_FOLDER:03d}" / f"{number:06d}"


def write_job(folder: Path, plan: JobPlan, model_path: Path) -> JobFolder:
    """Write a plan and a copy of its model to a new folder.

    Args:
        folder: Where; replaced if it exists.
        plan: The plan.
        model_path: The model file.

    Raises:
        OutputError: It cannot be written.
    """
    with replace_folder(folder) as temporary:
        (temporary / _MODEL).mkdir()
        for file in (model_path, int8_path(model_path)):
            if file.is_file():
                shutil.copyfile(file, temporary / _MODEL / file.name)
        (temporary / JOB_PLAN).write_text(json.dumps(to_document(plan)), encoding="utf-8")
        (temporary / _PARTS).mkdir()
    return open_job(folder)


def open_job(folder: Path) -> JobFolder:
    """Read the plan of a job.

    Raises:
        OutputError: The folder has no plan that this version of geodet reads.
        ModelFileError: Its model is broken.
    """
    path = folder / JOB_PLAN
    if not is_job(folder):
        raise OutputError(
            f"{folder} is not the folder of a job: it has no {JOB_PLAN}",
            hint="geodet plan SCENES -o JOB/ plans one",
            path=folder,
        )
    try:
        plan = from_document(read_json(path))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _broken(path, error) from error
    return JobFolder(folder, plan, load_model(_find_model(folder)))


def _find_model(folder: Path) -> Path:
    files = sorted((folder / _MODEL).glob("*"), key=lambda path: path.suffix != ".safetensors")
    if not files:
        raise OutputError(f"{folder} has no model", hint="plan the job again", path=folder / _MODEL)
    return files[0]  # its eight-bit file lies beside it


def _broken(path: Path, error: Exception) -> OutputError:
    return OutputError(f"{path} cannot be read: {error}", hint="plan the job again", path=path)


def _write_first(path: Path, content: bytes) -> None:
    """Write a file unless another process is faster; it is there as a whole or not at all."""
    own = path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}")
    write_synced(own, content)
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links: the last one is first
        own.replace(path)
    own.unlink(missing_ok=True)
