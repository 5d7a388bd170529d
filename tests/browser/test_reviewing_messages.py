"""The messages of the page when something cannot be done, and for how long."""

import pytest
from on_page import SAID, click_at, drag, settle
from playwright.sync_api import expect

MESSAGE, CLASS = "#message", "#review-class"
SMALL = "the box is smaller than half a pixel, or outside of the scene"


@pytest.fixture
def page(open_page):
    page = open_page(reviews="r.gpkg")
    yield page
    page.problems.clear()  # the browser notes answers with status 422, and that there is none


@pytest.fixture
def lost(page):
    """Choose an object, and end the server."""
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    settle(page)
    page.route("**/*", lambda route: route.abort("connectionrefused"))
    return page


@pytest.mark.parametrize("key", ["n", "a", "v"])
def test_a_server_that_is_gone_is_said_with_what_to_do(lost, key):
    lost.keyboard.press(key)
    message = lost.locator(MESSAGE)
    expect(message).to_contain_text("geodet view no longer runs")
    expect(message).to_contain_text("What was decided before is saved")
    expect(message).to_contain_text("open the new address")
    assert "fetch" not in message.inner_text()


def test_an_error_goes_when_a_decision_is_saved(page):
    page.keyboard.press("d")
    drag(page, (-30, 100), (-10, 120))
    message = page.locator(MESSAGE)
    expect(message).to_contain_text(SMALL)
    assert "the request is wrong" not in message.inner_text()
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_contain_text("1 of 100")
    expect(message).to_be_visible()  # nothing was decided
    page.keyboard.press("a")
    expect(message).to_be_hidden()


@pytest.mark.parametrize("has_object", [True, False])
def test_a_class_without_a_name_leaves_the_one_before(page, has_object):
    page.locator(CLASS).fill("palm")
    page.keyboard.press("Tab")
    if has_object:
        page.keyboard.press("n")
        page.locator("#card").wait_for()
    page.locator(CLASS).fill(" ")
    page.keyboard.press("Tab")
    expect(page.locator(MESSAGE)).to_contain_text("Type the name of a class")
    expect(page.locator(CLASS)).to_have_value("palm")


def test_a_name_that_is_refused_leaves_the_one_before(page):
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.locator(CLASS).fill("a" * 201)
    page.keyboard.press("Tab")
    expect(page.locator(MESSAGE)).to_contain_text("type one of at most 200")
    expect(page.locator(CLASS)).to_have_value("palm")


def test_a_drag_that_is_refused_leaves_the_frame_where_the_object_is(page):
    settle(page)
    click_at(page, 20, 20)
    page.locator("#card").wait_for()
    settle(page)
    drag(page, (20, 20), (-20, 20))
    expect(page.locator(MESSAGE)).to_contain_text(SMALL)
    settle(page)
    frames, corners = page.evaluate(
        """async () => {
          const { Frame } = await import(new URL('frame.js', document.baseURI).href);
          const frame = new Frame(await (await fetch('about.json')).json());
          const least = (name) => geodetMap.querySourceFeatures(name)
            .flatMap(({ geometry: { type, coordinates: c } }) => (type === 'Point' ? [c] : c[0]))
            .map((place) => frame.toPixels(place)[0]).reduce((a, b) => Math.min(a, b));
          return ['chosen', 'corners'].map(least);
        }"""
    )
    assert (frames, corners) == pytest.approx((10, 10), abs=0.5)
