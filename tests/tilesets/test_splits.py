import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.splits import choose_split, find_places, natural_key, pick_val_places

UTM10, UTM11 = CRS.from_epsg(32610), CRS.from_epsg(32611)


def lay(column, row, crs=UTM10, turn=0.0):
    """Return the geobox of a chip of 10 x 10 px in a common grid."""
    grid = Affine.rotation(turn) @ Affine(0.3, 0, 600_000.1, 0, -0.3, 4_000_000.7)
    return GeoBox(10, 10, grid @ Affine.translation(column, row), crs)


@pytest.mark.parametrize("turn", [0.0, 17.0])
def test_touching_and_overlapping_images_share_a_place(turn):
    boxes = [lay(c, 0, turn=turn) for c in (0, 10, 15, 40, 52, 1000)]
    assert find_places("abcdef", boxes) == ["a", "a", "a", "d", "e", "f"]


def test_neighbours_touch_despite_rounding():
    left, right = lay(0, 0), lay(10, 0)
    shifted = GeoBox(10, 10, Affine.translation(1e-6, 0) @ right.transform, UTM10)
    assert find_places("ab", [left, shifted]) == ["a", "a"]


def test_places_are_named_after_the_first_image_in_natural_order():
    assert find_places(["f10", "f9"], [lay(0, 0), lay(5, 5)]) == ["f9", "f9"]


def moved(box, crs):
    """Return the geobox of a chip about the same ground in another CRS."""
    x, y = box.to_world(np.zeros(2), crs)
    return GeoBox(box.width, box.height, Affine(0.3, 0, x, 0, -0.3, y), crs)


def test_images_of_one_place_in_two_crs_share_it():
    esri = CRS.from_wkt(UTM10.to_wkt("WKT1_ESRI"))
    boxes = [lay(0, 0), lay(100, 0), moved(lay(5, 2), UTM11), moved(lay(200, 0), UTM11)]
    boxes += [GeoBox(10, 10, lay(110, 0).transform, esri), moved(lay(202, 3), CRS.from_epsg(3857))]
    assert find_places("abcdef", boxes) == ["a", "b", "a", "d", "b", "d"]


def test_images_of_a_crs_without_a_place_on_the_globe_are_compared_among_themselves():
    site = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    boxes = [lay(0, 0), lay(0, 0, site), lay(5, 0, site), lay(40, 0, site)]
    assert find_places("abcd", boxes) == ["a", "b", "b", "d"]


def test_images_across_the_antimeridian_in_two_crs_share_a_place():
    first, last = CRS.from_epsg(32701), CRS.from_epsg(32760)
    degrees = GeoBox(10, 10, Affine(0.001, 0, 179.995, 0, -0.001, -17), CRS.from_epsg(4326))
    boxes = [moved(degrees, crs) for crs in (first, last)]
    assert find_places("abc", [degrees, *boxes]) == ["a", "a", "a"]


def test_the_same_numbers_in_two_crs_are_two_places_and_no_georeference_is_none():
    nowhere = GeoBox(10, 10, Affine.identity(), None)
    boxes = [lay(0, 0), lay(0, 0, UTM11), nowhere, lay(0, 0, None), lay(5, 0, None)]
    assert find_places("abcde", boxes) == ["a", "b", None, "d", "d"]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_places_do_not_depend_on_the_order(offsets, random):
    names = [f"n{i}" for i in range(len(offsets))]
    order = list(range(len(offsets)))
    random.shuffle(order)
    places = find_places(names, [lay(*offset) for offset in offsets])
    shuffled = find_places([names[i] for i in order], [lay(*offsets[i]) for i in order])
    assert shuffled == [places[i] for i in order]


@given(st.sets(st.text(max_size=3), max_size=30), st.floats(0, 0.99), st.integers(0, 5))
def test_val_is_at_least_one_place_and_never_all(places, fraction, seed):
    picked = dict(pick_val_places([*places, *places], fraction, seed))
    assert picked.keys() == places
    count = sum(picked.values())
    if len(places) < 2 or fraction == 0:
        assert count == 0
    else:
        assert 1 <= count < len(places)
        assert abs(count - fraction * len(places)) <= 1


def test_natural_order_sorts_numbers_by_value():
    assert sorted(["x2y10", "x10", "x2y9", "x"], key=natural_key) == ["x", "x2y9", "x2y10", "x10"]


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=20).filter(lambda p: len({*p}) > 1))
def test_a_place_is_never_in_both(places):
    names = [f"{i}.tif" for i in range(len(places))]
    splits = choose_split(names, places, DataConfig())
    val = {p for p, s in zip(places, splits, strict=True) if s == "val"}
    train = {p for p, s in zip(places, splits, strict=True) if s == "train"}
    assert val
    assert train
    assert not val & train


def test_frames_without_a_place_validate_as_one_run_at_the_end():
    names = [f"f{i}.png" for i in range(20)]
    order = np.random.default_rng(0).permutation(20)
    splits = choose_split([names[i] for i in order], [None] * 20, DataConfig(val_fraction=0.2))
    assert sorted(i for i, s in zip(order, splits, strict=True) if s == "val") == [16, 17, 18, 19]


def test_patterns_match_file_names_or_stems():
    names = ["x/a_1.png", "x/a_2.png", "b_1.png"]
    for pattern in ("a_*", "a_?.png"):
        splits = choose_split(names, ["p"] * 3, DataConfig(val=(pattern,)))
        assert splits == ["val", "val", "train"]


@pytest.mark.parametrize(("pattern", "which"), [("*", "all"), ("c*", "none")])
def test_patterns_that_match_no_image_or_all_are_refused(pattern, which):
    with pytest.raises(TilesetError, match=f"matches {which} of the 2 images"):
        choose_split(["a.png", "b.png"], [None, None], DataConfig(val=(pattern,)))


@pytest.mark.parametrize(
    ("places", "message"),
    [(["p", "p"], "all images show one location"), ([None], "there is one image")],
)
def test_one_place_cannot_be_split_but_trains_without_validation(places, message):
    names = "ab"[: len(places)]
    with pytest.raises(TilesetError, match=f"no split is possible: {message}") as caught:
        choose_split(names, places, DataConfig())
    assert "data.val_fraction=0" in caught.value.hint
    assert choose_split(names, places, DataConfig(val_fraction=0)) == ["train"] * len(places)


@pytest.mark.parametrize("pattern", ["a*", "c*"])
def test_patterns_cannot_split_the_only_image(pattern):
    with pytest.raises(TilesetError, match=r"cannot split the only image, a\.png") as caught:
        choose_split(["a.png"], [None], DataConfig(val=(pattern,)))
    assert "data.val_fraction=0" in caught.value.hint


def test_images_on_the_two_sides_of_the_antimeridian_share_a_place():
    degrees = CRS.from_epsg(4326)
    lefts = (179.99, -180.0, 180.01, 10.0)
    boxes = [GeoBox(10, 10, Affine(0.001, 0, x, 0, -0.001, -17), degrees) for x in lefts]
    assert find_places("abcd", boxes) == ["a", "a", "a", "d"]


def test_files_of_one_name_go_together():
    """A picture in two formats would otherwise train and validate."""
    names = [f"{stem}{ending}" for stem in ("a", "b", "c", "d/c") for ending in (".jpg", ".png")]
    parts = choose_split(names, [None] * len(names), DataConfig(val_fraction=0.3))
    assert dict(zip(names, parts, strict=True)) == {
        name: "val" if name.startswith("d/c") else "train" for name in names
    }
