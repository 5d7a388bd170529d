import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geodet.geometry.boxes import Detections, paired_iou
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import cut_oriented, with_longer_side_first
from geodet.geometry.scene_detections import SceneDetections
from geodet.geometry.windows import Window
from geodet.merging.fragments import cut_sides, join_fragments
from geodet.merging.merger import suppress
from geodet.merging.mosaics import MosaicJoiner
from geodet.merging.overlapping_pairs import OverlapRule, pairs_between, pairs_within

seeds = st.integers(0, 2**32 - 1)
thresholds = st.sampled_from([0.05, 0.3, 0.5, 0.8])


def make_oriented(seed, count=25, *, classes=2):
    rng = np.random.default_rng(seed)
    sides = rng.uniform(0.5, 9, (count, 2)) * rng.choice([1, 1, 4], (count, 1))
    rows = np.hstack([rng.uniform(0, 25, (count, 2)), sides, rng.uniform(-2, 2, (count, 1))])
    labels = rng.integers(0, classes, count)
    return Detections.of_oriented(with_longer_side_first(rows), rng.random(count), labels)


def listed(pairs):
    return sorted(pair for a, b in pairs for pair in zip(a.tolist(), b.tolist(), strict=True))


@given(seeds, thresholds)
@settings(max_examples=25)
def test_the_pairs_of_oriented_boxes_are_those_of_brute_force(seed, threshold):
    found, others = make_oriented(seed).shapes, make_oriented(seed + 1, 20).shapes
    rule = OverlapRule(threshold)
    within = {tuple(sorted(pair)) for pair in listed(pairs_within(found, rule))}
    every = paired_iou(found[:, None], found[None]) > threshold
    assert within == set(map(tuple, np.argwhere(np.triu(every, 1)).tolist()))
    between = paired_iou(found[:, None], others[None]) > threshold
    assert listed(pairs_between(found, others, rule)) == list(map(tuple, np.argwhere(between)))


@given(seeds, thresholds)
@settings(max_examples=25)
def test_suppression_of_oriented_boxes_is_that_of_the_definition(seed, threshold):
    found = make_oriented(seed).ranked()
    iou = paired_iou(found.shapes[:, None], found.shapes[None])
    kept = []
    for row in range(len(found)):
        rivals = [k for k in kept if found.labels[k] == found.labels[row]]
        if not (iou[rivals, row] > threshold).any():
            kept.append(row)
    survivors = suppress(found, iou_threshold=threshold)
    assert np.array_equal(survivors.oriented, found.oriented[kept])


def test_parallel_neighbours_whose_bounds_overlap_both_survive():
    step = 3 / math.sqrt(2)
    rows = [[20, 20, 14, 2, math.pi / 4], [20 + step, 20 - step, 14, 2, math.pi / 4]]
    found = Detections.of_oriented(np.array(rows), [0.9, 0.8], [0, 0])
    assert paired_iou(found.boxes[:1], found.boxes[1:]) > 0.45
    assert len(suppress(found, iou_threshold=0.1)) == 2


@pytest.mark.parametrize("degrees", [-60, -20, 0, 15, 45, 70])
def test_a_long_object_that_two_windows_cut_is_joined_at_its_angle(degrees):
    whole = np.array([[100.0, 60.0, 150.0, 9.0, math.radians(degrees)]])
    parts, cuts = [], []
    for window in (Window(0, 0, 110, 200), Window(90, 0, 110, 200)):
        shift = np.array([window.col_off, 0, 0, 0, 0])
        seen = cut_oriented(whole - shift, window.width, window.height) + shift
        parts.append(Detections.of_oriented(seen, [0.9], [0]))
        cuts.append(cut_sides(parts[-1], window, width=200, height=200, tolerance=1.0))
    joined, _ = join_fragments(Detections.concatenate(parts), np.concatenate(cuts))
    found = Detections.of_oriented(whole, [0.9], [0])
    inside = cut_oriented(found.oriented, 200, 200)
    assert len(joined) == 1
    assert paired_iou(joined.shapes, Detections.of_oriented(inside, [1], [0]).shapes)[0] > 0.93


def test_oriented_boxes_of_overlapping_scenes_are_compared_on_the_ground():
    crs = CRS.from_epsg(32633)
    frames = [Affine(0.5, 0, 1000 + dx, 0, -0.5, 2000) for dx in (0, 10)]
    rows = np.array([[60.0, 30, 14, 2, 0.7], [60.0 + 3, 30 - 3, 14, 2, 0.7]])
    scenes = []
    for name, frame, scores in zip("ab", frames, ([0.9, 0.6], [0.8, 0.7]), strict=True):
        here = rows - [2 * (frame.c - 1000), 0, 0, 0, 0]
        found = Detections.of_oriented(here, scores, [0, 0])
        scenes.append(SceneDetections(name, GeoBox(100, 100, frame, crs), found))
    with MosaicJoiner(scenes, iou_threshold=0.3) as joiner:
        left = [part for i, one in enumerate(scenes) for part in joiner.add(i, [one.detections])]
    assert [part.detections.scores.tolist() for part in left] == [
        [np.float32(0.9)],
        [np.float32(0.7)],
    ]
    assert left[1].detections.oriented[0, 4] == pytest.approx(0.7)
