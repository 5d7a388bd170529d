"""Layers of objects: tiles, counts, and one object after the other."""

import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from tiles import read_tile, tiles_over

from geodet.geometry.boxes import Detections, box_corners
from geodet.geometry.geobox import GeoBox
from geodet.vector.palette import class_colour
from geodet.viewer import shown_layer
from geodet.viewer.attribute_rows import AttributeRows
from geodet.viewer.map_frame import OwnGridFrame
from geodet.viewer.shown_layer import ShownLayer
from geodet.viewer.square_mesh import SquareMesh

SIDE = 2000
CLASSES = ("tree", "palm", "shrub")
FRAME = OwnGridFrame(GeoBox(SIDE, SIDE, Affine.identity(), None), "no CRS")


def make_layer(count=300, seed=0, **more):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, SIDE - 60, (count, 2))
    boxes = np.hstack([low, low + rng.uniform(4, 60, (count, 2))])
    scores = rng.integers(1, 100, count) / 100
    objects = Detections(boxes, scores, rng.integers(0, 3, count))
    frame = pd.DataFrame({"number": np.arange(count), "note": ["a", None] * (count // 2)})
    colours = [class_colour(k) for k in range(3)]
    rows, bounds = AttributeRows.of(frame), SquareMesh(FRAME).to_bounds(boxes)
    return ShownLayer("objects", "Objects", objects, CLASSES, colours, rows, FRAME, bounds, **more)


ALL = np.ones(3, bool)


def shown_scores(layer):
    """As the file has them: 0.7 and not the float32 below it."""
    return layer.objects.scores.astype(float).round(6)


def test_the_tiles_hold_every_object_where_it_lies(tmp_path):
    layer = make_layer()
    zoom = FRAME.finest_zoom
    corners = FRAME.to_square(box_corners(layer.objects.boxes))
    seen = set()
    for z, x, y in tiles_over(FRAME, zoom):
        frame = read_tile(layer.tile(z, x, y), tmp_path, "boxes")
        if frame is None:
            continue
        ids = frame["mvt_id"].to_numpy()
        expected = shapely.polygons((corners[ids] * 2**z - [x, y]) * 4096)
        shapes = frame.geometry.to_numpy()
        assert shapely.hausdorff_distance(shapes, expected).max() < 1  # rounded to whole units
        assert frame["s"].tolist() == shown_scores(layer)[ids].tolist()
        assert frame["k"].tolist() == layer.objects.labels[ids].tolist()
        seen |= set(ids.tolist())
    assert seen == set(range(300))


def test_small_boxes_are_dots(tmp_path):
    layer = make_layer()
    (z, x, y), *_ = tiles_over(FRAME, FRAME.finest_zoom - 4)
    content = layer.tile(z, x, y)
    dots = read_tile(content, tmp_path, "dots")
    assert dots.geometry.geom_type.unique().tolist() == ["Point"]
    boxes = read_tile(content, tmp_path, "boxes")
    longest = (layer.objects.boxes[:, 2:] - layer.objects.boxes[:, :2]).max(axis=1) / 16
    assert set(dots["mvt_id"]) == set(np.flatnonzero(longest < 4).tolist())
    assert boxes is None or (longest[boxes["mvt_id"]] >= 4).all()


def test_a_full_tile_has_cells_that_any_threshold_can_filter(tmp_path, monkeypatch):
    monkeypatch.setattr(shown_layer, "_MOST_OBJECTS", 100)
    layer = make_layer(1000)
    (z, x, y), *_ = tiles_over(FRAME, FRAME.finest_zoom - 4)
    cells = read_tile(layer.tile(z, x, y, at=0.5), tmp_path, "cells")
    assert len(cells) < 1000
    for label in range(3):
        mine = layer.objects.labels == label
        assert cells["s"][cells["k"] == label].max() == shown_scores(layer)[mine].max()
    every = read_tile(layer.tile(z, x, y), tmp_path, "cells")
    assert every["n"].sum() == 1000
    above = (layer.objects.scores >= 0.5).sum()
    assert cells["n"][cells["s"] >= 0.5].sum() == above


def test_a_tile_has_no_more_cells_than_a_browser_can_filter(tmp_path, monkeypatch):
    monkeypatch.setattr(shown_layer, "_MOST_OBJECTS", 100)
    monkeypatch.setattr(shown_layer, "_MOST_CELLS", 200)
    layer = make_layer(1000)
    (z, x, y), *_ = tiles_over(FRAME, FRAME.finest_zoom - 4)
    cells = read_tile(layer.tile(z, x, y), tmp_path, "cells")
    assert len(cells) <= 200
    assert cells["n"].sum() == 1000


@pytest.mark.parametrize("at", [0, 0.3, 0.55, 0.7, 1])
def test_counts_are_exact(at):
    layer = make_layer()
    objects = layer.objects
    view = np.array([100.0, 300, 900, 1500])
    square = FRAME.to_square(view.reshape(2, 2)).reshape(-1)
    counts = layer.counts(at, square, ALL)
    above = shown_scores(layer) >= at
    centres = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2
    inside = ((centres >= view[:2]) & (centres <= view[2:])).all(axis=1)
    for label in range(3):
        mine = objects.labels == label
        assert counts.by_class[label] == (above & mine).sum()
        assert counts.in_view[label] == (above & mine & inside).sum()
    assert sum(counts.sizes) == above.sum()


def test_sizes_of_hidden_classes_are_not_counted():
    layer = make_layer()
    counts = layer.counts(0, None, np.array([True, False, False]))
    assert sum(counts.sizes) == (layer.objects.labels == 0).sum()
    assert sum(counts.by_class) == 300


def test_the_histogram_of_scores_counts_every_object():
    layer = make_layer()
    scores = np.array(layer.score_histogram())
    assert scores.shape == (3, 40)
    hundredths = np.rint(shown_scores(layer) * 100).astype(int)
    expected = np.bincount(hundredths * 40 // 100, minlength=40)
    np.testing.assert_array_equal(scores.sum(axis=0), expected)


def test_classes_without_scores_are_in_no_histogram_and_pass_every_threshold():
    layer = make_layer(unscored={1})
    scores = np.array(layer.score_histogram())
    assert scores[1].sum() == 0
    row = int(np.flatnonzero(layer.objects.labels == 1)[0])
    assert layer.describe(row)["score"] is None


def test_steps_visit_all_objects_by_falling_score_and_begin_again():
    layer = make_layer(60)
    shown = np.array([True, True, False])
    wanted = (layer.objects.scores >= np.float32(0.4)) & (layer.objects.labels != 2)
    visited = [layer.step(None, True, 0.4, shown)]
    for _ in range(wanted.sum() - 1):
        visited.append(layer.step(visited[-1], True, 0.4, shown))
    assert sorted(visited) == np.flatnonzero(wanted).tolist()
    scores = layer.objects.scores[visited]
    assert (np.diff(scores) <= 0).all()
    assert layer.step(visited[-1], True, 0.4, shown) == visited[0]
    assert layer.step(visited[0], False, 0.4, shown) == visited[-1]
    assert layer.step(visited[5], False, 0.4, shown) == visited[4]
    ranks = [layer.rank(row, 0.4, shown) for row in visited]
    assert ranks == [(rank, wanted.sum()) for rank in range(1, len(visited) + 1)]


def test_a_step_from_an_object_that_is_hidden_goes_to_the_nearest():
    layer = make_layer(60)
    hidden = int(np.flatnonzero(layer.objects.labels == 2)[0])
    found = layer.step(hidden, True, 0, np.array([True, True, False]))
    assert layer.objects.labels[found] != 2


def test_without_objects_there_is_no_step_and_no_tile():
    layer = make_layer(0)
    assert layer.step(None, True, 0, ALL) is None
    assert layer.tile(0, 0, 0) == b""
    assert layer.counts(0, None, ALL).by_class == [0, 0, 0]
    assert layer.largest_size == 0


def test_an_object_is_described_with_all_attributes():
    layer = make_layer()
    found = layer.describe(7)
    assert found["attributes"] == {"number": 7, "note": None}
    assert found["box_px"] == layer.objects.boxes[7].tolist()
    assert found["label"] == CLASSES[layer.objects.labels[7]]
    assert np.array(found["corners"]).shape == (4, 2)
