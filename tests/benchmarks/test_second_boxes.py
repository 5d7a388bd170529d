"""What the benchmark of second boxes computes by itself."""

from pathlib import Path

import numpy as np
import pytest

import geodet
from geodet.geometry.boxes import Detections

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture(autouse=True)
def _import_as_scripts_do(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def find_trees(*points):
    """Return boxes of 12 px with these centres and scores, strongest first."""
    boxes = [(x - 6.0, y - 6.0, x + 6.0, y + 6.0) for x, y, _ in points]
    scores = [score for _, _, score in points]
    return Detections(np.array(boxes), np.array(scores), np.zeros(len(points))).ranked()


def test_second_boxes_are_those_beyond_the_first_in_a_crown():
    from second_boxes import count_second_boxes

    centres, radii = np.array([[20.0, 20.0], [60.0, 20.0]]), np.array([10.0, 5.0])
    found = find_trees((18, 20, 0.9), (27, 20, 0.8), (20, 29, 0.4), (60, 20, 0.5), (60, 30, 0.5))
    assert count_second_boxes(found, centres, radii) == 2  # the last one is outside of both crowns


@pytest.mark.parametrize(("score", "metres", "left"), [(0.4, 9.0, 1), (0.6, 9.0, 2), (0.4, 4.0, 2)])
def test_a_weak_box_beside_a_strong_one_goes(score, metres, left):
    from second_boxes import suppress_weak

    found = find_trees((20, 20, 0.8), (32, 20, score))  # 7.2 m apart, and no overlap
    assert len(suppress_weak(found, metres=metres, factor=0.7)) == left


def test_the_part_of_the_smaller_box_is_1_inside_another():
    from second_boxes import part_of_smaller

    others = np.array([[2.0, 2.0, 4.0, 4.0], [5.0, 0.0, 15.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    assert part_of_smaller(np.array([0.0, 0.0, 10.0, 10.0]), others) == pytest.approx([1, 0.5, 0])
