"""Runs side by side: a table of settings and figures, and one plot of their curves."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodet.errors import ConfigError
from geodet.files.outputs import check_destination, replacing
from geodet.files.spreadsheet_text import safe_text
from geodet.training.run_records import RunRecord, differing_settings

__all__ = [
    "RUN_PLOTS",
    "RUN_TABLES",
    "RunTable",
    "check_run_table",
    "plot_runs",
    "tabulate_runs",
    "write_run_table",
]

_FIGURES = {
    "best F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "AP": "ap",
    "AP50": "ap50",
}
_CURVES = {"f1": "F1", "ap": "AP", "loss": "training loss", "val_loss": "validation loss"}
_LINES = ("-", "--", "-.", ":")
RUN_PLOTS = (".png", ".pdf", ".svg")
"""Endings of the formats of the plot."""
_MOST_IN_LEGEND = 24


@dataclass(frozen=True, slots=True)
class RunTable:
    """A table of runs: cells are texts, as they are printed.

    Example:
        >>> small = {"model.backbone_level": 2, "model.levels": [2, 2], "model.anchor_sizes": [12]}
        >>> small |= {"train.chip_size": 64, "train.batch_size": 4}
        >>> for seed in (1, 2):
        ...     settings = {**small, "train.seed": seed}
        ...     report = geodet.train(
        ...         tiles, folder / f"{seed}.safetensors", epochs=1, settings=settings
        ...     )
        >>> table = geodet.compare_runs([folder / "1.run", folder / "2.run"])
        >>> table.columns[:2], [row[1] for row in table.rows]
        (('run', 'train.seed'), ['1', '2'])
    """

    columns: tuple[str, ...]
    """Titles: the run, the settings that differ, then figures."""
    rows: tuple[tuple[str, ...], ...]
    """The cells of each run, in the order given."""


def tabulate_runs(runs: Sequence[RunRecord]) -> RunTable:
    """Compare runs: the settings that differ, data, epochs, figures, speed and size.

    Raises:
        ConfigError: There are none.
    """
    if not runs:
        raise ConfigError("there are no runs to compare", hint="name folders NAME.run")
    names = differing_settings(runs)
    columns = ("run", *names, "data", "epochs", "best epoch", *_FIGURES, "chips/s", "MB")
    return RunTable(columns, tuple(_row(run, names) for run in runs))


def _row(run: RunRecord, names: Sequence[str]) -> tuple[str, ...]:
    best = run.best
    planned = run.epochs_planned
    epochs = str(run.epochs) if run.epochs == planned else f"{run.epochs} of {planned}"
    return (
        run.name,
        *(_cell(run.settings.get(name)) for name in names),
        run.data,
        epochs,
        f"{best['epoch']:.0f}" if best else "",
        *(_figure(best.get(key, math.nan), ".3f") for key in _FIGURES.values()),
        _figure(run.chips_per_second, ".1f"),
        _figure(math.nan if run.size_mb is None else run.size_mb, ".1f"),
    )


def _cell(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _figure(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def _to_text(table: RunTable) -> str:
    rows = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    lines = ("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _to_csv(table: RunTable) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([safe_text(cell) for cell in row] for row in (table.columns, *table.rows))
    return file.getvalue()


def _to_markdown(table: RunTable) -> str:
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    return "".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |\n" for r in lines)


_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _to_latex(table: RunTable) -> str:
    """Write a tabular for the package booktabs: names to the left, numbers to the right."""
    kinds = "".join("r" if _is_numeric(column) else "l" for column in zip(*table.rows, strict=True))
    lines = [
        " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row) + r" \\"
        for row in (table.columns, *table.rows)
    ]
    body = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{kinds}}}", *body, r"\end{tabular}", ""])


def _is_numeric(cells: Sequence[str]) -> bool:
    return all(
        not cell or cell.replace(".", "").replace("-", "").replace("e", "").isdigit()
        for cell in cells
    )


RUN_TABLES: Mapping[str, Callable[[RunTable], str]] = {
    "text": _to_text,
    "csv": _to_csv,
    "markdown": _to_markdown,
    "latex": _to_latex,
}
"""Functions that write a table, by the name of the format."""

_ENDINGS = {".txt": "text", ".csv": "csv", ".md": "markdown", ".tex": "latex"}


def write_run_table(
    table: RunTable, path: Path, *, format: str | None = None, overwrite: bool = False
) -> None:
    """Write a table of runs.

    Args:
        table: From :func:`tabulate_runs`.
        path: Ends in ``.txt``, ``.csv``, ``.md`` or ``.tex``, unless a format is named.
        format: A name in :data:`RUN_TABLES`; None goes by the ending.
        overwrite: Replace a file that exists.

    Raises:
        OutputError: The format is unknown, or the file exists or cannot be written.
    """
    check_run_table(path, format, overwrite=overwrite)
    text = RUN_TABLES[format or _ENDINGS[path.suffix.lower()]](table)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_run_table(path: Path, format: str | None, *, overwrite: bool) -> None:
    """Check that a table can be written, before the runs are read.

    Raises:
        OutputError: The format is unknown, or the file exists or cannot be written.
    """
    endings = [path.suffix.lower()] if format else list(_ENDINGS)
    check_destination(path, endings, overwrite=overwrite)


def plot_runs(records: Sequence[RunRecord], path: Path, *, overwrite: bool = False) -> None:
    """Plot F1, AP and both losses of runs by epoch, a line for each run.

    Args:
        records: The runs.
        path: Ends in ``.png``, ``.pdf`` or ``.svg``.
        overwrite: Replace a file that exists.

    Raises:
        OutputError: The file exists or cannot be written.
    """
    check_destination(path, RUN_PLOTS, overwrite=overwrite)
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chart = Figure(figsize=(12, 7.5), dpi=110, layout="constrained")
    FigureCanvasAgg(chart)
    axes = chart.subplots(2, 2).flat
    palette = colormaps["tab10"]
    for axis, (key, title) in zip(axes, _CURVES.items(), strict=True):
        for number, run in enumerate(records):
            points = [(row["epoch"], row[key]) for row in run.rows if row.get(key, -1.0) >= 0]
            x, y = zip(*points, strict=True) if points else ((), ())
            style = {"color": palette(number % 10), "linestyle": _LINES[number // 10 % 4]}
            axis.plot(x, y, linewidth=1.8, marker=".", label=run.name, **style)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set(xlabel="epoch")
        axis.grid(color="#eeeeee")
    handles, names = axis.get_legend_handles_labels()
    names = [name.replace("$", r"\$") for name in names]
    shown = slice(_MOST_IN_LEGEND)
    chart.legend(handles[shown], names[shown], loc="outside right upper", fontsize=9)
    with replacing(path) as temporary:
        chart.savefig(temporary, format=path.suffix[1:].lower())
