"""Several trainings one after another: other seeds, or every combination of some settings."""

from __future__ import annotations

import itertools
import logging
import re
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geodet.config import Config
from geodet.config.recipes import parse_settings, resolve_config
from geodet.errors import ConfigError, OutputError
from geodet.files.output_folders import BEST_FILE, LOG_FILE, REPORT_FILE, STATE_FILE, check_run
from geodet.files.outputs import int8_path, raising_output_errors, replacing
from geodet.training.run_records import RunRecord, find_run_folder, learnt_settings, read_run
from geodet.training.run_tables import RunTable, tabulate_runs

__all__ = ["SeriesReport", "SeriesRun", "check_series", "parse_sweep", "plan_series", "run_series"]

logger = logging.getLogger(__name__)

_SEED = "train.seed"
_UNSAFE = re.compile(r"[^\w.+-]+")
_COMMAS = re.compile(r",(?![^\[{]*[\]}])")  # not within a list or a table


@dataclass(frozen=True, slots=True)
class SeriesRun:
    """A training of a series."""

    output: Path
    """Its model file."""
    config: Config
    """All its settings."""
    group: str
    """The settings shared by the runs that differ only in their seeds."""
    labels_of: Path | None = None
    """Folder of a run before it that must have learnt from the same labels; None: there is none."""


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """Result of a series of trainings.

    Example:
        >>> small = {"model.backbone_level": 2, "model.levels": [2, 2], "model.anchor_sizes": [12]}
        >>> small |= {"train.chip_size": 64, "train.batch_size": 4}
        >>> report = geodet.train_series(
        ...     tiles, folder / "mine.safetensors", seeds=2, epochs=1, settings=small
        ... )
        >>> mean, deviation = report.spread[""]["F1"]
        >>> 0 <= mean <= 1
        True
    """

    model: Path
    """The model of the run with the best F1."""
    runs: tuple[Path, ...]
    """The folders of all runs."""
    table: RunTable
    """The runs side by side."""
    spread: dict[str, dict[str, tuple[float, float]]]
    """Mean and standard deviation of F1 and AP over the seeds, by combination of settings."""


