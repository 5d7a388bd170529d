"""The last section of every report: what was run, with which settings."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from geodet.reports.page_file import PagePart, PageSection
from geodet.reports.parts import ReportTable, TextBlock

__all__ = ["run_section"]


def run_section(about: Mapping[str, Any], settings: str, command: str | None) -> PageSection:
    """Return the section on how the figures were made.

    Args:
        about: Names of what was used; those that are None are left out.
        settings: The settings, as TOML or JSON; empty: not shown.
        command: The command line; None where Python code called.
    """
    known = {name: value for name, value in about.items() if value is not None}
    parts: list[PagePart] = []
    if known:
        rows = tuple((name.replace("_", " "), _as_text(value)) for name, value in known.items())
        parts.append(ReportTable(("", ""), rows, texts=2))
    if command is not None:
        parts.append(TextBlock(command))
    if settings:
        parts.append(TextBlock(settings, "All settings"))
    return PageSection("How it was made", parts)


def _as_text(value: Any) -> str:
    """Return a value to read; JSON of several numbers, as files store it, is written out."""
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if not isinstance(value, Mapping):
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    return ", ".join(f"{str(key).replace('_', ' ')} {_as_text(one)}" for key, one in value.items())
