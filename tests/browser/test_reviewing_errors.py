"""What a person does who reviews objects with the errors of an evaluation in view."""

import pytest
from on_page import SAID, click_at, drawn, settle
from playwright.sync_api import expect


@pytest.fixture
def page(open_page):
    return open_page(errors=True, reviews="r.gpkg")


def test_keys_step_through_the_detections_and_judge_them(page):
    assert drawn(page)
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_have_text("palm, score 0.99, 1 of 100")
    page.keyboard.press("a")
    expect(page.locator(SAID)).to_have_text("tree, score 0.98, 2 of 100")


def test_keys_step_through_the_errors_when_the_detections_are_hidden(page):
    page.keyboard.press("o")
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_contain_text("of 9")


def test_a_click_chooses_the_detection_below_an_error(page):
    settle(page)
    click_at(page, 20, 20)
    expect(page.locator(SAID)).to_have_text("tree, score 0.00")
    page.keyboard.press("a")
    expect(page.locator(SAID)).to_have_text("palm, score 0.99, 1 of 100")


def test_an_error_is_not_taken_for_the_detection_of_its_number(page):
    settle(page)
    click_at(page, 220, 20)
    expect(page.locator(SAID)).to_have_text("palm, score 0.05")
    page.keyboard.press("Delete")
    expect(page.locator("#card")).to_be_hidden()
    page.keyboard.press("o")
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_have_text("miss, 1 of 9")
