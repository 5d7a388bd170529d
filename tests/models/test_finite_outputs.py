import math

import numpy as np
import pytest
import torch

from geodet.errors import ModelFileError
from geodet.geometry.boxes import Detections
from geodet.models.finite_outputs import check_boxes, check_scores


def logits(value=0.0):
    scores = np.full((2, 5, 3), -3.0, np.float32)
    scores[1, 4, 2] = value
    return scores


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused_in_either_kind_of_array(value):
    for scores in (logits(value), torch.from_numpy(logits(value)).bfloat16()):
        with pytest.raises(ModelFileError, match="gives scores that are not finite") as caught:
            check_scores(scores)
        assert "train the model again" in caught.value.hint


def test_finite_scores_pass():
    check_scores(logits())
    check_scores(torch.zeros(0, 0, 1))


def test_boxes_that_are_not_finite_are_refused():
    boxes = np.float32([[0, 0, 1, math.nan]])
    found = Detections(boxes, np.float32([0.5]), np.int64([0]))
    with pytest.raises(ModelFileError, match="gives boxes that are not finite"):
        check_boxes([Detections.empty(), found])
    check_boxes([Detections.empty()])
