"""Class names of two files that differ in case and blanks alone."""

from hypothesis import given
from hypothesis import strategies as st

from geodet.tilesets.class_names import join_names


def test_names_that_differ_in_case_blanks_or_composed_letters_are_joined():
    joined = join_names(
        ["Car", " van ", "che\u0302ne", "bus"], ["car", "VAN", "Ch\u00eane", "tram"]
    )
    assert joined == {"Car": "car", " van ": "VAN", "che\u0302ne": "Ch\u00eane"}


def test_names_that_fall_together_in_a_file_are_joined_with_the_same_name_only():
    assert join_names(["Car", "car"], ["CAR"]) == {}
    assert join_names(["CAR"], ["Car", "car"]) == {}
    assert join_names(["Car", "car"], ["car", "van"]) == {"car": "car"}
    assert join_names(["car"], ["Car", "car"]) == {"car": "car"}


names = st.lists(st.sampled_from(["a", "A", " a", "b", "B", "c"]))


@given(names, names)
def test_joins_are_one_to_one_and_the_same_from_both_sides(ours, theirs):
    joined = join_names(ours, theirs)
    assert {b: a for a, b in joined.items()} == join_names(theirs, ours)
    assert set(ours) & set(theirs) <= {a for a, b in joined.items() if a == b}
