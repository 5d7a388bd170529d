"""Decisions as the page requests them, and undoing them."""

import copy
import json

import geopandas
import numpy as np
import pytest
from edited_reviews import draw, edit
from shapely.affinity import translate
from viewer_boxes import BOXES

from geodet.errors import ConfigError, OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import oriented_corners
from geodet.geometry.windows import Window
from geodet.reviewing import reviews
from geodet.reviewing.suggested_windows import SuggestedWindow, write_suggestions
from geodet.viewer.attribute_rows import AttributeRows
from geodet.viewer.review_desk import ReviewDesk
from geodet.viewer.shown_layer import ShownLayer
from geodet.viewer.square_mesh import SquareMesh

ROW = np.array([48.0, 30.0, 20.0, 6.0, 0.4])


@pytest.fixture
def desk(shown, tmp_path):
    return ReviewDesk(
        tmp_path / "r.gpkg", shown.scene, shown.layers["objects"], shown.frame, window_px=50
    )


def state(desk):
    found = copy.deepcopy(desk.describe())
    found.pop("undo")
    found["objects"] = sorted(found["objects"], key=lambda one: one["id"])
    return json.loads(json.dumps(found))


def labels(tmp_path, layer="labels"):
    return geopandas.read_file(tmp_path / "r.gpkg", layer=layer)


def test_a_detection_is_accepted_rejected_and_cleared(desk, tmp_path):
    changed = desk.act({"do": "judge", "source": 1, "verdict": "accepted"})
    assert [one["verdict"] for one in changed["put"]] == ["accepted"]
    assert labels(tmp_path)["label"].tolist() == ["palm"]
    np.testing.assert_allclose(changed["put"][0]["box_px"], BOXES[1], atol=1e-6)
    changed = desk.act({"do": "judge", "source": 1, "verdict": "rejected"})
    assert len(changed["removed"]) == 1
    assert len(labels(tmp_path)) == 0
    assert labels(tmp_path, "rejected")["source"].tolist() == [1]
    desk.act({"do": "judge", "source": 1, "verdict": None})
    assert len(labels(tmp_path, "rejected")) == 0


def test_a_detection_is_moved_and_gets_another_class(desk, tmp_path):
    desk.act({"do": "change", "source": 0, "box_px": [11, 12, 21, 24]})
    (one,) = desk.describe()["objects"]
    assert one["verdict"] == "changed"
    assert one["box_px"] == [11, 12, 21, 24]
    assert one["score"] == pytest.approx(0.9)
    desk.act({"do": "change", "id": one["id"], "label": "shrub"})
    row = labels(tmp_path).iloc[0]
    assert (row["label"], row["x1_px"], row["source"]) == ("shrub", 11, 0)


def test_a_detection_that_is_accepted_after_a_change_stays_as_it_was_changed(desk, tmp_path):
    desk.act({"do": "change", "source": 1, "box_px": [41, 30, 53, 40], "label": "shrub"})
    changed = state(desk)
    assert desk.act({"do": "judge", "source": 1, "verdict": "accepted"})["undo"] == 1
    assert state(desk) == changed
    row = labels(tmp_path).iloc[0]
    assert (row["verdict"], row["label"], row["x1_px"]) == ("changed", "shrub", 41)
    assert desk.act({"do": "undo"})["undo"] == 0
    assert desk.describe()["objects"] == []


@pytest.mark.parametrize(
    "deed",
    [
        {"do": "judge", "source": 0, "verdict": "accepted"},
        {"do": "judge", "source": 2, "verdict": None},
        {"do": "window", "number": 1, "at": 0, "hidden": []},
    ],
)
def test_what_changes_nothing_is_no_step_to_undo(desk, deed):
    desk.act({"do": "judge", "source": 0, "verdict": "accepted"})
    desk.act({"do": "window", "number": 1, "at": 0, "hidden": []})
    before = desk.describe()
    assert desk.act(deed)["undo"] == 2
    assert desk.describe() == before


@pytest.fixture
def turned_desk(shown, tmp_path):
    """Return a desk of one oriented detection."""
    boxes = Detections.of_oriented(ROW[None], np.array([0.9]), np.array([0]))
    bounds = SquareMesh(shown.frame).to_bounds(boxes.boxes)
    layer = ShownLayer(
        "objects", "", boxes, ["ship"], [(0, 0, 0)], AttributeRows.of(None), shown.frame, bounds
    )
    return ReviewDesk(tmp_path / "r.gpkg", shown.scene, layer, shown.frame)


