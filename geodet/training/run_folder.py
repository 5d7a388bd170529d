"""The folder of a training run: its log, and the state from which it resumes."""

from __future__ import annotations

import csv
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from geodet.config import Config
from geodet.errors import ModelFileError, OutputError, TrainingError
from geodet.files.closable import Closing
from geodet.files.output_folders import BEST_FILE, LOG_FILE, REPORT_FILE, STATE_FILE, run_folder
from geodet.files.outputs import replacing
from geodet.models.description import load_description
from geodet.training.event_file import EVENT_FILES, EventFile
from geodet.training.run_about import write_run_about
from geodet.training.same_run import SECTIONS, check_labels, check_same_settings

__all__ = [
    "RunLog",
    "RunState",
    "begin_run",
    "check_settings",
    "keep_model",
    "load_state",
    "read_log",
    "restore_model",
    "resume_run",
    "save_run",
    "save_state",
]

logger = logging.getLogger(__name__)

_OF_ONE_RUN = (STATE_FILE, LOG_FILE, EVENT_FILES, BEST_FILE, REPORT_FILE)


@dataclass(slots=True)
class RunState:
    """Progress of a run."""

    epoch: int = 0
    """Finished epochs."""
    best_f1: float = -1.0
    """Best F1 on the validation chips so far."""
    best_epoch: int = 0
    """The epoch with the best F1, counted from 1; 0 before the first validation."""
    stale: int = 0
    """Validations since F1 last rose."""
    best_interval: list[float] = field(default_factory=list)
    """Ends of the 95 % confidence interval of the best F1; empty with 50 objects and more."""


def begin_run(
    folder: Path, config: Config, *, resume: bool, is_main: bool = True, labels: str = ""
) -> None:
    """Create the folder of a run and, unless it resumes, delete what an earlier run left there.

    Its ``run.json`` says with which settings it runs.

    Args:
        folder: Folder of the run.
        config: All settings.
        resume: Whether the run goes on from its state.
        is_main: Whether this process is the one that writes.
        labels: Digest of the labels, see :func:`geodet.training.same_run.digest_labels`.

    Raises:
        OutputError: The folder cannot be created.
    """
    if not is_main:
        return
    try:
        folder.mkdir(exist_ok=True)
        if not resume:
            for pattern in _OF_ONE_RUN:
                for path in folder.glob(pattern):
                    path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create {folder}: {error}", hint="choose another folder", path=folder
        ) from error
    write_run_about(folder, config, labels=labels)


def keep_model(output: Path) -> None:
    """Copy the model file into the folder of its run, for :func:`restore_model`.

    Raises:
        OutputError: The copy cannot be written.
    """
    with replacing(run_folder(output) / BEST_FILE) as temporary:
        shutil.copyfile(output, temporary)


def restore_model(output: Path, state: RunState, *, is_main: bool) -> None:
    """Restore the model file of a resumed run if it has been deleted or moved.

    Args:
        output: The model file.
        state: State of the run. Without a best epoch no model file has been written.
        is_main: Whether this process is the one that writes.

    Raises:
        TrainingError: The copy in the run's folder is missing or damaged as well.
        OutputError: The file cannot be written.
    """
    kept = run_folder(output) / BEST_FILE
    if not state.best_epoch or output.exists():
        return
    try:
        load_description(kept)
    except ModelFileError as error:
        raise TrainingError(
            f"{output} is missing, and with it the weights of the best epoch, {state.best_epoch}: "
            f"{error}",
            hint=f"restore it, or a copy of it as {kept}; or start from scratch with --overwrite "
            "(overwrite=True)",
            path=output,
        ) from error
    if is_main:
        logger.info("%s was missing: restored from %s", output, kept)
        with replacing(output) as temporary:
            shutil.copyfile(kept, temporary)


