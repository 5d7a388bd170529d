"""Unknown names are answered with known ones."""

import pytest

from geodet.config import TrainConfig
from geodet.config.section import did_you_mean, name_hint

NAMES = ["gpkg", "geojson", "csv"]


@pytest.mark.parametrize(("word", "near"), [("geojsn", "geojson"), ("gpgk", "gpkg")])
def test_a_misspelt_name_is_answered_with_the_nearest(word, near):
    assert did_you_mean(word, NAMES) == f"did you mean {near!r}?"


@pytest.mark.parametrize(("word", "key"), [("lr", "learning_rate"), ("wd", "weight_decay")])
def test_the_first_letters_of_a_key_are_answered_with_it(word, key):
    keys = [f"train.{name}" for name in TrainConfig.model_fields]
    assert did_you_mean(f"train.{word}", keys) == f"did you mean 'train.{key}'?"


def test_a_word_unlike_all_names_is_answered_with_the_list_alone():
    assert did_you_mean("xyz", NAMES) == ""
    assert name_hint("xyz", NAMES, "formats") == "the formats are gpkg, geojson, csv"


def test_without_any_name_the_hint_says_so():
    assert name_hint("a", [], "bundled models") == "there are no bundled models"
