"""What a person does who looks at objects: the slider, classes, clicks, keys."""

import threading

import pytest
from on_page import COLOURS, COUNT, SAID, click_at, drawn, place, settle
from playwright.sync_api import expect

from geodet.errors import SceneError
from geodet.raster.scene import Scene
from geodet.viewer import shown_scene


def test_all_objects_are_drawn_and_counted(open_page):
    page = open_page()
    assert page.inner_text(COUNT) == "100 of 100"
    assert drawn(page) == set(range(100))
    assert page.title().startswith("scene.tif")
    colours = page.evaluate(COLOURS)
    assert max(colours.values()) < 1280 * 800


def test_the_slider_filters_at_once_and_counts_exactly(open_page):
    page = open_page()
    page.locator("#objects-score").fill("0.7")
    assert drawn(page) == set(range(70, 100))
    expect(page.locator(COUNT)).to_have_text("30 of 100")
    page.keyboard.press("Escape")
    page.locator("#map canvas").focus()
    page.keyboard.press("[")
    expect(page.locator(COUNT)).to_have_text("35 of 100")
    assert page.locator("#objects-panel input[type=number]").input_value() == "0.65"


def test_a_class_can_be_hidden(open_page):
    page = open_page()
    page.get_by_label("palm").uncheck()
    assert drawn(page) == set(range(0, 100, 2))
    expect(page.locator(COUNT)).to_have_text("50 of 100")


def test_a_click_shows_the_attributes_and_the_next_click_none(open_page):
    page = open_page()
    settle(page)
    click_at(page, 100, 60)
    card = page.locator("#card")
    card.wait_for()
    assert "tree" in card.inner_text()
    assert "0.124" in card.inner_text()
    click_at(page, 120, 80)
    card.wait_for(state="hidden")


def test_keys_step_through_objects_by_falling_score(open_page):
    page = open_page()
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_have_text("palm, score 0.99, 1 of 100")
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_have_text("tree, score 0.98, 2 of 100")
    page.keyboard.press("p")
    expect(page.locator(SAID)).to_have_text("palm, score 0.99, 1 of 100")
    settle(page)
    width = page.evaluate("document.querySelector('#map').clientWidth")
    assert place(page, 380, 380) == pytest.approx([width / 2, 400], abs=2)


def test_the_button_that_was_pressed_keeps_the_focus(open_page):
    page = open_page()
    page.keyboard.press("n")
    page.locator("#card button:has-text('Next')").focus()
    for said in ("tree, score 0.98, 2 of 100", "palm, score 0.97, 3 of 100"):
        page.keyboard.press("Enter")
        expect(page.locator(SAID)).to_have_text(said)
        assert page.evaluate("document.activeElement.textContent") == "Next"
    page.get_by_role("button", name="Close").last.click()
    assert page.evaluate("document.activeElement === geodetMap.getCanvas()")


def test_a_text_is_said_again(open_page):
    page = open_page()
    page.locator("#objects-score").fill("0.99")
    for _ in range(2):
        page.evaluate(
            """() => {
              const said = document.querySelector('#said');
              window.heard = new Promise((done) => {
                const hear = () => said.textContent && done(said.textContent);
                new MutationObserver(hear).observe(said, { childList: true });
              });
            }"""
        )
        page.keyboard.press("n")
        assert page.evaluate("heard") == "palm, score 0.99, 1 of 1"


def test_errors_are_walked_through_by_kind(open_page):
    page = open_page(errors=True)
    page.get_by_label("false positive").uncheck()
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_have_text("miss, 1 of 4")
    assert drawn(page) == set()  # the objects themselves wait to be switched on
    page.keyboard.press("o")
    assert drawn(page)


