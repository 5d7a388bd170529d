import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geodet.geometry.boxes import Detections, box_corners, comparable, paired_iou
from geodet.geometry.oriented_boxes import (
    cut_oriented,
    fit_outlines,
    fit_quads,
    hulls,
    map_oriented,
    oriented_corners,
    oriented_of_boxes,
    shared_areas,
    with_longer_side_first,
)

angle = st.one_of(st.sampled_from([-np.pi / 2, -np.pi / 4, 0.0, np.pi / 4]), st.floats(-4, 4))
place = st.one_of(st.integers(-5, 5).map(float), st.floats(-20, 20))
side = st.one_of(st.integers(1, 9).map(float), st.floats(0.1, 30))
row = st.tuples(place, place, side, side, angle)
boxes = st.lists(row, min_size=1, max_size=6).map(lambda r: with_longer_side_first(np.array(r)))
turns = st.floats(-4, 4).map(
    lambda t: np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]),
)


def polygons(oriented):
    return shapely.polygons(oriented_corners(oriented))


def same_rectangles(a, b):
    """Whether rectangles are the same, however their corners are numbered."""
    return shapely.hausdorff_distance(polygons(a), polygons(b)) < 1e-6


@given(boxes)
def test_the_longer_side_comes_first_and_angles_are_within_half_a_turn(oriented):
    assert (oriented[:, 2] >= oriented[:, 3]).all()
    assert ((oriented[:, 4] >= -np.pi / 2) & (oriented[:, 4] < np.pi / 2)).all()
    assert np.allclose(with_longer_side_first(oriented), oriented)


@given(boxes)
def test_bounds_are_those_of_the_corners(oriented):
    assert np.allclose(hulls(oriented), shapely.bounds(polygons(oriented)))


@given(boxes, boxes)
def test_shared_areas_are_those_that_shapely_finds(a, b):
    first, second = np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1))
    shared = shapely.area(shapely.intersection(polygons(first), polygons(second)))
    assert np.allclose(shared_areas(first, second), shared, atol=1e-6)


@given(boxes)
def test_a_box_shares_all_of_itself_with_itself(oriented):
    assert np.allclose(shared_areas(oriented, oriented), oriented[:, 2:4].prod(axis=1))


@given(boxes, st.integers(0, 3), st.booleans())
def test_a_rectangle_is_fitted_from_its_corners_in_any_order(oriented, first, is_reversed):
    corners = np.roll(oriented_corners(oriented), first, axis=1)
    fitted = fit_quads(corners[:, ::-1] if is_reversed else corners)
    assert same_rectangles(fitted, oriented).all()


@given(st.lists(st.tuples(place, place), min_size=4, max_size=4))
def test_the_fitted_rectangle_of_four_points_is_the_smallest(points):
    fitted = fit_quads(np.array([points]))
    cloud = shapely.MultiPoint(points)  # which may lie on one line: no buffer is around that
    assert shapely.distance(polygons(fitted)[0], shapely.points(points)).max() <= 1e-6
    smallest = shapely.area(shapely.oriented_envelope(cloud))
    assert np.prod(fitted[0, 2:4]) <= smallest + 1e-6 * (1 + smallest)


@given(boxes, turns, st.floats(0.1, 4), st.booleans())
def test_a_turn_a_flip_and_a_zoom_move_every_corner(oriented, turn, zoom, is_flipped):
    matrix = zoom * turn @ np.diag([-1.0 if is_flipped else 1.0, 1.0])
    fitted = fit_quads(oriented_corners(oriented) @ matrix.T)
    assert same_rectangles(map_oriented(oriented, matrix), fitted).all()


@given(boxes, st.floats(0.2, 5))
def test_a_stretch_keeps_the_area_in_proportion(oriented, stretch):
    mapped = map_oriented(oriented, np.diag([stretch, 1.0]))
    assert np.allclose(mapped[:, 2:4].prod(1), oriented[:, 2:4].prod(1) * stretch)


@given(boxes)
def test_a_cut_box_lies_in_the_whole_one_and_shows_all_of_the_frame(oriented):
    frame = shapely.box(0, 0, 12, 8)
    whole, cut = polygons(oriented), polygons(cut_oriented(oriented, 12, 8))
    seen = shapely.intersection(whole, frame)
    assert shapely.covers(shapely.buffer(whole, 1e-6), cut).all()
    is_seen = shapely.area(seen) > 0  # the others may touch the frame
    assert shapely.covers(shapely.buffer(cut[is_seen], 1e-6), seen[is_seen]).all()
    assert (shapely.area(cut)[~is_seen] == 0).all()


def test_outlines_of_any_number_of_points_are_fitted():
    outlines = [
        *[(0, 0), (4, 0), (4, 2), (0, 2)],
        *[(0, 0), (2, 0), (4, 0), (4, 2), (0, 2)],
        *[(1, 1), (3, 3), (5, 5)],
        *[(7, 7)],
    ]
    owner = np.repeat([0, 1, 2, 3], [4, 5, 3, 1])
    fitted = fit_outlines(np.array(outlines, float), owner)
    assert np.allclose(fitted[:2], [[2, 1, 4, 2, 0]] * 2)
    assert np.allclose(fitted[2], [3, 3, 32**0.5, 0, np.pi / 4])
    assert np.allclose(fitted[3, :4], [7, 7, 0, 0])


def test_axis_aligned_boxes_keep_their_corners():
    upright = np.array([[0.0, 0, 4, 2], [1, 1, 2, 9]])
    oriented = oriented_of_boxes(upright)
    assert np.allclose(hulls(oriented), upright)
    assert np.allclose(oriented_corners(oriented[:1]), box_corners(upright[:1]))


@given(boxes)
def test_detections_carry_their_oriented_boxes_along(oriented):
    found = Detections.of_oriented(oriented, np.ones(len(oriented)), np.zeros(len(oriented)))
    moved = found.shifted(3, 4).scaled(2, 2).select(slice(0, 1))
    assert np.allclose(moved.oriented[0, :2], (oriented[0, :2] + [3, 4]) * 2)
    assert np.allclose(moved.boxes, hulls(moved.oriented))
    upright = Detections([[0, 0, 4, 2]], [1], [0])
    both = Detections.concatenate([found, upright, Detections.empty()])
    assert np.allclose(both.corners[-1], upright.corners[0])
    assert np.allclose(both.areas, [*oriented[:, 2:4].prod(1), 8])
    assert both.shapes.shape == (len(both), 9)


@given(boxes, boxes)
def test_overlap_is_that_of_the_rectangles_where_both_are_oriented(a, b):
    first, second = Detections.of_oriented(a, *scored(a)), Detections.of_oriented(b, *scored(b))
    shared = shapely.area(shapely.intersection(polygons(a)[:, None], polygons(b)))
    whole = a[:, 2:4].prod(1)[:, None] + b[:, 2:4].prod(1) - shared
    found = paired_iou(first.shapes[:, None], second.shapes)
    assert np.allclose(found, shared / whole, atol=1e-6)
    of_bounds = paired_iou(*comparable(first.shapes[:1], second.boxes[:1]))
    assert np.allclose(of_bounds, paired_iou(first.boxes[:1], second.boxes[:1]))


def scored(rows):
    return np.ones(len(rows)), np.zeros(len(rows))


def test_oriented_boxes_must_be_as_many_as_their_bounds():
    with pytest.raises(ValueError, match="2 and 1 rows"):
        Detections([[0, 0, 1, 1]], [1], [0], np.zeros((2, 5)))