def test_an_oriented_detection_keeps_its_angle(turned_desk, shown, tmp_path):
    (one,) = turned_desk.act({"do": "judge", "source": 0, "verdict": "accepted"})["put"]
    assert one["oriented_px"] == pytest.approx(ROW.tolist())
    expected = shown.frame.to_square(oriented_corners(ROW[None])[0])
    np.testing.assert_allclose(one["corners"], expected, rtol=1e-12)
    moved = [50.0, 32.0, 5.0, 20.0, 0.4]  # the shorter side first
    turned_desk.act({"do": "change", "source": 0, "oriented_px": moved})
    row = labels(tmp_path).iloc[0]
    sides = row[["length_px", "width_px", "angle_px"]].tolist()
    assert sides == pytest.approx([20, 5, np.degrees(0.4) - 90])
    middle = (row["x1_px"] + row["x2_px"]) / 2, (row["y1_px"] + row["y2_px"]) / 2
    assert middle == pytest.approx((50, 32), abs=1e-3)
    for wrong in ([200, 32, 20, 5, 0], [50, 32, 20, 0.1, 0], [50, 32, 20, 5]):
        with pytest.raises(ValueError, match=r"smaller than half a pixel|has 5 numbers"):
            turned_desk.act({"do": "change", "source": 0, "oriented_px": wrong})


def test_an_object_is_drawn_moved_and_deleted(desk, tmp_path):
    (one,) = desk.act({"do": "add", "box_px": [1, 2, 9, 9], "label": " boat "})["put"]
    assert one["label"] == "boat"
    assert one["score"] is None
    desk.act({"do": "change", "id": one["id"], "box_px": [2, 2, 10, 9]})
    row = labels(tmp_path).iloc[0]
    assert (row["verdict"], row["x1_px"], np.isnan(row["source"])) == ("added", 2, True)
    desk.act({"do": "delete", "id": one["id"]})
    assert len(labels(tmp_path)) == len(labels(tmp_path, "rejected")) == 0


def test_a_detection_that_is_deleted_is_rejected_as_it_was_found(desk):
    (one,) = desk.act({"do": "change", "source": 0, "box_px": [1, 1, 5, 5]})["put"]
    (gone,) = desk.act({"do": "delete", "id": one["id"]})["put"]
    assert gone["verdict"] == "rejected"
    np.testing.assert_allclose(gone["box_px"], BOXES[0], atol=1e-6)


def test_boxes_are_clipped_to_the_scene(desk):
    (one,) = desk.act({"do": "add", "box_px": [-5, 70, 9, 99], "label": "a"})["put"]
    assert one["box_px"] == [0, 70, 9, 80]


def test_a_window_that_is_done_accepts_what_is_shown_in_it(desk, tmp_path):
    desk.act({"do": "judge", "source": 0, "verdict": "rejected"})
    changed = desk.act({"do": "window", "number": 0, "at": 0.3, "hidden": []})
    assert changed["reviewed"] == [0]
    assert changed["put"] == []  # the palm in it has a score of 0.25
    changed = desk.act({"do": "window", "number": 1, "at": 0.3, "hidden": []})
    # 46 to 96 columns, 0 to 50 rows: objects 2 and 3; the second reaches in from above.
    assert sorted(one["source"] for one in changed["put"]) == [3]
    assert labels(tmp_path, "windows")["col_off"].tolist() == [0, 46]


def test_objects_that_reach_into_a_window_are_accepted_with_it(desk):
    changed = desk.act({"do": "window", "number": 3, "at": 0, "hidden": []})
    assert [one["source"] for one in changed["put"]] == [1, 2]


def test_a_window_is_written_in_as_few_transactions_as_a_single_object(desk, monkeypatch):
    begun, transaction = [], reviews._transaction
    monkeypatch.setattr(reviews, "_transaction", lambda path: begun.append(1) or transaction(path))
    changed = desk.act({"do": "window", "number": 0})
    assert len(changed["put"]) == 2
    assert len(begun) == 2  # one for identifiers, one for the rows


def test_hidden_classes_are_not_accepted(desk):
    changed = desk.act({"do": "window", "number": 0, "at": 0, "hidden": [1]})
    assert [one["source"] for one in changed["put"]] == [1]


def test_a_window_is_opened_again_without_its_objects_being_forgotten(desk):
    desk.act({"do": "window", "number": 0, "at": 0, "hidden": []})
    changed = desk.act({"do": "window", "number": 0, "reviewed": False})
    assert changed["reviewed"] == []
    assert changed["removed"] == []
    assert len(desk.describe()["objects"]) == 2


