"""The public functions for several trainings: train_series and compare_runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from geodet.api.call_arguments import Paths, check_range, list_paths
from geodet.api.training_tools import to_training_data
from geodet.config import Config
from geodet.config.recipes import Settings, resolve_config
from geodet.training.run_records import read_run
from geodet.training.run_series import SeriesReport, SeriesRun, plan_series, run_series
from geodet.training.run_tables import (
    RunTable,
    check_run_table,
    plot_runs,
    tabulate_runs,
    write_run_table,
)
from geodet.training.train import EpochReport, run_training

__all__ = ["compare_runs", "train_series"]


def compare_runs(
    runs: Paths,
    output: str | Path | None = None,
    *,
    plot: str | Path | None = None,
    overwrite: bool = False,
) -> RunTable:
    """Compare training runs: the settings that differ, data, epochs, figures, speed and size.

    Args:
        runs: Folders ``NAME.run``, or the models beside them; one or several.
        output: A table to write: ``.txt``, ``.csv``, ``.md`` or ``.tex``.
        plot: The curves of all runs to draw: ``.png``, ``.pdf`` or ``.svg``.
        overwrite: Replace files that exist.

    Returns:
        A row for each run.

    Raises:
        TrainingError: One of them is no run.
        ConfigError: There are none.
        OutputError: A file exists or cannot be written.

    Example:
        >>> small = {"model.backbone_level": 2, "model.levels": [2, 2], "model.anchor_sizes": [12]}
        >>> small |= {"train.chip_size": 64, "train.batch_size": 4}
        >>> series = train_series(
        ...     tiles, folder / "mine.safetensors", seeds=2, epochs=1, settings=small
        ... )
        >>> table = compare_runs(series.runs, folder / "runs.md")
        >>> table.columns[:2], [row[1] for row in table.rows]
        (('run', 'train.seed'), ['0', '1'])
    """
    if output is not None:
        check_run_table(Path(output), None, overwrite=overwrite)
    records = [read_run(run) for run in list_paths(runs, "runs")]
    table = tabulate_runs(records)
    if output is not None:
        write_run_table(table, Path(output), overwrite=overwrite)
    if plot is not None:
        plot_runs(records, Path(plot), overwrite=overwrite)
    return table


def train_series(
    data: Paths,
    output: str | Path,
    *,
    seeds: int = 1,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    labels: Paths | None = None,
    config: Config | str | Path | None = None,
    settings: Settings = (),
    epochs: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[EpochReport], None] | None = None,
) -> SeriesReport:
    """Train several times: with other seeds, or with every combination of some settings.

    A run is named after what it changes, ``mine-learning_rate-0.001-seed-2``, beside the output.
    After an interruption, the same call continues the runs; finished runs are not repeated.

    Args:
        data: As for :func:`train`.
        output: The model file to which the model with the best F1 on the validation chips is
            copied.
        seeds: Runs of each combination.
        sweep: Values by key, such as ``{"train.learning_rate": [1e-3, 3e-4]}``.
        labels: As for :func:`train`.
        config: As for :func:`train`.
        settings: As for :func:`train`.
        epochs: As for :func:`train`.
        device: As for :func:`train`.
        resume: Replace the output of a series that is finished.
        overwrite: Train all runs from scratch.
        progress: Called after each epoch.

    Raises:
        GeodetError: As :func:`train` does; the runs before are kept.

    Example:
        >>> small = {"model.backbone_level": 2, "model.levels": [2, 2], "model.anchor_sizes": [12]}
        >>> small |= {"train.chip_size": 64, "train.batch_size": 4}
        >>> report = train_series(
        ...     tiles, folder / "mine.safetensors", seeds=2, epochs=1, settings=small
        ... )
        >>> [run.name for run in report.runs]
        ['mine-seed-0.run', 'mine-seed-1.run']
    """
    check_range("seeds", seeds, 1)
    chosen = resolve_config(config, flags={"train": {"epochs": epochs}}, settings=settings)
    source = to_training_data(data, labels)

    def train(run: SeriesRun, goes_on: bool) -> None:
        run_training(
            source,
            run.output,
            run.config,
            device=device,
            resume=goes_on,
            overwrite=not goes_on,
            labels_of=run.labels_of,
            progress=progress or (lambda _: None),
        )

    runs = plan_series(Path(output), chosen, seeds=seeds, sweep=sweep or {})
    return run_series(Path(output), runs, train, resume=resume, overwrite=overwrite)
