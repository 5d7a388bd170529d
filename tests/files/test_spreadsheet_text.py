import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geodet.files.spreadsheet_text import plain_text, safe_text


@given(st.text())
@example("'=x")
@example("''=x")
def test_every_text_comes_back(text):
    assert plain_text(safe_text(text)) == text


@given(st.text())
def test_no_text_begins_as_a_formula(text):
    assert not safe_text(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("text", ["oak", "", "a=b", "'s-Hertogenbosch", "3 -4", " =x"])
def test_other_texts_stay_as_they_are(text):
    assert safe_text(text) == text
