import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.raster.bands import band_meanings, choose_bands, resolve_band

RGBN = ("red", "green", "blue", "nir")


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("Red", "red"),
        ("NIR", "nir"),
        ("near-infrared", "nir"),
        ("Near Infrared (842 nm)", "nir"),
        ("Band 3: blue", "blue"),
        ("SR_green", "green"),
        ("Red edge-717", "rededge"),
        ("B4", ""),
        ("band 1", ""),
        ("Layer_2", ""),
        ("Height above ground", "heightaboveground"),
    ],
)
def test_names_have_meanings(name, meaning):
    assert band_meanings([name], ["undefined"]) == (meaning,)


def test_numbered_bands_are_sentinel_2s_if_band_8_is_among_them():
    names = ["B01", "B02", "B03", "B04", "B08", "B8A"]
    assert band_meanings(names, [""] * 6)[1:5] == ("blue", "green", "red", "nir")
    assert band_meanings(names[:4], [""] * 4) == ("",) * 4  # Landsat's, perhaps


def test_a_colour_counts_if_the_name_has_no_meaning():
    names, colours = ["nir", "Band 2", "", ""], ["red", "green", "gray", "alpha"]
    assert band_meanings(names, colours) == ("nir", "green", "", "")


@given(st.permutations(RGBN))
def test_bands_in_any_order_are_chosen_by_name(order):
    places = choose_bands(RGBN, band_meanings(order, [""] * 4))
    assert [order[place] for place in places] == list(RGBN)


@pytest.mark.parametrize(
    ("wanted", "meanings", "places"),
    [
        (RGBN, ("blue", "green", "red", ""), (2, 1, 0, 3)),  # a fourth band without a name
        (RGBN, ("nir", "red", "green"), ()),  # colour infrared has no blue
        (RGBN, ("", "", "", ""), ()),
        (("thermal",), ("red", "green", "blue"), ()),
        (("thermal",), ("red", "thermal"), (1,)),
        (("band 1", "band 2"), ("red", "green"), ()),
        (("dsm", "red"), ("red", "DSM".lower()), (1, 0)),
        (("NIR 1", "NIR 2", "red"), ("nir", "nir", "red"), (0, 1, 2)),
        (("NIR 1", "NIR 2"), ("red", "nir"), (1, 1)),
    ],
)
def test_bands_are_chosen_by_what_they_show(wanted, meanings, places):
    assert choose_bands(wanted, meanings) == places


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("red", 3), ("R", 3), ("b8", 4), ("Near Infrared", 4), (" 2 ", 2), ("purple", 0), ("", 0)],
)
def test_a_band_is_found_by_number_name_or_meaning(wanted, number):
    names = ["B2", "B3", "B4", "B8"]
    assert resolve_band(wanted, names, band_meanings(names, [""] * 4)) == number
