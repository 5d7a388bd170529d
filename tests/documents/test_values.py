import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.documents.text import DocumentError
from geodet.documents.values import (
    check_class_name,
    check_name,
    check_plain_values,
    finite_number,
    member,
    plain_word,
    shown,
    whole_number,
)

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(ODD)
def test_a_value_is_shown_in_one_short_printable_line(value):
    text = shown(value)
    assert len(text) <= 80
    assert text.isprintable()


def test_large_values_and_halves_of_characters_are_shown():
    for value in (10**5000, -(10**5000), [10**5000], "x" * 10**6, "\ud800\n\x1b[31m"):
        assert len(shown(value)) <= 80
        shown(value).encode()


def test_the_digits_of_a_large_number_are_counted():
    assert shown(10**400) == "a number of about 400 digits"


@given(ODD)
def test_a_finite_number_is_finite_or_refused(value):
    try:
        number = finite_number(value)
    except ValueError:
        return
    assert math.isfinite(number)


@pytest.mark.parametrize("value", [True, None, [], "", "x", math.nan, "inf", 10**400, -math.inf])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="is not a finite number"):
        finite_number(value)


def test_whole_numbers():
    assert [whole_number(value) for value in (3, 3.0, "3")] == [3, 3, 3]
    with pytest.raises(ValueError, match=r"2\.5 is not a whole number"):
        whole_number(2.5)


@given(st.integers(-(2**53), 2**53))
def test_a_word_is_the_same_for_a_number_of_any_type(number):
    assert (
        plain_word(number) == plain_word(float(number)) == plain_word(f" {number} ") == str(number)
    )


@pytest.mark.parametrize("value", [True, None, {}, math.inf, 10**400, "x" * 1001])
def test_what_is_no_word_is_refused(value):
    with pytest.raises(ValueError, match=r"neither|finite|characters"):
        plain_word(value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 5000, "5,000 characters"),
        ("x/" * 3000, "6,000 characters"),
        ("ä" * 128, "128 characters"),
        ("a\0b", "NUL"),
        ("\ud800.png", "an incomplete character"),
    ],
)
def test_names_that_no_file_can_have_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        check_name(name)


def test_a_long_path_of_short_names_is_a_name():
    assert check_name("folder/" * 100 + "ä" * 120 + ".png")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "it is 3, not an object"),
        ({}, "it has no points"),
        ({"points": {"a": 1}}, r"its points is {'a': 1}, not a list"),
    ],
)
def test_a_missing_member_is_named(entry, message):
    with pytest.raises(ValueError, match=message):
        member(entry, "points", list)


def test_a_member_is_returned():
    assert member(json.loads('{"points": []}'), "points", list) == []


def test_plain_values_have_a_depth_and_finite_numbers():
    check_plain_values({"a": [[1, 2**1000]]}, deepest=3)
    with pytest.raises(DocumentError, match="more than 2 levels"):
        check_plain_values({"a": [[1]]}, deepest=2)
    with pytest.raises(DocumentError, match="a number of about"):
        check_plain_values({"a": 2**2000}, deepest=3)


@pytest.mark.parametrize(("name", "why"), [("a\0b", "NUL"), ("\ud800", "an incomplete character")])
def test_a_class_name_that_files_cannot_hold_is_refused(name, why):
    with pytest.raises(ValueError, match=why):
        check_class_name(name)
    assert check_class_name("tree\n🌳") == "tree\n🌳"
