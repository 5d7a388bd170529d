"""Rows in Arrow's memory layout, which GDAL and pyarrow read without a Python object for each."""

from __future__ import annotations

from collections.abc import Sequence

import nanoarrow
import numpy as np
from numpy.typing import NDArray

from geodet.vectors.rows import FIELDS, TEXTS, Rows
from geodet.vectors.wkb import pack_wkb

__all__ = ["to_arrow"]


def to_arrow(rows: Rows, geometry: str) -> nanoarrow.c_array.CArray:
    """Make a batch of the fields and then the geometry in WKB; an unknown area is null.

    Args:
        rows: The rows.
        geometry: The name of the column with the geometry.
    """
    columns = {
        name: _texts(rows.fields[name].tolist()) if name in TEXTS else _floats(rows.fields[name])
        for name in FIELDS
    }
    columns[geometry] = _binary(pack_wkb(rows.coordinates))
    schema = nanoarrow.struct({name: column.schema for name, column in columns.items()})
    children = list(columns.values())
    return nanoarrow.c_array_from_buffers(schema, len(rows), [None], children=children)


def _texts(values: Sequence[str]) -> nanoarrow.c_array.CArray:
    encoded = {value: value.encode() for value in set(values)}  # few: classes and scenes
    lengths = {value: len(code) for value, code in encoded.items()}
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum([lengths[value] for value in values], out=ends[1:])
    buffers = [None, ends, b"".join(map(encoded.__getitem__, values))]
    return nanoarrow.c_array_from_buffers(nanoarrow.string(), len(values), buffers)


def _floats(values: NDArray[np.float64]) -> nanoarrow.c_array.CArray:
    known = ~np.isnan(values)
    validity = None if known.all() else np.packbits(known, bitorder="little")
    buffers = [validity, np.ascontiguousarray(values, np.float64)]
    return nanoarrow.c_array_from_buffers(nanoarrow.float64(), len(values), buffers)


def _binary(values: NDArray[np.uint8]) -> nanoarrow.c_array.CArray:
    """Make a column of values of the same length: (N, length) bytes."""
    count, length = values.shape
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(length)
    return nanoarrow.c_array_from_buffers(nanoarrow.binary(), count, [None, ends, values.ravel()])
