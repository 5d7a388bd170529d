"""Print progress and logs on stderr, results on stdout."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import typer

__all__ = [
    "log_nothing",
    "print_json",
    "print_stages",
    "print_table",
    "set_up_logging",
]


def set_up_logging(*, verbose: int, quiet: bool) -> None:
    """Log to stderr; messages of other libraries need ``-v``, and all of them ``-vv``.

    Under ``torchrun`` only the first process logs; the others log errors.
    """
    from rich.console import Console
    from rich.logging import RichHandler

    from geodet.files.torchrun import is_first_process

    is_other = not is_first_process()
    level = logging.ERROR if quiet or is_other else logging.INFO
    handler = RichHandler(
        console=Console(stderr=True), show_time=False, show_path=False, markup=False
    )
    others = (logging.ERROR, logging.INFO, logging.DEBUG)[0 if is_other else min(verbose, 2)]
    # A filter, since libraries set levels of their own when they are imported.
    handler.addFilter(lambda record: record.levelno >= (level if _is_ours(record) else others))
    logging.basicConfig(level=others, handlers=[handler], format="%(message)s", force=True)
    logging.getLogger("geodet").setLevel(logging.INFO)  # for the report of a run, even if quiet


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == "geodet"


@contextmanager
def log_nothing() -> Iterator[None]:
    """Drop the messages of checks that are repeated later."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def print_json(value: object) -> None:
    """Print a result as JSON."""
    typer.echo(json.dumps(_plain(value), indent=2))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a result as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def print_stages(seconds: Mapping[str, float], total: float) -> None:
    """Print the seconds of each stage on stderr, and which took the longest."""
    from rich.console import Console
    from rich.table import Table

    stages = {**seconds, "the rest": max(total - sum(seconds.values()), 0.0)}
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "seconds", "share"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, spent in stages.items():
        table.add_row(stage, f"{spent:.2f}", f"{100 * spent / total:.1f} %")
    console = Console(stderr=True)
    console.print(table)
    slowest = max(seconds, key=lambda stage: seconds[stage], default="the rest")
    console.print(f"bottleneck: {slowest}")


def _plain(value: object) -> Any:
    """Convert a report to values that JSON has."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
