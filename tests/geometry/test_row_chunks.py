"""Functions of rows, chunk by chunk."""

import numpy as np
import pytest

from geodet.geometry import row_chunks
from geodet.geometry.row_chunks import map_rows


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_chunks_are_joined_in_order(monkeypatch, count):
    monkeypatch.setattr(row_chunks, "_ROWS", 8)
    rows = np.random.default_rng(count).normal(size=(count, 3, 2))
    found = map_rows(lambda part: part.sum(axis=1) * 2, rows)
    np.testing.assert_array_equal(found, rows.sum(axis=1) * 2)


def test_an_error_of_a_chunk_is_raised(monkeypatch):
    monkeypatch.setattr(row_chunks, "_ROWS", 2)

    def fail(part):
        raise ValueError("no such row")

    with pytest.raises(ValueError, match="no such row"):
        map_rows(fail, np.zeros((5, 2)))
