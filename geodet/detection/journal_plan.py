"""The plan of a journal: the run that its parts belong to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geodet.documents.json_documents import parse_json
from geodet.documents.values import member, shown
from geodet.files.synced_files import write_synced

__all__ = ["PLAN_NAME", "JournalPlan", "read_plan"]

PLAN_NAME = "plan.json"
_LAYOUT = 4


@dataclass(frozen=True, slots=True)
class JournalPlan:
    """The run that the parts in a journal's folder belong to."""

    run: str
    """An identifier of the run, the same when it goes on after an interruption."""
    fingerprint: Mapping[str, str]
    """Everything that the rows depend on, as texts by name."""
    unreadable: frozenset[str] = frozenset()
    """Names in the fingerprint of scenes that could not be read to their end."""

    def with_unreadable(self, name: str) -> JournalPlan:
        """Return the plan with one more scene that could not be read."""
        return replace(self, unreadable=self.unreadable | {name})

    def write(self, folder: Path) -> None:
        """Write it into a folder, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        content: dict[str, Any] = {"layout": _LAYOUT, "run": self.run}
        content["fingerprint"] = dict(self.fingerprint)
        if self.unreadable:
            content["unreadable"] = sorted(self.unreadable)
        write_synced(folder / PLAN_NAME, json.dumps(content, indent=1).encode())


def read_plan(folder: Path) -> JournalPlan | None:
    """Read the plan in a folder; None where it is not one that this version of geodet writes.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return _to_plan(parse_json((folder / PLAN_NAME).read_text(encoding="utf-8")))
    except ValueError:
        return None


def _to_plan(content: Any) -> JournalPlan | None:
    """Convert parsed JSON to a plan; None for another layout.

    Raises:
        ValueError: A member is missing or of another type.
    """
    run = member(content, "run", str)
    fingerprint = member(content, "fingerprint", dict)
    unreadable = member({"unreadable": [], **content}, "unreadable", list)
    _check_texts([*fingerprint.values(), *unreadable])
    if content.get("layout") != _LAYOUT or not fingerprint:
        return None
    return JournalPlan(run, fingerprint, frozenset(unreadable))


def _check_texts(values: Iterable[Any]) -> None:
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a text")
