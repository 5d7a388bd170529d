"""Unknown names are answered with known ones."""

import pytest

from geodet.config.section import did_you_mean, name_hint

NAMES = ["gpkg", "geojson", "csv"]


@pytest.mark.parametrize(("word", "near"), [("geojsn", "geojson"), ("gpgk", "gpkg")])
def test_a_misspelt_name_is_answered_with_the_nearest(word, near):
    assert did_you_mean(word, NAMES) == f"did you mean {near!r}?"


def test_a_word_unlike_all_names_is_answered_with_the_list_alone():
    assert did_you_mean("xyz", NAMES) == ""
    assert name_hint("xyz", NAMES, "formats") == "the formats are gpkg, geojson, csv"


def test_without_any_name_the_hint_says_so():
    assert name_hint("a", [], "bundled models") == "there are no bundled models"
