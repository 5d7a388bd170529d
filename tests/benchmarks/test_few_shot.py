"""What the benchmark of few labelled chips computes by itself."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

import geodet

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture(autouse=True)
def _import_as_scripts_do(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def city(places, years=3):
    return [
        SimpleNamespace(place=f"town_{place}", name=f"town_{year}_{place}")
        for year in range(years)
        for place in range(places)
    ]


@pytest.mark.parametrize("chips", [1, 10, 50, 100])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_place_is_labelled_and_scored(chips, seed):
    from few_shot import divide

    images = city(80)
    labelled, others = divide(images, chips, seed)
    assert len(labelled) == chips == len({image.name for image in labelled})
    assert not {image.place for image in labelled} & {image.place for image in others}
    assert len(others) >= len(images) / 3 - 3


def test_few_labelled_places_are_among_many():
    from few_shot import divide

    few, many = (divide(city(80), chips, 3)[0] for chips in (10, 50))
    assert {image.place for image in few} < {image.place for image in many}


def test_the_base_is_scored_once_for_each_choice_of_chips():
    from few_shot import plan

    options = Namespace(
        seeds=[0, 1], shots=[10, 25], ways=["adapted"], cities=["a", "b"], drawn=2000
    )
    shots = list(plan(options))
    assert len({shot.key for shot in shots}) == len(shots) == 2 * 2 * 2 * 2
    assert [shot.seed for shot in shots] == [0] * 8 + [1] * 8
    assert sum(shot.way == "base" for shot in shots) == 8
    assert all(shot.drawn == 0 for shot in shots if shot.way == "base")
