"""``data.class_map`` renames the classes of a model as well as those of the labels."""

import pytest
from test_evaluate import (
    FOUND,
    by_class,
    data,  # noqa: F401 - a fixture
    detect,  # noqa: F401 - a fixture
    model,
    overall,
)

from geodet.config import Config
from geodet.errors import TilesetError
from geodet.evaluation.evaluate import evaluate_model
from geodet.evaluation.threshold_curves import MatchCounts


def evaluated(tiles, names, classes=("car", "bus"), **fields):
    config = Config.model_validate({"data": {"class_map": names}})
    return evaluate_model(model(classes, **fields), tiles, config, device="cpu")


def test_classes_of_both_are_joined(data, detect):  # noqa: F811
    """As one class, the bus where a car is counts as right: 3 of 4."""
    detect(FOUND)
    report = evaluated(data, {"car": "vehicle", "bus": "vehicle"})
    assert by_class(report) == {"vehicle": MatchCounts(0.5, 3, 4, 4)}


def test_the_classes_of_the_model_alone_are_renamed(data, detect):  # noqa: F811
    detect(FOUND)
    names = {"auto": "car", "coach": "bus"}
    report = evaluated(data, names, classes=("auto", "coach"))
    plain = evaluate_model(model(), data, Config(), device="cpu")
    assert by_class(report) == by_class(plain)
    assert overall(report) == overall(plain)


def test_classes_of_a_model_that_differ_in_case_alone_are_those_of_the_labels(data, detect):  # noqa: F811
    detect(FOUND)
    report = evaluated(data, {}, classes=("Car", "BUS"))
    assert by_class(report) == by_class(evaluate_model(model(), data, Config(), device="cpu"))


def test_a_map_that_swaps_two_classes_renames_the_labels_alone(data, detect):  # noqa: F811
    """The model learnt the new names: found and labelled classes differ where they agreed."""
    detect(FOUND)
    swapped = evaluated(data, {"car": "bus", "bus": "car"}, classes=("bus", "car"))
    plain = evaluate_model(model(), data, Config(), device="cpu")
    assert by_class(swapped) == {
        "bus": by_class(plain)["car"],
        "car": by_class(plain)["bus"],
    }


def test_a_class_that_neither_has_is_refused(data, detect):  # noqa: F811
    detect(FOUND)
    with pytest.raises(TilesetError, match=r"no class .lorry., which data\.class_map renames"):
        evaluated(data, {"lorry": "car"})
