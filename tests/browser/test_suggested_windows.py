"""A review walks through the windows that were suggested, forwards and back."""

from on_page import SAID
from playwright.sync_api import expect

from geodet.geometry.windows import Window
from geodet.raster.scene import Scene
from geodet.reviewing.suggested_windows import SuggestedWindow, write_suggestions


def test_suggested_windows_come_in_their_order_with_their_reasons(open_page, painted, tmp_path):
    with Scene(painted) as scene:
        name, geobox = scene.name, scene.geobox
    places = [Window(200, 100, 128, 128), Window(0, 0, 128, 128), Window(50, 250, 128, 128)]
    windows = [SuggestedWindow(name, one, 1.0, 3, f"reason {n}") for n, one in enumerate(places)]
    write_suggestions(tmp_path / "r.gpkg", windows, {name: geobox}, geobox.crs)
    page = open_page(reviews="r.gpkg")
    page.keyboard.press("v")
    expect(page.locator(SAID)).to_have_text("Window 1 of 3: reason 0")
    page.keyboard.press("v")
    expect(page.locator(SAID)).to_have_text("Window 2 of 3: reason 1")
    expect(page.locator("#window-reason")).to_have_text("This one: reason 1")
    page.keyboard.press("b")
    expect(page.locator(SAID)).to_have_text("Window 1 of 3: reason 0")
    page.keyboard.press("w")
    expect(page.locator(SAID)).to_have_text("Window 2 of 3: reason 1")
    expect(page.locator("#windows-done")).to_have_text("1 of 3 windows reviewed")
    page.screenshot(path=tmp_path / "suggested.png")
    assert page.problems == []
