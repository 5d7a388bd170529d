"""Suppression on a CUDA device, by the same functions on the CPU."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geodet.geometry.boxes import Detections
from geodet.merging.merger import suppress
from geodet.models.device_suppression import DeviceCandidates, suppress_on_device


def tied(seed, *, count=60, classes=2):
    """Return boxes that crowd, most with scores that others have too, as bfloat16 gives them."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 12, (count, 2))
    boxes = np.hstack([corners, corners + rng.integers(1, 9, (count, 2))]).astype(np.float32)
    scores = torch.logit(torch.from_numpy(rng.random(5))).bfloat16().float().sigmoid()
    few = scores[torch.from_numpy(rng.integers(0, 5, count))]
    return torch.from_numpy(boxes), few, torch.from_numpy(rng.integers(0, classes, count))


def joined(chips):
    """The candidates of chips in one."""
    image = [torch.full((len(boxes),), number) for number, (boxes, *_) in enumerate(chips)]
    return DeviceCandidates(torch.cat(image), *(torch.cat(of) for of in zip(*chips, strict=True)))


@given(
    st.integers(0, 10_000),
    st.lists(st.integers(0, 60), min_size=1, max_size=4),
    st.integers(1, 3),
    st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.75]),
    st.sampled_from([1, 20, 1000]),
)
def test_a_gpu_keeps_the_boxes_that_the_cpu_keeps(seed, counts, classes, iou_threshold, most):
    """Overlaps of just the threshold and equal scores are among them."""
    chips = [tied(seed + i, count=count, classes=classes) for i, count in enumerate(counts)]
    found = suppress_on_device(
        joined(chips), counts, classes=classes, iou_threshold=iou_threshold, max_candidates=most
    )
    for one, chip in zip(found, chips, strict=True):
        candidates = Detections(*(part.numpy() for part in chip)).ranked()
        expected = suppress(candidates.select(slice(most)), iou_threshold=iou_threshold)
        np.testing.assert_array_equal(one.boxes, expected.boxes)
        np.testing.assert_array_equal(one.scores, expected.scores)
        np.testing.assert_array_equal(one.labels, expected.labels)


@pytest.mark.parametrize("counts", [(0,), (0, 0, 0)])
def test_chips_without_candidates_have_no_detections(counts):
    none = joined([tied(0, count=0)] * len(counts))
    found = suppress_on_device(none, counts, classes=2, iou_threshold=0.5, max_candidates=9)
    assert [len(one) for one in found] == [0] * len(counts)
    assert found[0].boxes.shape == (0, 4)
