"""The folder of a training run: its log, and the state from which it can go on."""

from __future__ import annotations

import csv
import hashlib
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tensorboardX import SummaryWriter

from geodet.config import Config
from geodet.errors import OutputError, TrainingError
from geodet.files.closable import Closing
from geodet.files.outputs import replacing
from geodet.tilesets.tileset import Tileset

__all__ = [
    "RunLog",
    "RunState",
    "begin_run",
    "digest_labels",
    "keep_model",
    "load_state",
    "open_run",
    "restore_model",
    "resume_run",
    "save_run",
    "save_state",
]

logger = logging.getLogger(__name__)

_STATE, _BEST = "state.pt", "best.safetensors"
_MAY_CHANGE = {
    *("workers", "cache_mib", "precision", "patience"),
    *("model_name", "description", "data_name"),
}
_OF_VALIDATION = {"iou_threshold", "max_candidates", "max_per_level"}  # of the keys of [detect]


@dataclass(slots=True)
class RunState:
    """How far a run has come."""

    epoch: int = 0
    """Epochs done."""
    best_f1: float = -1.0
    """Best F1 on the validation chips so far."""
    best_epoch: int = 0
    """The epoch that had it, counted from 1."""
    stale: int = 0
    """Validations since F1 last rose."""


def open_run(output: Path, *, resume: bool, overwrite: bool) -> Path:
    """Name the folder of a run, ``NAME.run``, and refuse what would fail hours later.

    Raises:
        OutputError: The model is there already, an unfinished run is, or nothing can be written.
    """
    if output.suffix != ".safetensors":
        raise OutputError(f"cannot write a model to {output}", hint="its name ends in .safetensors")
    if not output.parent.is_dir():
        raise OutputError(f"no folder {output.parent} for {output.name}", hint="make it first")
    if output.exists() and not (overwrite or resume):
        raise OutputError(
            f"{output} is there already", hint="use --overwrite, or --resume to go on with its run"
        )
    folder = output.with_suffix(".run")
    if (folder / _STATE).exists() and not (overwrite or resume):
        raise OutputError(
            f"{folder} holds the state of an earlier run",
            hint="use --resume to go on with it, or --overwrite to begin anew",
        )
    return folder


def begin_run(folder: Path, *, resume: bool) -> None:
    """Make the folder of a run, without the state of an earlier one.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(exist_ok=True)
        if not resume:
            for name in (_STATE, _BEST):
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error}", hint="choose another folder") from error


def keep_model(output: Path) -> None:
    """Copy the best model so far into the folder of its run, for :func:`restore_model`.

    Raises:
        OutputError: The copy cannot be written.
    """
    with replacing(output.with_suffix(".run") / _BEST) as temporary:
        shutil.copyfile(output, temporary)


def restore_model(output: Path, state: RunState, *, is_main: bool) -> None:
    """Bring back the model file of a resumed run, if somebody has deleted or moved it.

    Args:
        output: The model file.
        state: Of the run; one that has had no best epoch has written no file.
        is_main: Whether this process is the one that writes.

    Raises:
        TrainingError: Its copy is gone, too.
        OutputError: It cannot be written.
    """
    kept = output.with_suffix(".run") / _BEST
    if not state.best_epoch or output.exists():
        return
    if not kept.is_file():
        raise TrainingError(
            f"{output} is gone, with the weights of the best epoch, {state.best_epoch}",
            hint=f"put it back, or a copy of it at {kept}; or begin anew with --overwrite",
        )
    if is_main:
        logger.info("%s was gone: restored from %s", output, kept)
        with replacing(output) as temporary:
            shutil.copyfile(kept, temporary)


def digest_labels(tileset: Tileset) -> str:
    """Give a digest of the images' names, sizes and folds and of all labels, not of pixels."""
    digest = hashlib.sha256(repr(tileset.classes).encode())
    for image in tileset.images:
        about = image.path.name, image.place, image.split, image.width, image.height, image.gsd
        digest.update(repr(about).encode())
        for array in (image.boxes, image.labels, image.ignored):
            digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.hexdigest()


def save_run(
    folder: Path, state: RunState, parts: Mapping[str, Any], config: Config, *, data: str
) -> None:
    """Write the state of a run: its counts, configuration and parts, and its labels' digest."""
    states = {name: part.state_dict() for name, part in parts.items()}
    about = {"counts": asdict(state), "config": config.model_dump_json(), "data": data}
    save_state(folder / _STATE, about | states)


def resume_run(folder: Path, parts: Mapping[str, Any], config: Config, *, data: str) -> RunState:
    """Load the state of an interrupted run into its parts.

    Raises:
        TrainingError: There is none, it is broken, or it began with other settings or labels.
    """
    state = load_state(folder / _STATE)
    try:
        _check_same(Config.model_validate_json(state["config"]), config, folder)
        if state["data"] != data:
            raise TrainingError(
                f"the run in {folder} began with other images or labels",
                hint="resume with the data that it began with, or begin anew with --overwrite",
            )
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return RunState(**state["counts"])
    except TrainingError:
        raise
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"the run in {folder} does not fit: {error}",
            hint="resume with the settings and the data that it began with",
        ) from error


def _check_same(began: Config, now: Config, folder: Path) -> None:
    """Refuse to go on with other settings; the place and the speed of the work may change."""
    for section in ("model", "data", "augment", "train", "match", "detect"):
        before, after = getattr(began, section), getattr(now, section)
        keys = type(before).model_fields.keys() - _MAY_CHANGE
        for key in sorted(keys & _OF_VALIDATION if section == "detect" else keys):
            old, new = getattr(before, key), getattr(after, key)
            if old != new:
                raise TrainingError(
                    f"the run in {folder} began with {section}.{key} = {old!r}, not {new!r}",
                    hint="resume with the settings that it began with",
                )


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write what a run needs to go on, by way of a temporary file.

    Raises:
        OutputError: The file cannot be written; an older state is not harmed.
    """
    with replacing(path) as temporary:
        try:
            torch.save(dict(state), temporary)
        except RuntimeError as error:  # how torch's writer reports a full disk
            raise OSError(str(error)) from error


def load_state(path: Path) -> dict[str, Any]:
    """Read a state that :func:`save_state` wrote; runs no code from it.

    Raises:
        TrainingError: There is none, or it is broken.
    """
    if not path.is_file():
        raise TrainingError(
            f"nothing to resume: no file {path}", hint="start the run without --resume"
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler met
        raise TrainingError(
            f"cannot resume from {path}: {error}", hint="start the run again without --resume"
        ) from error
    return state


class RunLog(Closing):
    """One row an epoch, as CSV and for TensorBoard; closes with its ``with`` block.

    Args:
        folder: Where ``log.csv`` and TensorBoard's file go.
        epochs_done: Rows to keep from an earlier part of the run.
    """

    def __init__(self, folder: Path, *, epochs_done: int = 0) -> None:
        self._file = folder / "log.csv"
        self._rows = _read_rows(self._file)[:epochs_done] if epochs_done else []
        self._board: SummaryWriter | None = None  # of the process that writes, and of no other
        self._open_board = partial(SummaryWriter, str(folder), purge_step=epochs_done or None)

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    def write(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Add the figures of an epoch."""
        self._rows.append({"epoch": epoch, **figures})
        with (
            replacing(self._file) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(dict.fromkeys(k for r in self._rows for k in r)))
            writer.writeheader()
            writer.writerows(self._rows)
        self._board = self._board or self._open_board()
        for name, value in figures.items():
            self._board.add_scalar(name, value, epoch)


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
