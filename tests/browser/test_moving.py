"""What Shift and the arrows do at the edge of the scene."""

import contextlib
import sqlite3

from on_page import SAID, click_at, settle
from playwright.sync_api import expect


def test_a_box_that_is_moved_to_the_edge_keeps_its_size(open_page, tmp_path):
    page = open_page(reviews="r.gpkg")
    settle(page)
    click_at(page, 20, 20)
    expect(page.locator(SAID)).to_contain_text("tree")
    for _ in range(13):  # the box begins at column 10
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    pixels = page.locator("#card dd").nth(1)
    expect(pixels).to_have_text("0.0, 11.0, 20.0, 31.0")
    with contextlib.closing(sqlite3.connect(tmp_path / "r.gpkg")) as database:
        rows = database.execute("SELECT x1_px, y1_px, x2_px, y2_px FROM labels").fetchall()
    assert rows == [(0, 11, 20, 31)]
    page.locator("#review-panel button:has-text('Undo')").click()  # the last arrow
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_contain_text("1 of 100")
