"""Rows as batches of Arrow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from geodet.geopackage.wkb_encoding import pack_wkb
from geodet.vector.lazy_modules import compute, pyarrow
from geodet.vector.rows import APPROXIMATE, ID, TEXTS, Rows

__all__ = ["arrow_types", "to_arrow"]


def arrow_types(fields: Iterable[str]) -> dict[str, pyarrow.DataType]:
    """Return the types of columns in Arrow, in their order."""
    known = {**dict.fromkeys((ID, *TEXTS), pyarrow.string()), APPROXIMATE: pyarrow.bool_()}
    return {name: known.get(name, pyarrow.float64()) for name in fields}


def to_arrow(rows: Rows, geometry: str) -> pyarrow.RecordBatch:
    """Convert rows to a batch of Arrow: the fields, then the geometry in WKB.

    An unknown area is null, and so is the geometry of a row without a place.

    Args:
        rows: The rows.
        geometry: The name of the column with the geometry.
    """
    columns = [
        pyarrow.array(rows.fields[name], kind, from_pandas=True)
        for name, kind in arrow_types(rows.fields).items()
        if name != APPROXIMATE
    ]
    if APPROXIMATE in rows.fields:
        places = rows.fields[APPROXIMATE]
        columns.append(pyarrow.array(places, pyarrow.bool_(), mask=~places))
    shapes, is_placed = _fixed_length_binary(pack_wkb(rows.coordinates)), rows.is_placed
    if not is_placed.all():
        shapes = compute.if_else(pyarrow.array(is_placed), shapes, None)
    return pyarrow.record_batch([*columns, shapes], names=[*rows.fields, geometry])


def _fixed_length_binary(values: NDArray[np.uint8]) -> pyarrow.Array:
    """Make a binary column of (N, length) bytes without copying them."""
    count, length = values.shape
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(length)
    buffers = [None, pyarrow.py_buffer(ends), pyarrow.py_buffer(values)]
    return pyarrow.Array.from_buffers(pyarrow.binary(), count, buffers)
