"""The attributes of objects, of which one row at a time is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geodet.geometry.arrays import Bools, Ints

__all__ = ["AttributeRows"]

_MOST_EXACT = 2**53 - 1  # of the whole numbers that a browser reads exactly


@dataclass(frozen=True, slots=True)
class AttributeRows:
    """Rows of tables, which stay as compact as they were read."""

    tables: Sequence[Any]
    """Frames of pandas or tables of Arrow."""
    rows: Ints
    """(N,) numbers of the rows, counted on from table to table."""

    @staticmethod
    def of(*tables: Any) -> AttributeRows:
        """Return all rows of tables; None is a table without rows."""
        known = [table for table in tables if table is not None]
        return AttributeRows(known, np.arange(sum(map(len, known))))

    def select(self, which: Bools) -> AttributeRows:
        """Keep rows by mask (N,)."""
        return self if which.all() else AttributeRows(self.tables, self.rows[which])

    def read(self, number: int) -> dict[str, Any]:
        """Return a row by attribute, as values of JSON; nothing without tables."""
        if not len(self.rows):
            return {}
        row = int(self.rows[number])
        for table in self.tables:
            if row < len(table):
                break
            row -= len(table)
        is_frame = hasattr(table, "iloc")
        values = table.iloc[row].to_dict() if is_frame else table.slice(row, 1).to_pylist()[0]
        return {str(key): _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    """Return a value that JSON has: None for what is missing, text for what it does not know."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    is_exact = not isinstance(value, int) or abs(value) <= _MOST_EXACT
    is_known = isinstance(value, bool | int | float | str | None)
    return value if is_known and is_exact else str(value)