DEEDS = (
    {"do": "judge", "source": 0, "verdict": "accepted"},
    {"do": "judge", "source": 0, "verdict": "rejected"},
    {"do": "change", "source": 1, "box_px": [40, 30, 50, 40]},
    {"do": "add", "box_px": [1, 2, 9, 9], "label": "boat"},
    {"do": "window", "number": 1, "at": 0.1, "hidden": []},
    {"do": "judge", "source": 0, "verdict": None},
    {"do": "window", "number": 1, "reviewed": False},
)


def test_undoing_everything_leads_back_to_the_beginning(desk):
    states = [state(desk)]
    for deed in DEEDS:
        desk.act(deed)
        states.append(state(desk))
    for expected in reversed(states[:-1]):
        desk.act({"do": "undo"})
        assert state(desk) == expected
    assert desk.act({"do": "undo"})["undo"] == 0


def test_decisions_are_gone_on_with(desk, shown, tmp_path):
    for deed in DEEDS[:5]:
        desk.act(deed)
    again = ReviewDesk(
        tmp_path / "r.gpkg", shown.scene, shown.layers["objects"], shown.frame, window_px=50
    )
    assert state(again) == state(desk)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"do": "format"},
        {"do": "judge", "source": 9, "verdict": "accepted"},
        {"do": "judge", "source": "0", "verdict": "accepted"},
        {"do": "judge", "source": 0, "verdict": "perhaps"},
        {"do": "judge", "source": True, "verdict": "accepted"},
        {"do": "add", "box_px": [1, 2, 3], "label": "a"},
        {"do": "add", "box_px": [1, 2, 1.2, 9], "label": "a"},
        {"do": "add", "box_px": [1, 2, 9, float("nan")], "label": "a"},
        {"do": "add", "box_px": [1, 2, 9, 9], "label": " "},
        {"do": "add", "box_px": [1, 2, 9, 9], "label": "a" * 201},
        {"do": "add", "box_px": "all", "label": "a"},
        {"do": "delete", "id": 99},
        {"do": "window", "number": 4},
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(desk, request_):
    before = state(desk)
    with pytest.raises(ValueError, match=r"."):
        desk.act(request_)
    assert state(desk) == before


def test_without_detections_objects_are_drawn(shown, tmp_path):
    desk = ReviewDesk(tmp_path / "new.gpkg", shown.scene, None, shown.frame, window_px=50)
    desk.act({"do": "add", "box_px": [1, 2, 9, 9], "label": "boat"})
    desk.act({"do": "window", "number": 0})
    assert len(desk.describe()["objects"]) == 1
    with pytest.raises(ValueError, match="no detection 0"):
        desk.act({"do": "judge", "source": 0, "verdict": "accepted"})


def test_suggested_windows_are_reviewed_in_their_order_with_their_reasons(shown, tmp_path):
    path, geobox = tmp_path / "r.gpkg", shown.scene.geobox
    places = [Window(40, 10, 30, 20), Window(0, 0, 30, 20)]
    suggested = [SuggestedWindow(shown.scene.name, one, 1.0, 2, "doubt") for one in places]
    write_suggestions(path, suggested, {shown.scene.name: geobox}, geobox.crs)
    desk = ReviewDesk(path, shown.scene, shown.layers["objects"], shown.frame)
    about = desk.describe()
    assert about["windows"] == [[40, 10, 30, 20], [0, 0, 30, 20]]
    assert about["reasons"] == ["doubt", "doubt"]
    assert desk.act({"do": "window", "number": 1})["reviewed"] == [1]
    assert desk.describe()["reviewed"] == [1]


def test_suggestions_that_were_drawn_and_moved_in_qgis_are_where_they_lie(shown, tmp_path):
    path, geobox = tmp_path / "r.gpkg", shown.scene.geobox
    suggested = [SuggestedWindow(shown.scene.name, Window(0, 0, 30, 20), 1.0, 2, "doubt")]
    write_suggestions(path, suggested, {shown.scene.name: geobox}, geobox.crs)
    draw(path, "suggestions", geobox, [(30, 20, 62, 40)])
    edit(path, "suggestions", 1, lambda shape: translate(shape, 8 * geobox.transform.a, 0))
    about = ReviewDesk(path, shown.scene, shown.layers["objects"], shown.frame).describe()
    assert about["windows"] == [[8, 0, 30, 20], [30, 20, 32, 20]]
    assert about["reasons"] == ["doubt", "drawn by hand"]


