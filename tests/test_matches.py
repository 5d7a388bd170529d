import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geodet.models import matches
from geodet.models.matches import BACKGROUND, IGNORED, begin_matches, in_chunks


def cells(count):
    """Anchors of 4 px, centred at 2, 6, 10, ..."""
    return torch.tensor([[4.0 * i, 0.0, 4.0 * i + 4, 4.0] for i in range(count)]).reshape(-1, 4)


def regions(*boxes):
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


@pytest.mark.parametrize("pairs", [1, 2, 100])
def test_anchors_centred_in_a_region_are_ignored(monkeypatch, pairs):
    monkeypatch.setattr(matches, "_MOST_PAIRS", pairs)
    begun = begin_matches(cells(5), regions([0, 0, 3, 3], [6, 0, 13, 2], [30, 0, 40, 4]))
    assert begun.dtype == torch.int64
    assert begun.tolist() == [IGNORED, IGNORED, IGNORED, BACKGROUND, BACKGROUND]


def test_without_regions_all_is_background():
    assert begin_matches(cells(2), regions()).tolist() == [BACKGROUND, BACKGROUND]
    assert begin_matches(cells(0), regions()).tolist() == []
    assert begin_matches(cells(0), regions([0, 0, 9, 9])).tolist() == []


@given(rows=st.integers(0, 50), others=st.integers(0, 2**23))
def test_chunks_are_all_rows_in_order_and_small(rows, others):
    parts = list(in_chunks(torch.arange(rows), others))
    assert torch.cat(parts).tolist() == list(range(rows))
    assert all(len(part) * others <= 2**22 or len(part) == 1 for part in parts)
