import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geodet.models.hard_examples import HardExamples


def draw(count, seed, *, side=60, levels=50):
    """Give losses with some ties, boxes of which many overlap, and which are positive."""
    random = torch.Generator().manual_seed(seed)
    losses = torch.randint(0, levels, (count,), generator=random) / 8
    corner = torch.rand((count, 2), generator=random) * side
    size = torch.rand((count, 2), generator=random) * 12 + 4
    positive = torch.rand(count, generator=random) < 0.15
    return losses, torch.cat([corner, corner + size], dim=1), positive


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def define(losses, anchors, positive, batch_size, threshold, negatives):
    """Sort all, suppress all, then choose."""
    boxes, kept = anchors.tolist(), []
    for i in sorted(range(len(losses)), key=lambda i: -losses[i].item()):
        if all(overlap(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    if not negatives:
        return kept[:batch_size]
    found = [i for i in kept if positive[i]][: max(1, batch_size // (1 + negatives))]
    others = [i for i in kept if not positive[i]]
    return found + others[: negatives * max(1, len(found))]


@given(
    count=st.integers(0, 120),
    seed=st.integers(0, 10_000),
    batch_size=st.sampled_from([1, 4, 10, 500]),
    threshold=st.sampled_from([0.1, 0.5, 0.7]),
    negatives=st.sampled_from([0, 1, 3]),
)
def test_it_equals_sorting_and_suppressing_all(count, seed, batch_size, threshold, negatives):
    losses, anchors, positive = draw(count, seed)
    found = HardExamples(batch_size, threshold, negatives)(losses, anchors, positive)
    wanted = define(losses, anchors, positive, batch_size, threshold, negatives)
    assert found.dtype == torch.int64
    assert found.tolist() == wanted


@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_of_one_mistake_one_anchor_trains(threshold):
    anchors = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10], [80, 0, 90, 10]])
    losses = torch.tensor([4.0, 5.0, 1.0, 0.5])
    found = HardExamples(3, threshold)(losses, anchors, torch.zeros(4, dtype=torch.bool))
    assert found.tolist() == ([1, 2, 3] if threshold == 0.3 else [1, 0, 2])


def test_the_ratio_makes_room_for_positives():
    anchors = torch.tensor([[20.0 * i, 0, 20.0 * i + 10, 10] for i in range(8)])
    losses = torch.arange(8.0, 0.0, -1.0)
    positive = torch.tensor([False] * 7 + [True])
    assert HardExamples(4, 0.5)(losses, anchors, positive).tolist() == [0, 1, 2, 3]
    assert HardExamples(4, 0.5, 3)(losses, anchors, positive).tolist() == [7, 0, 1, 2]
    assert HardExamples(8, 0.5, 1)(losses, anchors, positive).tolist() == [7, 0]
    nothing = torch.zeros(8, dtype=torch.bool)
    assert HardExamples(8, 0.5, 3)(losses, anchors, nothing).tolist() == [0, 1, 2]