def test_the_panel_is_used_by_keyboard_alone(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "fold"
    page.keyboard.press("Enter")
    assert page.locator("#fold").get_attribute("aria-expanded") == "false"
    assert not page.locator("#layers").is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "objects-score"
    page.keyboard.press("ArrowRight")
    expect(page.locator(COUNT)).to_have_text("99 of 100")


def test_every_control_has_a_name(open_page):
    page = open_page(errors=True)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('input, button, summary, [role=img]')]
          .filter((one) => !(one.labels?.length || one.ariaLabel || one.title || one.textContent))
          .map((one) => one.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("dark", [False, True])
def test_the_text_has_contrast(open_page, dark):
    page = open_page(dark=dark)
    ratios = page.evaluate(
        """() => {
          const light = (text) => {
            const parts = text.match(/[\\d.]+/g).slice(0, 3).map((one) => one / 255)
              .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
          };
          const paper = light(getComputedStyle(document.body).backgroundColor);
          return ['h1', '#subtitle', '.count', '.fine', 'legend', 'summary'].map((name) => {
            const ink = light(getComputedStyle(document.querySelector(name)).color);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
          });
        }"""
    )
    assert min(ratios) >= 4.5


def test_a_narrow_page_has_the_map_above_the_panel(open_page):
    page = open_page(width=400, height=800)
    map_box, panel = page.locator("#map").bounding_box(), page.locator("#panel").bounding_box()
    assert map_box["width"] == 400
    assert panel["y"] >= map_box["y"] + map_box["height"] - 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate("document.querySelector('#panel').scrollWidth") <= 400


def test_a_scene_in_its_own_pixels_says_why(open_page):
    page = open_page(own_grid=True)
    assert page.inner_text("#subtitle").endswith("in its own pixels: as wished")
    click_at(page, 20, 20)
    page.locator("#card").wait_for()
    assert "10.0, 10.0, 30.0, 30.0" in page.inner_text("#card")


def test_the_place_under_the_pointer_is_shown(open_page):
    page = open_page()
    settle(page)
    page.mouse.move(*place(page, 123.5, 45.5))
    shown = page.inner_text("#place")
    assert "column 123, row 45" in shown
    x, y = (float(one) for one in shown.split(" · ")[0].split(", "))
    assert (x, y) == pytest.approx((500_000 + 123.5 * 0.6, 4_500_000 - 45.5 * 0.6), abs=0.4)


def test_a_part_that_cannot_be_read_is_said_with_its_hint(open_page, monkeypatch):
    overview = iter([Scene.read_part])

    def fail(*given):
        for read in overview:
            return read(*given)
        raise SceneError("cannot read it", hint="mend it")

    monkeypatch.setattr(Scene, "read_part", fail)
    page = open_page()
    message = page.locator("#message")
    expect(message).to_contain_text("cannot read it")
    expect(message).to_contain_text("mend it")
    assert "http" not in message.inner_text()
    message.get_by_role("button", name="Close").click()
    settle(page)
    page.problems.clear()  # the browser notes the answer with status 422


def test_objects_are_drawn_while_the_overview_of_the_scene_is_read(open_page, monkeypatch):
    """A large scene without overviews takes long to read as a whole."""
    read, may_go_on = Scene.read_part, threading.Event()
    overview = iter([may_go_on])

    def wait(*given):
        for event in overview:
            assert event.wait(120)
        return read(*given)

    monkeypatch.setattr(Scene, "read_part", wait)
    monkeypatch.setattr(shown_scene, "_SOON_READ", 0)
    page = open_page(errors=True)
    try:
        expect(page.locator("#busy")).to_have_text("Reading an overview of the scene …")
        page.keyboard.press("o")
        assert drawn(page)
    finally:
        may_go_on.set()
    expect(page.locator("#busy")).to_be_hidden()
    page.keyboard.press("o")
    settle(page)
    page.keyboard.press("0")
    assert len(page.evaluate(COLOURS)) > 100  # of the scene, no longer of the backdrop


def test_a_layer_without_scores_has_no_slider(open_page):
    page = open_page(scores=False)
    expect(page.locator(COUNT)).to_have_text("100 of 100")
    assert not page.locator("#objects-score").is_visible()
    settle(page)
    click_at(page, 100, 60)
    page.locator("#card").wait_for()
    assert "score" not in page.inner_text("#card")


def test_a_base_map_is_drawn_with_the_name_of_its_server(open_page):
    page = open_page(base_map="https://tiles.example.org/{z}/{x}/{y}.png")
    expect(page.locator("#attribution")).to_have_text("Base map: tiles.example.org")
    assert page.locator("#attribution").is_visible()
    tiles = [url for url in page.asked if url.startswith("https://tiles.example.org/")]
    assert tiles
    page.asked = []
