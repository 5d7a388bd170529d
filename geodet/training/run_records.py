"""Read the folder of a training run, to compare runs: settings, figures of the epochs, model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodet.config import Config
from geodet.documents.json_documents import read_json
from geodet.documents.text import DocumentError
from geodet.errors import TrainingError
from geodet.files.output_folders import BEST_FILE, STATE_FILE, is_run, run_folder
from geodet.models.description import ModelDescription, load_description
from geodet.training.run_about import ABOUT_RUN
from geodet.training.run_folder import load_state, read_log

__all__ = [
    "RunRecord",
    "differing_settings",
    "find_run_folder",
    "learnt_settings",
    "read_run",
]

_SECTIONS = ("model", "data", "augment", "train", "match", "tile")
"""Of the settings: those that change what is learnt. The others are of detection."""
_NOT_LEARNT = ("workers", "cache_mib", "model_name", "description", "allow_outside", "int8")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A training run as its folder describes it.

    Example:
        >>> small = {"model.backbone_level": 2, "model.levels": [2, 2], "model.anchor_sizes": [12]}
        >>> small |= {"train.chip_size": 64, "train.batch_size": 4}
        >>> report = geodet.train(tiles, folder / "mine.safetensors", epochs=2, settings=small)
        >>> run = geodet.info(folder / "mine.run")
        >>> run.name, run.epochs
        ('mine', 2)
    """

    name: str
    """Name of the run: its folder's without ``.run``."""
    folder: Path
    """The folder."""
    settings: dict[str, Any]
    """All settings that change what is learnt, by ``section.key``."""
    rows: tuple[dict[str, float], ...]
    """Figures of each epoch, from ``log.csv``."""
    about: ModelDescription | None
    """Description of the best model; None before the first validation."""
    size_mb: float | None
    """Size of the model file in megabytes; None before the first validation."""

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self.rows)

    @property
    def epochs_planned(self) -> int:
        """Epochs of the whole run."""
        return int(self.settings["train.epochs"])

    @property
    def best(self) -> dict[str, float]:
        """Figures of the epoch with the best F1, the last one of equals; empty without any."""
        validated = [row for row in self.rows if row.get("f1", -1.0) >= 0]
        top = max((row["f1"] for row in validated), default=0.0)
        return next((row for row in reversed(validated) if row["f1"] == top), {})

    @property
    def data(self) -> str:
        """Name of the data."""
        return "" if self.about is None else str(self.about.training.get("data", ""))

    @property
    def chips_per_second(self) -> float:
        """Median speed of training over the epochs; NaN before the first one ends."""
        speeds = sorted(row["chips_per_second"] for row in self.rows if "chips_per_second" in row)
        return speeds[len(speeds) // 2] if speeds else math.nan


def find_run_folder(path: str | Path) -> Path | None:
    """Return the folder of a run: itself, or that beside a model file; None where there is none."""
    place = Path(path)
    folder = place if place.is_dir() else run_folder(place)
    has_begun = any((folder / name).is_file() for name in (ABOUT_RUN, STATE_FILE))
    return folder if is_run(folder) and has_begun else None


def read_run(path: str | Path) -> RunRecord:
    """Read what a run has left.

    Args:
        path: The folder ``NAME.run``, or the model ``NAME.safetensors`` beside it.

    Raises:
        TrainingError: It is not a run, or its settings cannot be read.
        ModelFileError: Its model is broken.
    """
    folder = find_run_folder(path)
    if folder is None:
        raise TrainingError(
            f"{path} is not a training run",
            hint="give the folder NAME.run that `geodet train -o NAME.safetensors` writes",
            path=Path(path),
        )
    settings = learnt_settings(_read_config(folder))
    best = folder / BEST_FILE
    rows = tuple(_to_numbers(row) for row in read_log(folder))
    return RunRecord(
        name=folder.stem,
        folder=folder,
        settings=settings,
        rows=rows,
        about=load_description(best) if best.is_file() else None,
        size_mb=best.stat().st_size / 1e6 if best.is_file() else None,
    )


def _read_config(folder: Path) -> Config:
    """Read the settings of a run, also of one that an earlier version has begun."""
    path = folder / ABOUT_RUN
    try:
        if path.is_file():
            return Config.model_validate(read_json(path)["configuration"])
        return Config.model_validate_json(load_state(folder / STATE_FILE)["config"])
    except (DocumentError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"cannot read the settings of {folder}: {error}",
            hint="train again with --overwrite",
            path=folder,
        ) from error


def learnt_settings(config: Config) -> dict[str, Any]:
    """Return the settings that change what is learnt, by ``section.key``."""
    dumped: Mapping[str, Mapping[str, Any]] = config.model_dump(mode="json")
    return {
        f"{section}.{key}": value
        for section in _SECTIONS
        for key, value in dumped[section].items()
        if key not in _NOT_LEARNT
    }


def _to_numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the cells of a row that are numbers."""
    found: dict[str, float] = {}
    for name, cell in row.items():
        try:
            found[name] = float(cell)
        except (TypeError, ValueError):
            continue  # the run's name, or an epoch that was not validated
    return found


def differing_settings(runs: Sequence[RunRecord]) -> list[str]:
    """Return the names of the settings that are not the same in all runs, in order."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [
        name
        for name in names
        if any(run.settings.get(name) != runs[0].settings.get(name) for run in runs)
    ]
