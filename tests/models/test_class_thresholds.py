import numpy as np
import pytest
from factories_models import architecture, describe

from geodet.errors import ConfigError
from geodet.geometry.boxes import Detections
from geodet.merging.merger import suppress
from geodet.models.class_thresholds import choose_thresholds, drop_weak


def about(**changes):
    return describe(architecture()).model_copy(update={"classes": ("car", "van", "bus"), **changes})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, (0.3, 0.6, 0.3)),
        (0.45, (0.45, 0.45, 0.45)),
        (0, (0.0, 0.0, 0.0)),
        ({"car": 0.1}, (0.1, 0.6, 0.3)),
        ({"van": 0.2, "bus": 0.9}, (0.3, 0.2, 0.9)),
    ],
)
def test_what_is_given_comes_before_the_models_own(given, wanted):
    assert choose_thresholds(about(score_thresholds={"van": 0.6}), given) == wanted


def test_an_unknown_class_is_refused():
    with pytest.raises(ConfigError, match="has no class 'cars'") as caught:
        choose_thresholds(about(), {"cars": 0.3})
    assert "did you mean 'car'" in caught.value.hint


def detections(count=300, seed=0):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 60, (count, 2))
    scores = random.uniform(0.05, 1, count).astype(np.float32)
    return Detections(np.hstack([corners, corners + 12]), scores, random.integers(0, 3, count))


def test_dropping_after_suppression_is_dropping_before():
    found, limits = detections(), (0.3, 0.7, 0.5)
    after = drop_weak(suppress(found, iou_threshold=0.3), limits)
    before = suppress(drop_weak(found, limits), iou_threshold=0.3)
    assert 0 < len(after) < len(suppress(found, iou_threshold=0.3))
    for name in ("boxes", "scores", "labels"):
        assert np.array_equal(getattr(after, name), getattr(before, name))


def test_a_score_that_equals_the_threshold_stays():
    score = np.float32(0.7)
    found = Detections(np.array([[0, 0, 1, 1.0]]), np.array([score]), np.array([1]))
    assert len(drop_weak(found, (0.1, 0.7, 0.1))) == 1
    assert len(drop_weak(found, (0.1, 0.70001, 0.1))) == 0


def test_equal_thresholds_leave_all():
    found = detections()
    assert drop_weak(found, (0.9, 0.9, 0.9)) is found
    assert drop_weak(found, ()) is found
