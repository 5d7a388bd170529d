"""What the benchmark of places computes by itself."""

from argparse import Namespace
from pathlib import Path

import pytest

import geodet

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture(autouse=True)
def _import_as_scripts_do(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.mark.parametrize(
    ("task", "stem", "place"),
    [
        ("vehicles", "MOS155", "street"),
        ("vehicles", "MOS74", "crossing"),
        ("urban-trees", "chico_2018_11", "chico"),
        ("urban-trees", "palm_springs_2020_3", "palm_springs"),
    ],
)
def test_a_place_is_known_by_the_name_of_the_image(task, stem, place):
    from places import TASKS

    assert TASKS[task].place(stem) == place
    assert sum(place in fold for fold in TASKS[task].folds) == 1


def test_a_place_is_scored_at_the_threshold_of_the_others():
    from places import travelled

    results = {
        "a": {"f1": [0.9, 0.5, 0.1]},
        "b": {"f1": [0.1, 0.6, 0.7]},
        "c": {"f1": [0.3, 0.8, 0.6]},
    }
    assert travelled(results, "a") == 0.5  # b and c have 0.2, 0.7 and 0.65
    assert travelled(results, "b") == 0.6  # a and c have 0.6, 0.65 and 0.35
    assert travelled(results, "c") == 0.8  # a and b have 0.5, 0.55 and 0.4


def test_nothing_travels_from_no_other_place():
    from places import travelled

    assert travelled({"a": {"f1": [0.9, 0.5]}}, "a") is None
    assert travelled({"a": {"f1": [0.9, 0.5]}, "b": {"f1": [0.9, 0.5]}}, "c") is None


def test_each_fold_of_each_variant_is_one_run():
    from places import plan

    options = Namespace(
        task="vehicles", seeds=[0, 1], folds=[], chips=100, variant=[["x", "a=1"], ["y"]]
    )
    runs = list(plan(options))
    assert len({run.key for run in runs}) == len(runs) == 2 * 2 * 2
    assert [run.seed for run in runs] == [0] * 4 + [1] * 4
    assert runs[0].settings == ("a=1",)