def test_the_page_shows_what_was_drawn_and_moved_in_qgis(desk, shown, tmp_path):
    desk.act({"do": "judge", "source": 1, "verdict": "accepted"})
    path, geobox = tmp_path / "r.gpkg", shown.scene.geobox
    fid = desk.describe()["objects"][0]["id"]
    edit(path, "labels", fid, lambda shape: translate(shape, 8 * geobox.transform.a, 0))
    draw(path, "labels", geobox, [(2, 3, 12, 15)], label="tree", scene="scene.tif")
    again = ReviewDesk(path, shown.scene, shown.layers["objects"], shown.frame, window_px=50)
    about = json.loads(json.dumps(again.describe(), allow_nan=False))
    moved, drawn = about["objects"]
    np.testing.assert_allclose(moved["box_px"], np.add(BOXES[1], (8, 0, 8, 0)), atol=1e-3)
    assert drawn["box_px"] == [2, 3, 12, 15]
    again.act({"do": "change", "id": fid, "label": "shrub"})
    frame = labels(tmp_path).set_index("label").geometry
    np.testing.assert_allclose(
        geobox.to_pixels(np.array(frame["shrub"].exterior.coords)[0]),
        np.add(BOXES[1][:2], (8, 0)),
        atol=1e-3,
    )


def test_all_reviewed_objects_are_placed_on_the_map_at_once(desk, shown, monkeypatch):
    desk.act({"do": "window", "number": 0})
    desk.act({"do": "add", "box_px": [2, 3, 12, 15], "label": "tree"})
    calls, place = [], type(shown.frame).to_square
    with monkeypatch.context() as patch:
        patch.setattr(type(shown.frame), "to_square", lambda *a: calls.append(a) or place(*a))
        objects = desk.describe()["objects"]
    assert len(calls) == 1
    for one in objects:
        x1, y1, x2, y2 = one["box_px"]
        corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
        np.testing.assert_allclose(one["corners"], shown.frame.to_square(corners), atol=1e-12)


def test_a_point_is_no_label_until_it_has_a_box(shown, tmp_path):
    points = Detections(BOXES[:, [0, 1, 0, 1]], np.full(len(BOXES), 0.5), np.zeros(len(BOXES)))
    bounds = SquareMesh(shown.frame).to_bounds(points.boxes)
    named = "objects", "Objects", points, ["tree"], [(1, 2, 3)]
    layer = ShownLayer(*named, AttributeRows.of(), shown.frame, bounds)
    desk = ReviewDesk(tmp_path / "r.gpkg", shown.scene, layer, shown.frame)
    for request in (
        {"do": "judge", "source": 0, "verdict": "accepted"},
        {"do": "change", "source": 0, "label": "palm"},
        {"do": "window", "number": 0},
    ):
        with pytest.raises(ConfigError, match="are points, without a box: ") as caught:
            desk.act(request)
        assert "reject" in caught.value.hint
    assert desk.describe()["objects"] == desk.describe()["reviewed"] == []
    desk.act({"do": "judge", "source": 0, "verdict": "rejected"})
    desk.act({"do": "change", "source": 0, "box_px": [1, 2, 4, 6]})
    assert len(labels(tmp_path)) == 1


@pytest.mark.parametrize(
    "request_", [{"do": "change", "label": "oak"}, {"do": "delete"}, {"do": "undo"}]
)
def test_a_row_that_qgis_moved_meanwhile_is_not_overwritten(desk, tmp_path, request_):
    (put,) = desk.act({"do": "judge", "source": 0, "verdict": "accepted"})["put"]
    edit(tmp_path / "r.gpkg", "labels", put["id"], lambda shape: translate(shape, 5, 0))
    before = labels(tmp_path)
    with pytest.raises(OutputError, match="another program has changed the reviews"):
        desk.act({"id": put["id"], **request_})
    assert labels(tmp_path).equals(before)


def test_a_row_that_qgis_moved_before_is_changed(desk, shown, tmp_path):
    (put,) = desk.act({"do": "judge", "source": 0, "verdict": "accepted"})["put"]
    edit(tmp_path / "r.gpkg", "labels", put["id"], lambda shape: translate(shape, 5, 0))
    again = ReviewDesk(tmp_path / "r.gpkg", shown.scene, shown.layers["objects"], shown.frame)
    again.act({"do": "change", "id": put["id"], "label": "oak"})
    again.act({"do": "change", "id": again.describe()["objects"][0]["id"], "label": "ash"})
    again.act({"do": "undo"})
    again.act({"do": "undo"})
    assert labels(tmp_path)["label"].tolist() == ["tree"]