def save_run(
    folder: Path, state: RunState, parts: Mapping[str, Any], config: Config, *, data: str
) -> None:
    """Write the state of a run.

    Args:
        folder: Folder of the run.
        state: Progress of the run.
        parts: What has a ``state_dict``, by name.
        config: All settings.
        data: Digest of the labels, see :func:`geodet.training.same_run.digest_labels`.

    Raises:
        OutputError: The file cannot be written; the state before is kept.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    about = {"counts": asdict(state), "config": config.model_dump_json(), "data": data}
    save_state(folder / STATE_FILE, about | states)


def resume_run(folder: Path, parts: Mapping[str, Any], config: Config, *, data: str) -> RunState:
    """Load the state of an interrupted run into its parts.

    Args:
        folder: Folder of the run.
        parts: As in :func:`save_run`; changed in place.
        config: All settings. Those that do not change the result may differ.
        data: Digest of the labels.

    Raises:
        TrainingError: The state is missing or broken, or the run began with other settings or
            labels.
    """
    state = load_state(folder / STATE_FILE)
    try:
        began = Config.model_validate_json(state["config"])
        check_same_settings(folder, began=began, now=config)
        check_labels(folder, began=state["data"], now=data)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return RunState(**state["counts"])
    except TrainingError:
        raise
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"the run in {folder} does not fit the settings or the data: {error}",
            hint="resume with the same settings and data",
            path=folder,
        ) from error


def check_settings(folder: Path, config: Config, *, has_scenes: bool) -> str:
    """Check the settings of a run to resume before its data is read, or cut from scenes.

    Those of the network are left to :func:`resume_run`: the data chooses some of them.

    Args:
        folder: Folder of the run.
        config: All settings.
        has_scenes: Whether it trains on scenes, whose chips the settings of ``tile`` define.

    Returns:
        Digest of the labels that the run learns from.

    Raises:
        TrainingError: The state is missing or broken, or the run began with other settings.
    """
    state = load_state(folder / STATE_FILE)
    try:
        began, labels = Config.model_validate_json(state["config"]), str(state["data"])
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"cannot read the settings of the run in {folder}: {error}",
            hint="start again with --overwrite (overwrite=True)",
            path=folder,
        ) from error
    sections = (*SECTIONS, "tile") if has_scenes else SECTIONS
    known = [section for section in sections if section != "model"]
    check_same_settings(folder, began=began, now=config, sections=known)
    return labels


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state through a temporary file.

    Raises:
        OutputError: The file cannot be written; the state before is kept.
    """
    with replacing(path) as temporary:
        try:
            torch.save(dict(state), temporary)
        except RuntimeError as error:  # how torch's writer reports a full disk
            raise OSError(str(error)) from error


def load_state(path: Path) -> dict[str, Any]:
    """Read a state that :func:`save_state` wrote. No code from the file is run.

    Raises:
        TrainingError: The file is missing or broken.
    """
    if not path.is_file():
        raise TrainingError(
            f"nothing to resume: no file {path}",
            hint="start the run without --resume",
            path=path,
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch passes on whatever its unpickler raises
        raise TrainingError(
            f"cannot resume from {path}: {error}",
            hint="keep a copy of the model if you need it, and start again with --overwrite",
            path=path,
        ) from error
    return state


class RunLog(Closing):
    """Writes a row per epoch to ``log.csv`` and for TensorBoard; a context manager.

    Args:
        folder: Folder of the run.
        epochs_done: Rows to keep from an earlier part of the run.
    """

    def __init__(self, folder: Path, *, epochs_done: int = 0) -> None:
        self._file = folder / LOG_FILE
        self._rows = read_log(folder)[:epochs_done] if epochs_done else []
        self._folder, self._epochs_done = folder, epochs_done
        self._events: EventFile | None = None  # opened only by the process that writes

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._events is not None:
            self._events.close()

    def write(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Add the figures of an epoch.

        Raises:
            OutputError: A file cannot be written.
        """
        self._rows.append({"run": self._folder.stem, "epoch": epoch, **figures})
        with (
            replacing(self._file) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(dict.fromkeys(k for r in self._rows for k in r)))
            writer.writeheader()
            writer.writerows(self._rows)
        if self._events is None:
            self._events = EventFile(self._folder, epochs_done=self._epochs_done)
        self._events.write(epoch, figures)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of ``log.csv`` in the folder of a run; none where there is no such file."""
    path = folder / LOG_FILE
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
