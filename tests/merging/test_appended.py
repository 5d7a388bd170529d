import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from joined_scenes import deduplicate
from pyproj import CRS

from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.ground_pairs import GroundPairs
from geodet.geometry.scene_detections import SceneDetections
from geodet.merging.appended import drop_weaker

UTM = CRS.from_epsg(32633)


def scene(name, seed, count, angle):
    """Return a scene of 60 x 60 px near a place, with random boxes of two classes."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-20, 21, 2).tolist()
    transform = Affine.translation(500_000 + x, 4_500_000 - y) @ Affine.rotation(angle)
    low = rng.integers(0, 50, (count, 2))
    boxes = np.hstack([low, low + rng.integers(2, 11, (count, 2))])
    found = Detections(boxes, rng.integers(1, 5, count) / 5, rng.integers(0, 2, count))
    return SceneDetections(name, GeoBox(60, 60, transform @ Affine.scale(1, -1), UTM), found)


def all_pairs(new, old):
    """Pair each new box with each of the same class in the file."""
    shapes = [shapely.polygons(part.geobox.corners(part.detections.boxes)) for part in (new, old)]
    labels = new.detections.labels[:, None] == old.detections.labels
    rows = np.argwhere(labels)
    return GroundPairs(
        rows + np.array([1000, 1]),
        np.stack([new.detections.scores[rows[:, 0]], old.detections.scores[rows[:, 1]]], axis=1),
        np.tile(np.array([new.scene, old.scene], object), (len(rows), 1)),
        np.stack([shapes[0][rows[:, 0]], shapes[1][rows[:, 1]]], axis=1),
    )


def split(pairs, size):
    for start in range(0, max(len(pairs.ids), 1), size):
        chosen = slice(start, start + size)
        yield GroundPairs(
            pairs.ids[chosen], pairs.scores[chosen], pairs.scenes[chosen], pairs.shapes[chosen]
        )


@given(
    st.integers(0, 9999),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([0.1, 0.3, 0.5]),
    st.sampled_from([3, 1000]),
)
def test_appending_keeps_what_one_call_for_both_scenes_keeps(
    seed, count, other, angle, threshold, size
):
    old, new = scene("b.tif", seed, other, 0.0), scene("a.tif", seed + 1, count, angle)
    both = deduplicate([new, old], iou_threshold=threshold)
    dropped = drop_weaker(split(all_pairs(new, old), size), iou_threshold=threshold)
    for part, kept, ids, first in zip((new, old), both, dropped, (1000, 1), strict=True):
        rows = np.delete(part.detections.boxes, ids - first, axis=0)
        np.testing.assert_array_equal(rows, kept.detections.boxes)


def test_of_a_chain_every_second_box_stays():
    """Each box only beats the next one, in the other scene."""
    shapes = shapely.box(np.arange(6.0), 0, np.arange(6.0) + 3, 1)
    links = np.array([[0, 1], [2, 1], [2, 3], [4, 3], [4, 5]])  # new 0, 2, 4; in the file 1, 3, 5
    scores = 1 - np.arange(6) / 10
    pairs = GroundPairs(
        links, scores[links], np.tile(np.array(["a", "b"], object), (5, 1)), shapes[links]
    )
    new, old = drop_weaker([pairs], iou_threshold=0.4)
    assert (new.tolist(), old.tolist()) == ([], [1, 3, 5])


@pytest.mark.parametrize("batches", [[], [all_pairs(scene("a", 1, 0, 0), scene("b", 2, 0, 0))]])
def test_no_pairs_drop_nothing(batches):
    assert [len(ids) for ids in drop_weaker(batches, iou_threshold=0.5)] == [0, 0]
