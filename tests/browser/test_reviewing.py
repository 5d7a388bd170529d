"""What a person does who reviews objects: keys, drags, undo, windows."""

import contextlib
import sqlite3

import pandas
import pytest
from on_page import SAID, click_at, drag, drawn, place, settle
from playwright.sync_api import expect

UNDO = "#review-panel button:has-text('Undo')"


@pytest.fixture
def page(open_page):
    return open_page(reviews="r.gpkg")


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a layer of the reviews, as SQLite does while others write."""

    def make(layer="labels"):
        with contextlib.closing(sqlite3.connect(tmp_path / "r.gpkg")) as database:
            return pandas.read_sql(f"SELECT * FROM {layer} ORDER BY fid", database)

    return make


def box_of(row):
    return [row["x1_px"], row["y1_px"], row["x2_px"], row["y2_px"]]


def rows_of(read, count, layer="labels"):
    """Wait until a layer has as many rows, and return them."""
    for _ in range(100):
        if len(frame := read(layer)) == count:
            return frame
        drag.page.wait_for_timeout(50)
    raise AssertionError(f"{layer} has {len(read(layer))} rows, not {count}")


@pytest.fixture(autouse=True)
def _waiting(page):
    drag.page = page


def test_keys_judge_and_go_on_to_the_next(page, read):
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_have_text("palm, score 0.99, 1 of 100")
    page.keyboard.press("a")
    expect(page.locator(SAID)).to_have_text("tree, score 0.98, 2 of 100")
    page.keyboard.press("x")
    expect(page.locator(SAID)).to_have_text("palm, score 0.97, 3 of 100")
    assert read()["source"].tolist() == [99]
    assert read("rejected")["source"].tolist() == [98]


@pytest.mark.parametrize("typed", ["N", "т"], ids=["Caps Lock", "Cyrillic"])
def test_letters_are_keys_however_they_are_typed(page, typed):
    event = f"{{ key: '{typed}', code: 'KeyN', bubbles: true }}"
    page.evaluate(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {event}))")
    expect(page.locator(SAID)).to_have_text("palm, score 0.99, 1 of 100")


def test_a_correction_is_kept_when_it_is_accepted(page, read):
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.keyboard.press("Shift+ArrowRight")
    page.locator("#review-class").fill("boat")
    page.get_by_role("button", name="Accept").click()
    expect(page.locator(SAID)).to_have_text("tree, score 0.98, 2 of 100")
    row = rows_of(read, 1).iloc[0]
    assert (row["source"], row["label"], row["verdict"]) == (99, "boat", "changed")
    assert box_of(row) == pytest.approx([371, 370, 391, 390], abs=0.01)


def test_delete_rejects_a_detection_without_a_decision(page, read):
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.keyboard.press("Delete")
    assert rows_of(read, 1, "rejected")["source"].tolist() == [99]
    expect(page.locator("#card")).to_be_hidden()
    page.keyboard.press("n")
    expect(page.locator("#card h2")).to_have_text("tree")
    page.get_by_role("button", name="Delete").click()
    assert rows_of(read, 2, "rejected")["source"].tolist() == [99, 98]


@pytest.mark.parametrize("key", ["v", "w", "b"])
def test_another_window_leaves_nothing_chosen(page, read, key):
    page.keyboard.press("v")
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.keyboard.press(key)
    expect(page.locator(SAID)).to_contain_text("Window")
    expect(page.locator("#card")).to_be_hidden()
    page.keyboard.press("x")
    expect(page.locator(SAID)).to_have_text("Choose a detection first")
    assert len(read("rejected")) == 0


def test_a_decision_is_undone(page, read):
    expect(page.locator(UNDO)).to_be_disabled()
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.keyboard.press("a")
    rows_of(read, 1)
    page.locator(UNDO).click()
    rows_of(read, 0)
    expect(page.locator(UNDO)).to_be_disabled()


def test_an_object_is_dragged_and_resized_at_a_corner(page, read):
    settle(page)
    click_at(page, 100, 60)
    page.locator("#card").wait_for()
    settle(page)
    drag(page, (100, 60), (110, 64))
    row = rows_of(read, 1).iloc[0]
    assert row["verdict"] == "changed"
    assert box_of(row) == pytest.approx([100, 54, 120, 74], abs=1)
    settle(page)
    drag(page, (120, 74), (130, 80))
    page.wait_for_timeout(500)
    assert box_of(rows_of(read, 1).iloc[0]) == pytest.approx([100, 54, 130, 80], abs=1)


def test_the_map_moves_where_no_object_is_held(page):
    settle(page)
    before = page.evaluate("geodetMap.getCenter().lng")
    drag(page, (200, 200), (260, 200))
    assert page.evaluate("geodetMap.getCenter().lng") < before


def test_an_object_is_moved_and_grown_by_keys(page, read):
    settle(page)
    click_at(page, 100, 60)
    page.locator("#card").wait_for()
    page.keyboard.press("Shift+ArrowRight")
    assert box_of(rows_of(read, 1).iloc[0]) == pytest.approx([91, 50, 111, 70], abs=0.01)
    card = page.locator("#card")
    card.get_by_text("91.0, 50.0, 111.0, 70.0").wait_for()  # the next key changes what is shown
    page.keyboard.press(".")
    card.get_by_text("90.5, 49.5, 111.5, 70.5").wait_for()
    assert box_of(read().iloc[0]) == pytest.approx([90.5, 49.5, 111.5, 70.5], abs=0.01)


def test_keys_that_come_before_an_answer_change_what_the_answer_brings(page, read):
    """None of several fast changes is lost, and the next object is the next one."""
    settle(page)
    click_at(page, 100, 60)
    page.locator("#card").wait_for()

    def answer_late(route):
        page.wait_for_timeout(150)
        route.continue_()

    page.route("**/reviews", answer_late)
    for key in ("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", "."):
        page.keyboard.press(key)
    page.locator("#card").get_by_text("91.5, 50.5, 112.5, 71.5").wait_for()
    assert box_of(rows_of(read, 1).iloc[0]) == pytest.approx([91.5, 50.5, 112.5, 71.5], abs=0.01)
    page.keyboard.press("Escape")
    for key in ("n", "a", "x"):
        page.keyboard.press(key)
    rows_of(read, 1, "rejected")
    assert read("rejected")["source"].tolist() != read()["source"].tolist()[-1:]


def test_width_and_height_are_changed_apart_by_keys(page):
    settle(page)
    click_at(page, 100, 60)
    card = page.locator("#card")
    for key, box in (
        ("l", "89.5, 50.0, 110.5, 70.0"),
        ("k", "89.5, 50.5, 110.5, 69.5"),
        ("j", "90.0, 50.5, 110.0, 69.5"),
        ("i", "90.0, 50.0, 110.0, 70.0"),
    ):
        card.wait_for()
        page.keyboard.press(key)
        expect(card).to_contain_text(box)


def test_an_object_is_drawn_with_a_class_of_its_own_and_deleted(page, read):
    settle(page)
    page.locator("#review-class").fill("boat")
    page.get_by_role("button", name="Draw").click()
    drag(page, (34, 34), (48, 46))
    row = rows_of(read, 1).iloc[0]
    assert (row["label"], row["verdict"]) == ("boat", "added")
    assert box_of(row) == pytest.approx([34, 34, 48, 46], abs=1)
    expect(page.locator("#card h2")).to_have_text("boat")
    page.get_by_role("button", name="Delete").click()
    rows_of(read, 0)


def test_an_object_is_drawn_by_keys_alone(page, read):
    page.keyboard.press("d")
    expect(page.locator(SAID)).to_contain_text("press Enter")
    page.keyboard.press("Enter")
    row = rows_of(read, 1).iloc[0]
    x1, y1, x2, y2 = box_of(row)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((200, 200), abs=1)


def test_the_class_of_the_chosen_object_is_changed(page, read):
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.locator("#review-class").fill("tree")
    page.keyboard.press("Tab")
    row = rows_of(read, 1).iloc[0]
    assert (row["source"], row["label"], row["verdict"]) == (99, "tree", "changed")


def test_a_window_is_not_done_while_the_detections_are_hidden(page, read):
    page.keyboard.press("w")
    expect(page.locator(SAID)).to_have_text("Window 1 of 4")
    page.keyboard.press("o")
    page.keyboard.press("w")
    expect(page.locator("#message")).to_contain_text("The detections are hidden: show them with o")
    assert not len(read())
    page.keyboard.press("o")
    page.keyboard.press("w")
    expect(page.locator(SAID)).to_have_text("Window 2 of 4")
    assert len(rows_of(read, 25))


def test_windows_are_done_one_after_the_other(page, read):
    page.locator("#objects-score").fill("0.5")
    page.keyboard.press("w")
    expect(page.locator(SAID)).to_have_text("Window 1 of 4")
    page.keyboard.press("w")
    expect(page.locator(SAID)).to_have_text("Window 2 of 4")
    expect(page.locator("#windows-done")).to_have_text("1 of 4 windows reviewed")
    assert len(read()) == 0  # the objects in it score less
    page.keyboard.press("v")
    expect(page.locator(SAID)).to_have_text("Window 3 of 4")
    page.keyboard.press("w")
    rows_of(read, 2, "windows")
    assert sorted(rows_of(read, 25)["source"]) == [
        r * 10 + c for r in range(5, 10) for c in range(5)
    ]


def test_a_decision_redraws_its_own_object_alone(page):
    page.evaluate(
        """() => {
          const source = geodetMap.getSource('reviewed');
          window.redrawn = [];
          for (const name of ['setData', 'updateData']) {
            const work = source[name].bind(source);
            source[name] = (what) => redrawn.push((what.add ?? what.features).length) && work(what);
          }
        }"""
    )
    page.keyboard.press("n")
    for count in (2, 3):
        page.keyboard.press("a")
        expect(page.locator(SAID)).to_contain_text(f"{count} of 100")
    assert page.evaluate("() => redrawn") == [1, 1]


def test_a_reviewed_detection_is_drawn_by_its_decision(page):
    before = drawn(page)
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.keyboard.press("x")
    expect(page.locator(SAID)).to_have_text("tree, score 0.98, 2 of 100")
    settle(page)
    page.evaluate("geodetMap.jumpTo({zoom: geodetMap.getZoom() - 2})")
    settle(page)
    state = page.evaluate(
        "geodetMap.getFeatureState({source: 'objects', sourceLayer: 'boxes', id: 99})"
    )
    assert state == {"reviewed": True}
    assert before


def test_decisions_are_there_when_the_page_is_loaded_again(page):
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.keyboard.press("a")
    expect(page.locator(SAID)).to_have_text("tree, score 0.98, 2 of 100")
    page.reload()
    page.wait_for_selector("body.ready")
    page.keyboard.press("n")
    expect(page.locator(SAID)).to_have_text("palm, accepted, score 0.99, 1 of 100")
    assert "accepted" in page.inner_text("#card")


def test_a_dot_for_many_objects_chooses_the_strongest_as_it_was_changed(page, read, monkeypatch):
    monkeypatch.setattr("geodet.viewer.shown_layer._MOST_OBJECTS", 5)
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.locator("#review-class").fill("boat")
    page.keyboard.press("Tab")
    rows_of(read, 1)
    page.reload()
    page.wait_for_selector("body.ready")
    page.evaluate("geodetMap.jumpTo({zoom: geodetMap.getZoom() - 2})")
    settle(page)
    at = page.evaluate(
        """() => geodetMap.queryRenderedFeatures({layers: ['objects-cells']})
          .filter(({id}) => id === 99)
          .map(({geometry}) => geodetMap.project(geometry.coordinates))
          .map(({x, y}) => [x, y])[0]"""
    )
    page.mouse.click(*at)
    page.locator("#card").wait_for()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#card")).to_contain_text("371.0, 370.0, 391.0, 390.0")
    assert read()["label"].tolist() == ["boat"]


def test_a_drag_that_ends_over_the_panel_is_one_box_to_the_edge_of_the_scene(page, read):
    settle(page)
    page.keyboard.press("d")
    x, y = place(page, 352, 152)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 30, steps=3)
    page.mouse.move(1270, y + 40, steps=3)
    page.mouse.up()
    row = rows_of(read, 1).iloc[0]
    x1, y1, x2, _ = box_of(row)
    assert (x1, y1, x2) == pytest.approx((352, 152, 400), abs=1)
    expect(page.locator("#card")).to_be_visible()
    page.keyboard.press("d")
    click_at(page, 200, 200)
    expect(page.locator("#card")).to_be_hidden()
    assert len(read()) == 1


def test_after_the_last_decision_the_server_is_asked_once(page):
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    for _ in range(5):
        page.keyboard.press("w")
    expect(page.locator("#windows-done")).to_have_text("4 of 4 windows reviewed")
    page.keyboard.press("n")
    page.locator("#card").wait_for()
    page.asked.clear()
    page.keyboard.press("x")
    expect(page.locator(SAID)).to_have_text("Every detection that is shown has been judged")
    assert sum("/step" in url for url in page.asked) == 1
