"""Which object a click chooses where boxes lie close together or over each other."""

import geopandas
import numpy as np
import pytest
import shapely
from on_page import SAID, click_at, settle
from playwright.sync_api import expect

from geodet.geometry.oriented_boxes import oriented_corners
from geodet.raster.scene import Scene


@pytest.fixture
def open_with(open_page, painted, tmp_path):
    """Return a function that opens the page on objects of some names and outlines in pixels."""

    def make(outlines, **more):
        with Scene(painted) as scene:
            geobox = scene.geobox
        shapes = shapely.polygons(geobox.to_world(np.array(list(outlines.values()), float)))
        frame = geopandas.GeoDataFrame({"label": list(outlines)}, geometry=shapes, crs=geobox.crs)
        frame.assign(score=0.5).to_file(tmp_path / "found.gpkg", layer="detections")
        page = open_page(**more)
        settle(page)
        return page

    return make


def box(x1, y1, x2, y2):
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def is_chosen(page, name, column, row):
    click_at(page, column, row)
    expect(page.locator("#card h2")).to_have_text(name)


def test_the_box_that_holds_the_click_is_chosen_before_a_smaller_one_beside_it(open_with):
    page = open_with({"tree": box(100, 100, 112, 112), "shrub": box(107, 100, 113, 106)})
    is_chosen(page, "tree", 106, 106)
    is_chosen(page, "shrub", 110, 103)
    is_chosen(page, "tree", 99.5, 111)  # near enough


def test_of_boxes_of_one_size_the_nearest_is_chosen(open_with):
    page = open_with({"west": box(100, 100, 130, 130), "east": box(110, 100, 140, 130.5)})
    is_chosen(page, "west", 116, 115)
    is_chosen(page, "east", 124, 115)


def test_a_turned_box_is_as_large_as_its_own_sides_say(open_with):
    row = np.array([[120.0, 120.0, 80.0, 12.0, np.pi / 4]])
    page = open_with({"ship": oriented_corners(row)[0], "harbour": box(100, 100, 140, 140)})
    is_chosen(page, "ship", 120, 120)
    is_chosen(page, "harbour", 135, 105)


def test_a_dot_is_chosen_before_the_box_that_it_lies_in(open_with):
    page = open_with({"crown": box(100, 100, 140, 140), "nest": box(119, 119, 121, 121)})
    page.evaluate("geodetMap.jumpTo({zoom: geodetMap.getZoom() - 1})")
    settle(page)
    is_chosen(page, "nest", 120, 120)
    is_chosen(page, "crown", 123, 120)


def test_a_click_on_nothing_chooses_a_dot_near_it(open_with):
    page = open_with({"far": box(50, 50, 51, 51), "near": box(52, 50, 53, 51)})
    page.evaluate("geodetMap.jumpTo({zoom: geodetMap.getZoom() - 1})")
    settle(page)
    is_chosen(page, "near", 54.5, 50.5)
    page.keyboard.press("Escape")
    expect(page.locator("#card")).to_be_hidden()
    click_at(page, 62, 50.5)
    page.wait_for_timeout(300)
    assert not page.locator("#card").is_visible()


def test_a_reviewed_box_holds_the_click_before_a_detection_beside_it(open_with):
    page = open_with(
        {"tree": box(100, 100, 112, 112), "shrub": box(107, 100, 113, 106)}, reviews="r.gpkg"
    )
    is_chosen(page, "tree", 103, 109)
    page.keyboard.press("x")
    expect(page.locator(SAID)).to_contain_text("shrub")
    page.keyboard.press("0")
    settle(page)
    is_chosen(page, "tree", 106, 107)
    assert "rejected" in page.inner_text("#card")


def test_the_card_names_the_attribute_of_the_score_and_shows_all_others(
    open_page, painted, tmp_path
):
    frame = geopandas.read_file(tmp_path / "found.gpkg")
    frame = frame.assign(sureness=1 - frame["score"], number=2**60 + 1, north=4499994.126)
    frame.to_file(tmp_path / "found.gpkg", layer="detections")
    page = open_page(score_field="sureness")
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    names, values = (page.locator(f"#card {tag}").all_inner_texts() for tag in ("dt", "dd"))
    shown = dict(zip(names, values, strict=True))
    assert len(shown) == len(names)
    assert shown["sureness"] == "0.996"
    assert shown["score"] == "0.004"
    assert shown["number"] == "1152921504606846977"
    assert shown["north"] == "4499994.13"
