"""The charts of an evaluation."""

import numpy as np
import pytest
from PIL import Image

from geodet.config import MatchConfig
from geodet.evaluation.charts import _choose_rows, draw_curves
from geodet.evaluation.measures import EvaluatedImage, measure
from geodet.geometry.boxes import Detections


def figures(classes, count=30):
    random = np.random.default_rng(0)
    corners = random.uniform(0, 300, (count, 2))
    boxes = np.hstack([corners, corners + 10])
    labels = np.arange(count) % max(len(classes), 1)
    found = Detections(boxes + random.normal(0, 1, (count, 4)), random.random(count), labels)
    sample = EvaluatedImage("a", found, boxes, labels, np.zeros((0, 4)), None)
    evaluation = measure([sample], classes, MatchConfig(), threshold=0.5)
    return {"all": evaluation.overall, **evaluation.by_class}


@pytest.mark.parametrize("classes", [("tree",), ("car", "bus"), tuple("abcdefgh")])
def test_the_picture_has_a_row_for_each_class(tmp_path, classes):
    draw_curves(tmp_path / "curves.png", "trees", figures(classes))
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width == 1540
        rows = 1 if len(classes) == 1 else len(classes) + 1
        assert picture.height == pytest.approx(110 * (0.8 + 3.1 * rows), abs=1)
        assert len(picture.convert("RGB").getcolors(2**20)) > 50


def test_curves_without_detections_and_objects_are_drawn(tmp_path):
    draw_curves(tmp_path / "curves.png", "nothing", figures(("tree",), count=0))
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_of_many_classes_those_with_most_objects_are_drawn():
    names = tuple(f"class {n}" for n in range(20))
    rows = _choose_rows(figures(names, count=30))
    assert list(rows) == ["all", *names[:10], *names[10:12]]  # the first ten have two objects


def test_dollar_signs_in_names_are_no_formulas(tmp_path):
    draw_curves(tmp_path / "curves.png", r"$\frac$", figures((r"$\frac$ car", "$$")))
    assert (tmp_path / "curves.png").stat().st_size > 0