def parse_sweep(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Parse ``section.key=value,value`` texts.

    Example:
        >>> parse_sweep(["train.learning_rate=1e-3,3e-4", "model.anchor_sizes=[8],[8, 16]"])
        {'train.learning_rate': (0.001, 0.0003), 'model.anchor_sizes': ([8], [8, 16])}
    """
    sweep: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        name = key.strip()
        if not (equals and values.strip()):
            raise ConfigError(
                f"cannot read the sweep {text!r}",
                hint="write it as section.key=VALUE,VALUE",
                key=name,
            )
        section, _, short = name.partition(".")
        parsed = [parse_settings([f"{name}={one.strip()}"]) for one in _COMMAS.split(values)]
        sweep[name] = tuple(one[section][short] for one in parsed)
    return sweep


def plan_series(
    output: Path, config: Config, *, seeds: int = 1, sweep: Mapping[str, Sequence[Any]]
) -> list[SeriesRun]:
    """List the runs of a series, each with a name that says what it changes.

    Args:
        output: The model file of the series: the best run's model is copied there.
        config: The settings that are not swept.
        seeds: Runs of each combination, with the seed of the settings and the numbers after it.
        sweep: Values by ``section.key``; every combination is run.

    Raises:
        ConfigError: A setting does not exist, or a value does not fit.

    Example:
        >>> runs = plan_series(
        ...     Path("a.safetensors"), Config(), seeds=2, sweep={"train.learning_rate": [0.001]}
        ... )
        >>> [run.output.name for run in runs][:2]
        ['a-learning_rate-0.001-seed-0.safetensors', 'a-learning_rate-0.001-seed-1.safetensors']
    """
    if _SEED in sweep and seeds > 1:
        raise ConfigError("seeds are given twice", hint=f"give --seeds or sweep {_SEED}", key=_SEED)
    base = config.model_dump(exclude_unset=True)
    runs = []
    for values in itertools.product(*sweep.values()):
        changes = dict(zip(sweep, values, strict=True))
        group = ", ".join(f"{key} {value}" for key, value in changes.items() if key != _SEED)
        first = int(changes.get(_SEED, config.train.seed))
        for seed in range(first, first + seeds):
            settings = {**changes, **({_SEED: seed} if seeds > 1 else {})}
            chosen = resolve_config(Config.model_validate(base), settings=settings)
            suffix = "".join(f"-{key.partition('.')[2]}-{_plain(v)}" for key, v in settings.items())
            name = f"{output.stem}{suffix}{output.suffix}"
            runs.append(SeriesRun(output.with_name(name), chosen, group))
    return runs


def check_series(
    output: Path, runs: Sequence[SeriesRun], *, resume: bool = False, overwrite: bool = False
) -> None:
    """Check that the models of a series can be written, before the first run.

    Args:
        output: The model file of the series.
        runs: From :func:`plan_series`. One that is finished stays, one that has a state goes on,
            be it only to write its last files, and one that was interrupted in its first epoch
            begins anew.
        resume: Whether the model of a finished series may be replaced.
        overwrite: Whether all runs begin anew.

    Raises:
        OutputError: The output cannot be written, or a run of that name had other settings.
    """
    check_run(output, resume=False, overwrite=overwrite or resume)
    for run in runs:
        _check_one(run, overwrite=overwrite)


def run_series(
    output: Path,
    runs: Sequence[SeriesRun],
    train: Callable[[SeriesRun, bool], object],
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int, SeriesRun], None] = lambda _number, _count, _run: None,
) -> SeriesReport:
    """Train one run after another; those that are finished are not done again.

    Args:
        output: The model file of the series, to which the model with the best F1 is copied, and
            beside it its eight-bit file.
        runs: From :func:`plan_series`.
        train: Called with a run and with whether it goes on from its last epoch. One that does not
            go on may replace the model of an earlier run: this was checked.
        resume: Replace the model of a series that is finished.
        overwrite: Train all of them anew.
        progress: Called with the number of a run, of all, and the run, before it begins.

    Raises:
        GeodetError: As training does; the runs before are kept, and the same call goes on.
    """
    check_series(output, runs, resume=resume, overwrite=overwrite)
    if all(_is_done(run, overwrite=overwrite) for run in runs):
        logger.warning(
            "all %d runs are finished: none is trained, and images and labels are not read; "
            "--overwrite trains them anew",
            len(runs),
        )
    for number, run in enumerate(runs, start=1):
        if _is_done(run, overwrite=overwrite):
            continue
        record = _check_one(run, overwrite=overwrite)
        progress(number, len(runs), run)
        others = runs[: number - 1] if overwrite else runs  # the later ones are trained anew
        known = replace(run, labels_of=_trained_alike(run, others))
        train(known, record is not None and _has_state(record))
    records = [read_run(run.output) for run in runs]
    best = max(records, key=lambda one: one.best.get("f1", -1.0))
    _copy_model(best, output)
    return SeriesReport(
        model=output,
        runs=tuple(record.folder for record in records),
        table=tabulate_runs(records),
        spread=_spread(runs, records),
    )


def _copy_model(record: RunRecord, output: Path) -> None:
    """Copy the best model of a run, and its eight-bit file where it has one."""
    with replacing(output) as temporary:
        shutil.copyfile(record.folder / BEST_FILE, temporary)
    source, twin = int8_path(record.folder), int8_path(output)
    if source.is_file():
        with replacing(twin) as temporary:
            shutil.copyfile(source, temporary)
    else:
        with raising_output_errors(twin):
            twin.unlink(missing_ok=True)  # made from other weights


def _check_one(run: SeriesRun, *, overwrite: bool) -> RunRecord | None:
    """Check that a run may be trained; return its record, None if it begins anew."""
    begun = None if overwrite else find_run_folder(run.output)
    if begun is None:
        check_run(run.output, resume=False, overwrite=overwrite)
        return None
    record = read_run(begun)
    if not (record.rows or _has_state(record)):
        return None  # its first epoch was interrupted
    _check_same_settings(run, record)
    if not _is_finished(record):
        check_run(run.output, resume=_has_state(record), overwrite=False)
    return record


def _is_done(run: SeriesRun, *, overwrite: bool) -> bool:
    record = _check_one(run, overwrite=overwrite)
    return record is not None and _is_finished(record)


def _trained_alike(run: SeriesRun, others: Sequence[SeriesRun]) -> Path | None:
    """Return the folder of another run that has trained with the same settings of what is read.

    The runs are compared, so labels that were changed after the first ones must not go unnoticed.
    """
    read = _settings_of_data(run)
    for other in others:
        folder = find_run_folder(other.output)
        has_trained = folder is not None and (folder / LOG_FILE).is_file()
        if other is not run and has_trained and _settings_of_data(other) == read:
            return folder
    return None


def _settings_of_data(run: SeriesRun) -> dict[str, Any]:
    learnt = learnt_settings(run.config).items()
    return {k: v for k, v in learnt if k.startswith(("data.", "tile.", "model."))}


def _has_state(record: RunRecord) -> bool:
    """Whether a run has a state to go on from, which the end of its first epoch writes."""
    return (record.folder / STATE_FILE).is_file()


def _check_same_settings(run: SeriesRun, record: RunRecord) -> None:
    wanted = learnt_settings(run.config)
    for name, value in record.settings.items():
        is_chosen = name.startswith("model.") or name == "train.data_name"  # by the data, or init
        if wanted[name] != value and not is_chosen:
            raise OutputError(
                f"{record.folder} was trained with {name} = {value!r}, not {wanted[name]!r}",
                hint="give another output, or --overwrite to train all runs from scratch",
                path=record.folder,
            )


def _is_finished(record: RunRecord) -> bool:
    """Whether a run has trained all, and has written its report, the last of its files.

    The eight-bit file, which not every run writes, comes before the report. A run that has lost its
    state cannot go on to write them.
    """
    is_written = (record.folder / REPORT_FILE).is_file() or not _has_state(record)
    return is_written and _has_trained(record)


def _has_trained(record: RunRecord) -> bool:
    """Whether a run has trained all its epochs, or ended since F1 no longer rose."""
    patience = record.settings.get("train.patience")
    validated = [row for row in record.rows if "f1" in row]
    best = record.best.get("epoch", 0.0)
    is_stale = patience is not None and sum(row["epoch"] > best for row in validated) >= patience
    return record.epochs >= record.epochs_planned or is_stale


def _spread(
    runs: Sequence[SeriesRun], records: Sequence[RunRecord]
) -> dict[str, dict[str, tuple[float, float]]]:
    groups: dict[str, list[RunRecord]] = {}
    for run, record in zip(runs, records, strict=True):
        groups.setdefault(run.group, []).append(record)
    return {
        group: {
            title: (statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)
            for title, key in (("F1", "f1"), ("AP", "ap"))
            if (values := [one.best[key] for one in members if key in one.best])
        }
        for group, members in groups.items()
    }


def _plain(value: Any) -> str:
    """Write a value as a part of a file's name."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return _UNSAFE.sub("_", text).strip("_")
