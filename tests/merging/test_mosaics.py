import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from joined_scenes import deduplicate
from pyproj import CRS, Transformer

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.full_turns import full_turn
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.merging.footprints import find_footprints
from geodet.merging.mosaics import MosaicJoiner

UTM = CRS.from_epsg(32633)
thresholds = st.sampled_from([0.1, 0.3, 0.5, 0.7])


def make_geobox(x=0.0, y=0.0, *, angle=0.0, shear=0.0, size=1.0, crs=UTM):
    """Return 60 x 60 px whose upper left corner is x east and y south of a place."""
    turned = Affine.translation(500_000 + x, 4_500_000 - y) @ Affine.rotation(angle)
    return GeoBox(60, 60, turned @ Affine.shear(shear, 0) @ Affine.scale(size, -size), crs)


def random_detections(rng, count, *, scores=4, classes=2):
    low = rng.integers(0, 50, (count, 2))
    boxes = np.hstack([low, low + rng.integers(2, 11, (count, 2))])
    ties = rng.integers(1, scores + 1, count) / (scores + 1)
    return Detections(boxes, ties, rng.integers(0, classes, count))


def build(seed, scenes, count, *, tilted, scores=4):
    """Return scenes that overlap each other, here and there."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(scenes):
        x, y = rng.integers(-20, 21, 2).tolist()
        angle, shear = rng.uniform(-60, 60, 2).tolist() if tilted else (0.0, 0.0)
        found = random_detections(rng, count, scores=scores)
        geobox = make_geobox(x, y, angle=angle, shear=shear)
        parts.append(SceneDetections(f"s{number}.tif", geobox, found))
    return parts


mosaics = st.builds(
    build, st.integers(0, 9999), st.integers(1, 4), st.integers(0, 25), tilted=st.booleans()
)


def to_polygon(part, box):
    x1, y1, x2, y2 = box
    return shapely.Polygon(part.geobox.to_world(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])))


def deduplicate_slowly(parts, threshold):
    """Drop as the definition says it, box by box; give what is kept of each part."""
    left = []
    for place, part in enumerate(parts):
        found = part.detections
        for row, (box, score, label) in enumerate(
            zip(found.boxes, found.scores.tolist(), found.labels.tolist(), strict=True)
        ):
            shape = to_polygon(part, box)
            x1, y1, x2, y2 = shape.bounds
            order = (-score, y1, x1, x2, y2, label, part.scene)
            left.append((order, place, row, shape))
    left.sort(key=lambda one: one[0])
    kept = [[] for _ in parts]
    while left:
        (*_, label, _), place, row, shape = left.pop(0)
        kept[place].append(row)
        left = [
            other
            for other in left
            if other[0][-2] != label
            or other[0][-1] == parts[place].scene
            or not iou(other[3], shape) > threshold
        ]
    return [sorted(rows) for rows in kept]


def iou(a, b):
    shared = a.intersection(b).area
    return shared / (a.area + b.area - shared)


def as_rows(part):
    found = part.detections
    table = np.hstack([found.boxes, found.scores[:, None], found.labels[:, None]])
    return [tuple(row) for row in table.tolist()]


@given(mosaics, thresholds)
@settings(max_examples=60)
def test_deduplication_is_the_definition(parts, threshold):
    expected = [
        as_rows(SceneDetections("", part.geobox, part.detections.select(np.array(rows, int))))
        for part, rows in zip(parts, deduplicate_slowly(parts, threshold), strict=True)
    ]
    assert [as_rows(part) for part in deduplicate(parts, iou_threshold=threshold)] == expected


@given(mosaics, thresholds)
@settings(max_examples=30)
def test_deduplication_is_idempotent_and_the_order_of_scenes_does_not_matter(parts, threshold):
    once = deduplicate(parts, iou_threshold=threshold)
    assert list(map(as_rows, deduplicate(once, iou_threshold=threshold))) == list(
        map(as_rows, once)
    )
    backwards = deduplicate(parts[::-1], iou_threshold=threshold)
    assert list(map(as_rows, backwards[::-1])) == list(map(as_rows, once))


@given(mosaics, thresholds)
@settings(max_examples=20)
def test_no_two_scenes_keep_one_object(parts, threshold):
    kept = deduplicate(parts, iou_threshold=threshold)
    for a in kept:
        for b in kept:
            if a.scene == b.scene:
                continue
            for box, label in zip(a.detections.boxes, a.detections.labels, strict=True):
                rivals = b.detections.select(b.detections.labels == label).boxes
                shape = to_polygon(a, box)
                assert all(iou(shape, to_polygon(b, one)) <= threshold for one in rivals)


def test_every_second_box_of_a_chain_is_dropped():
    """Each box only beats the next, in the other scene, so that every second one stays."""
    x = np.arange(20.0)
    boxes = np.stack([x, 0 * x, x + 3, 0 * x + 1], axis=1)  # IoU 1/2, then 1/5
    found = Detections(boxes, 1 - x / 100, np.zeros(20))
    parts = [
        SceneDetections(name, make_geobox(), found.select(np.arange(start, 20, 2)))
        for start, name in enumerate("ab")
    ]
    kept = deduplicate(parts, iou_threshold=0.4)
    assert [len(part.detections) for part in kept] == [10, 0]


def test_the_boxes_of_one_scene_do_not_compete():
    found = random_detections(np.random.default_rng(0), 60)
    parts = [SceneDetections(name, make_geobox(), found.select(slice(0))) for name in "ab"]
    with MosaicJoiner(parts, iou_threshold=0.1) as joiner:
        assert not list(joiner.add(0, [found, found]))  # two parts of one scene
        first, second = joiner.add(1, [Detections.empty()])
    assert as_rows(first) == [*as_rows(SceneDetections("", first.geobox, found))] * 2
    assert as_rows(second) == []


def test_rotated_neighbours_stay_although_their_bounds_overlap():
    """At 45 degrees the bounds of two cars side by side overlap by a half; the cars do not."""
    geobox = make_geobox(angle=45)
    parts = [
        SceneDetections(name, geobox, Detections([box], [score], [0]))
        for name, box, score in [("a", [0, 0, 4, 4], 0.9), ("b", [4, 0, 8, 4], 0.8)]
    ]
    assert [len(p.detections) for p in deduplicate(parts, iou_threshold=0.01)] == [1, 1]


def test_scenes_of_two_crss_are_compared_on_the_ground():
    here = make_geobox(size=0.5)
    web = CRS.from_epsg(3857)
    to_web = Transformer.from_crs(UTM, web, always_xy=True)
    x, y = to_web.transform(499_990, 4_500_010)
    there = GeoBox(120, 120, Affine(0.6, 0, x, 0, -0.6, y), web)
    cars = np.array([[4.0, 4, 12, 8], [30, 20, 36, 30], [50, 50, 58, 57]])
    corners = here.to_world(cars.reshape(-1, 2))
    seen = there.to_pixels(np.stack(to_web.transform(*corners.T), axis=-1)).reshape(-1, 4)
    parts = [
        SceneDetections("a", here, Detections(cars, [0.9, 0.4, 0.9], [0, 0, 0])),
        SceneDetections("b", there, Detections(seen, [0.8, 0.8, 0.8], [0, 0, 1])),
    ]
    kept = deduplicate(parts, iou_threshold=0.5)
    assert kept[0].detections.boxes.tolist() == cars[[0, 2]].tolist()
    np.testing.assert_array_equal(kept[1].detections.boxes, seen[1:])


def test_scenes_that_do_not_overlap_keep_all_detections():
    parts = [
        SceneDetections(name, make_geobox(x), random_detections(np.random.default_rng(1), 40))
        for name, x in [("a", 0.0), ("b", 100.0)]
    ]
    kept = deduplicate(parts, iou_threshold=0.1)
    assert list(map(as_rows, kept)) == list(map(as_rows, parts))


def test_scenes_without_a_georeference_are_not_compared():
    found = Detections([[1, 1, 5, 5]], [0.9], [0])
    nowhere = GeoBox(60, 60, Affine(1, 0, 0, 0, -1, 0), None)
    parts = [SceneDetections(name, nowhere, found) for name in "ab"]
    assert [len(p.detections) for p in deduplicate(parts, iou_threshold=0.5)] == [1, 1]
    by_world_file = [SceneDetections(name, make_geobox(crs=None), found) for name in "ab"]
    assert [len(p.detections) for p in deduplicate(by_world_file, iou_threshold=0.5)] == [1, 0]


def test_a_box_that_reaches_beyond_the_pole_is_not_compared():
    """Two of its corners have no place in the CRS of the layer."""
    polar = CRS.from_epsg(32661)
    over = GeoBox(20, 20, Affine(0.01, 0, 10, 0, -0.01, 90.1), CRS.from_epsg(4326))
    found = Detections([[2, 8, 6, 12], [2, 12, 6, 16]], [0.9, 0.8], [0, 0])
    parts = [
        SceneDetections("a", make_geobox(2e6, 2e6, crs=polar), Detections.empty()),
        *[SceneDetections(name, over, found) for name in "bc"],
    ]
    kept = deduplicate(parts, iou_threshold=0.5)
    assert list(map(as_rows, kept)) == [[], as_rows(parts[1]), as_rows(parts[2])[:1]]


def test_scenes_without_detections_pass_through_and_no_scenes_are_an_error():
    parts = [SceneDetections(name, make_geobox(), Detections.empty()) for name in "ab"]
    assert [len(p.detections) for p in deduplicate(parts, iou_threshold=0.5)] == [0, 0]
    with pytest.raises(ValueError, match="there are no scenes"):
        deduplicate([], iou_threshold=0.5)
    bare = SceneDetections("c", make_geobox(crs=None), Detections.empty())
    with pytest.raises(OutputError, match="1 of 3 scenes have no CRS"):
        deduplicate([*parts, bare], iou_threshold=0.5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("EPSG:32701", "EPSG:32760"),
        ("EPSG:32760", "EPSG:32701"),
        ("EPSG:4326", "EPSG:32701"),
        ("EPSG:3857", "EPSG:32760"),
        ("EPSG:4326", "EPSG:4326"),
        ("EPSG:3857", "EPSG:3857"),
    ],
)
@pytest.mark.parametrize("far", [0.0, 360.0])
def test_scenes_on_both_sides_of_the_antimeridian_are_compared(first, second, far):
    def part(name, crs, side, score):
        """A scene whose longitudes run on from ``side``, with a box over the antimeridian."""
        known = CRS.from_user_input(crs)
        to_crs = Transformer.from_crs(4326, known, always_xy=True)
        middle = np.array(to_crs.transform(180.0, -17.0))
        turn = full_turn(known)
        unit = 1e-5 if known.is_geographic else 1.0
        if turn:
            middle[0] = side * turn / 360
        corner = middle + np.array([-50.0, 50.0]) * unit
        geobox = GeoBox(100, 100, Affine(unit, 0, corner[0], 0, -unit, corner[1]), known)
        boxes = np.array([[45.0, 45.0, 55.0, 55.0], [5.0, 5.0, 9.0, 9.0]])
        scores = np.full(2, score, np.float32)
        return SceneDetections(name, geobox, Detections(boxes, scores, np.zeros(2, int)))

    parts = [part("a.tif", first, 180.0, 0.9), part("b.tif", second, -180.0 + far, 0.8)]
    kept = deduplicate(parts, iou_threshold=0.5)
    assert len(kept[0].detections) == 2
    boxes = kept[1].detections.boxes.tolist()
    assert [45.0, 45.0, 55.0, 55.0] not in boxes
    assert [
        len(near)
        for near in find_footprints([p.geobox for p in parts], parts[0].geobox.crs).neighbours
    ] == [1, 1]


def iter_layouts(seed, columns, rows, *, count, tilted):
    """Return scenes in a grid, each overlapping its neighbours, in any order."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in rng.permutation(columns * rows).tolist():
        angle = float(rng.uniform(-10, 10)) if tilted else 0.0
        geobox = make_geobox(45.0 * (number % columns), 45.0 * (number // columns), angle=angle)
        parts.append(SceneDetections(f"s{number}.tif", geobox, random_detections(rng, count)))
    return parts


@given(
    st.builds(
        iter_layouts,
        st.integers(0, 9999),
        st.integers(1, 4),
        st.integers(1, 3),
        count=st.integers(0, 25),
        tilted=st.booleans(),
    ),
    thresholds,
    st.data(),
)
@settings(max_examples=40)
def test_neither_the_order_of_arrival_nor_the_memory_changes_a_row(parts, threshold, data):
    """Also where all detections wait in the temporary file."""
    arrival = data.draw(st.permutations(range(len(parts))))
    most_bytes = data.draw(st.sampled_from([0, 2000, 10**9]))
    expected = [
        as_rows(SceneDetections("", part.geobox, part.detections.select(np.array(rows, int))))
        for part, rows in zip(parts, deduplicate_slowly(parts, threshold), strict=True)
    ]
    found = deduplicate(parts, iou_threshold=threshold, arrival=arrival, most_bytes=most_bytes)
    assert [part.scene for part in found] == [part.scene for part in parts]
    assert [as_rows(part) for part in found] == expected


def test_a_scene_leaves_when_what_overlaps_it_has_come():
    """Of a strip of scenes two are held; what is apart from the others is not held at all."""
    boxes = random_detections(np.random.default_rng(3), 20)
    scenes = [SceneDetections(f"{n}", make_geobox(50.0 * n), boxes) for n in range(5)]
    scenes.append(SceneDetections("apart", make_geobox(1000.0), boxes))
    with MosaicJoiner(scenes, iou_threshold=0.3) as joiner:
        left = [[part.scene for part in joiner.add(n, [boxes])] for n in range(6)]
    assert left == [[], ["0"], ["1"], ["2"], ["3", "4"], ["apart"]]


def test_a_chain_over_several_scenes_is_settled_from_its_strongest_box():
    """The box of each scene beats that of the one before, so the last scene decides on all."""
    scenes = [
        SceneDetections(f"{n}", make_geobox(50.0 * n), Detections([[0, 0, 60, 60]], [s], [0]))
        for n, s in enumerate([0.5, 0.6, 0.7, 0.8, 0.9])
    ]
    with MosaicJoiner(scenes, iou_threshold=0.05) as joiner:
        left = [list(joiner.add(n, [scenes[n].detections])) for n in range(5)]
    assert [len(parts) for parts in left] == [0, 0, 0, 0, 5]
    assert [len(part.detections) for part in left[-1]] == [1, 0, 1, 0, 1]


def test_a_scene_that_failed_is_not_waited_for_and_not_yielded():
    boxes = random_detections(np.random.default_rng(3), 20)
    scenes = [SceneDetections(f"{n}", make_geobox(50.0 * n), boxes) for n in range(3)]
    with MosaicJoiner(scenes, iou_threshold=0.3) as joiner:
        left = [[part.scene for part in joiner.add(n, [boxes][n == 1 :])] for n in range(3)]
    assert left == [[], ["0"], ["2"]]


def test_the_boxes_of_a_scene_may_be_placed_in_parts(monkeypatch):
    parts = build(5, 4, 25, tilted=True)
    whole = list(map(as_rows, deduplicate(parts, iou_threshold=0.3)))
    monkeypatch.setattr("geodet.merging.mosaics._AT_ONCE", 7)
    assert list(map(as_rows, deduplicate(parts, iou_threshold=0.3))) == whole
