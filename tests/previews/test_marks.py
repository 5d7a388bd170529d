import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import oriented_corners
from geodet.geometry.scene_detections import SceneDetections
from geodet.geometry.windows import Window
from geodet.previews.marks import draw_density, draw_objects, is_crowded, is_dot
from geodet.previews.views import read_objects, read_view, to_image
from geodet.raster.scene import Scene
from geodet.vector.palette import class_colour
from geodet.vector.write_detections import write_detections

GREY = 100


def found(boxes, labels=0, scores=1.0):
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    every = np.ones(len(boxes))
    return Detections(boxes, every * scores, (every * labels).astype(int))


def drawn(shown, size=(200, 160)):
    image = Image.new("RGB", size, (GREY,) * 3)
    draw_objects(image, shown)
    return np.asarray(image).copy()


def has_colour(image, label=0):
    return (image == class_colour(label)).all(axis=-1)


def extent(mask):
    """Return x1 y1 x2 y2 around the pixels of a mask, exclusive ends."""
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@given(st.integers(20, 60), st.integers(20, 60), st.integers(6, 110), st.integers(6, 70))
def test_an_outline_touches_its_box_from_outside(x1, y1, width, height):
    box = [x1, y1, x1 + width, y1 + height]
    ring = has_colour(drawn(found([box])))
    assert not ring[y1 : y1 + height, x1 : x1 + width].any()
    filled = ring.copy()
    filled[y1 : y1 + height, x1 : x1 + width] = True
    outer = extent(ring)
    assert filled[outer[1] : outer[3], outer[0] : outer[2]].all()  # no gap on any side
    line = np.abs(np.array(outer) - box)
    assert set(line.tolist()) in ({1}, {2}, {3}, {4})  # as wide on all sides


@given(st.floats(10, 180), st.floats(10, 140), st.floats(0, 5.9))
def test_a_dot_lies_on_the_centre_of_its_box(x, y, side):
    image = drawn(found([[x - side / 2, y - side / 2, x + side / 2, y + side / 2]]))
    changed = (image != GREY).any(axis=-1)
    x1, y1, x2, y2 = extent(changed)
    assert abs((x1 + x2) / 2 - x) <= 0.5 + 1e-9
    assert abs((y1 + y2) / 2 - y) <= 0.5 + 1e-9
    assert has_colour(image)[int(y), int(x)]


@pytest.mark.parametrize(
    ("box", "expected"),
    [([0, 0, 5.9, 5.9], True), ([0, 0, 6, 6], False), ([0, 0, 6, 1], False), ([4, 4, 4, 4], True)],
)
def test_six_pixels_on_the_longer_side_make_a_box(box, expected):
    assert is_dot(found([box])).tolist() == [expected]


def test_a_class_of_sizes_about_six_pixels_is_drawn_alike():
    """A picture of boxes with dots among them says that these are something else."""
    sides = np.array([5.0, 5.9, 6.1, 6.4, 6.8, 3.9, 5.8, 5.9, 5.0, 8.9, 9.0])
    boxes = np.stack([sides * 0, sides * 0, sides, sides / 2], axis=1)
    labels = np.array([0] * 6 + [1] * 5)
    mixed = Detections(boxes, np.ones(11), labels)
    assert np.flatnonzero(is_dot(mixed)).tolist() == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("is_turned", [False, True])
def test_outlines_of_a_class_of_about_one_size_are_as_wide_as_each_other(is_turned):
    """Of 48 px and a half, an outline of its own would be 3 px wide and not 2."""
    sides = [46, 47, 50, 120]
    boxes = np.array(
        [[10 + 60 * n, 10, 10 + 60 * n + side, 10 + side] for n, side in enumerate(sides)]
    )
    shown = found(boxes)
    if is_turned:
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        lengths = np.array(sides, float)
        turned = np.column_stack([middles, lengths, lengths, np.zeros(4)])
        shown = Detections(shown.boxes, shown.scores, shown.labels, turned)
    ring = has_colour(drawn(shown, (400, 160)))
    *alike, large = (int(ring[:24, 10 + 60 * n + 20].sum()) for n in range(4))
    assert 2 <= alike[0] < large
    assert len(set(alike)) == 1


def test_without_objects_the_image_is_unchanged():
    assert (drawn(Detections.empty()) == GREY).all()
    assert is_dot(Detections.empty()).tolist() == []


def test_a_halo_does_not_cover_the_outline_of_a_neighbour():
    boxes = [[20, 20, 80, 80], [84, 20, 144, 80]]
    alone = has_colour(drawn(found(boxes[:1])))
    both = has_colour(drawn(found(boxes)))
    assert both[alone].all()


@pytest.mark.parametrize("side", [3, 40])
def test_the_last_object_is_drawn_on_top(side):
    shown = found([[50, 50, 50 + side, 50 + side]] * 2, labels=np.array([0, 1]))
    image = drawn(shown)
    assert has_colour(image, 1).any()
    assert not has_colour(image, 0).any()


@pytest.mark.parametrize("side", [3, 40])
def test_a_higher_score_is_more_opaque(side):
    strength = [
        np.abs(drawn(found([[50, 50, 50 + side, 50 + side]], scores=s)).astype(int) - GREY).max()
        for s in (0.0, 0.5, 1.0)
    ]
    assert strength[0] < strength[1] < strength[2]
    assert strength[0] > strength[2] / 2  # and never faint


def test_thousands_of_dots_leave_ground_between_them():
    """Dots 4 px apart show every centre, and the image between them."""
    x, y = np.meshgrid(np.arange(2, 400, 4), np.arange(2, 320, 4))
    corner = np.stack([x.ravel(), y.ravel()], axis=-1)
    image = drawn(found(np.hstack([corner - 1, corner + 1])), size=(400, 320))
    on_dots = np.abs(image[y, x].astype(int) - class_colour(0)).max(axis=-1)
    assert len(corner) == 8000
    assert on_dots[2:-2, 2:-2].max() < 60
    between = np.abs(image[4:-4:4, 4:-4:4].astype(int) - class_colour(0)).max(axis=-1)
    assert between.min() > 60


OBJECTS = [(400, 60, 424, 84), (96, 270, 120, 294), (300, 180, 324, 204)]


def blobs(image, near):
    """Find the centre of the bright pixels near each of some places: (N, 2) columns, rows."""
    centres = []
    for x, y in near:
        left, top = max(int(x) - 20, 0), max(int(y) - 20, 0)
        part = image[top : top + 40, left : left + 40].astype(float).max(axis=-1)
        rows, columns = np.nonzero(part > 150)
        centres.append([columns.mean() + 0.5 + left, rows.mean() + 0.5 + top])
    return np.array(centres)


@pytest.mark.parametrize("rotation", [0.0, 33.0])
@pytest.mark.parametrize(
    ("window", "max_side"), [(None, 512), (None, 300), ((80, 40, 400, 300), 200)]
)
def test_marks_lie_where_the_picture_shows_the_objects(
    tmp_path, make_scene, rotation, window, max_side
):
    """Also for rotated scenes and pictures at other resolutions."""
    path = make_scene(width=512, height=400, rotation=rotation, pixel_size=0.25, objects=OBJECTS)
    with Scene(path) as scene:
        part = SceneDetections(scene.name, scene.geobox, found(OBJECTS))
        write_detections(tmp_path / "found.gpkg", [part], ["tree"], metadata={})
        objects = read_objects(tmp_path / "found.gpkg", scene).detections
        view = read_view(scene, window and Window(*window), max_side)
    image = to_image(view.chip, max_side)
    shown = view.place(objects, image.size)
    expected = blobs(np.asarray(image), shown.centres)
    draw_objects(image, shown)
    ring = has_colour(np.asarray(image))
    for (x, y), box in zip(expected, shown.boxes, strict=True):
        x1, y1, x2, y2 = (box + np.array([-5, -5, 5, 5])).round().astype(int).clip(0)
        mark = extent(ring[y1:y2, x1:x2])
        assert (mark[0] + mark[2]) / 2 + x1 == pytest.approx(x, abs=0.8)
        assert (mark[1] + mark[3]) / 2 + y1 == pytest.approx(y, abs=0.8)


SIZE = (160, 120)


def at(xy, labels=0):
    """Return objects of 2 x 2 px around some points."""
    xy = np.asarray(xy, float).reshape(-1, 2)
    return Detections(np.hstack([xy - 1, xy + 1]), np.ones(len(xy)), np.zeros(len(xy)) + labels)


def lattice(step, x1=0, x2=SIZE[0]):
    """Return points in the middle of every so many pixels of the columns x1 to x2."""
    x, y = np.meshgrid(np.arange(x1, x2, step), np.arange(0, SIZE[1], step))
    return np.stack([x.ravel(), y.ravel()], axis=-1) + step / 2


def shaded(shown, value=200, size=SIZE):
    """Shade a grey image; return it, (H, W, 3), and the objects per pixel where it is opaque."""
    image = Image.new("RGB", size, (value,) * 3)
    peak = draw_density(image, shown)
    return np.asarray(image).astype(float), peak


@pytest.mark.parametrize("step", [1, 2, 4])
def test_the_peak_is_the_number_of_objects_in_a_pixel(step):
    assert shaded(at(lattice(step)))[1] == pytest.approx(1 / step**2, rel=0.08)


@settings(max_examples=10)
@given(st.integers(1, 5000))
def test_thousands_at_one_place_are_all_counted(count):
    """A blur of sigma 3 px gives one object a part of 1 / (2 pi 9) of its pixel."""
    one, many = (shaded(at([[80.5, 60.5]] * n)) for n in (1, count))
    assert many[1] == pytest.approx(count * one[1])
    assert one[1] == pytest.approx(1 / (2 * np.pi * 9), rel=0.2)
    strange = np.abs(many[0] - class_colour(0)).sum(axis=2)
    assert strange[60, 80] == strange.min()


def test_a_quarter_of_the_density_has_half_of_the_opacity():
    dense, thin = lattice(2, 0, 80), lattice(4, 80)
    image, _ = shaded(at(np.vstack([dense, thin])))
    ground = shaded(Detections.empty())[0][0, 0]
    ink = [
        np.abs(image[40:80, columns].mean(axis=(0, 1)) - ground).max()
        for columns in (slice(20, 60), slice(100, 140))
    ]
    assert ink[1] / ink[0] == pytest.approx(0.5, abs=0.04)


def test_the_colour_is_the_mean_of_the_objects():
    points = lattice(2)
    labels = np.where(np.arange(len(points)) % 4 == 0, 1, 0)  # one of four
    image, _ = shaded(at(points, labels))
    mixed = 0.75 * np.array(class_colour(0)) + 0.25 * np.array(class_colour(1))
    np.testing.assert_allclose(image[30:90, 40:120].mean(axis=(0, 1)), mixed, atol=6)


def test_the_image_is_grey_and_dark_where_there_are_no_objects():
    image, peak = shaded(Detections.empty())
    assert peak == 0.0
    assert (image == image[0, 0]).all()
    assert 60 < image[0, 0, 0] < 110
    colourful = Image.new("RGB", SIZE, (250, 10, 10))
    draw_density(colourful, at([[20.5, 20.5]] * 9))
    away = np.asarray(colourful).astype(int)[100, 140]
    assert np.ptp(away) < 10  # the colours are for the objects


def test_objects_beyond_the_image_do_not_count():
    outside = at([[-5, 10], [170, 10], [10, -9], [10, 130]] * 500)
    assert shaded(outside)[1] == 0.0
    assert not is_crowded(outside, SIZE)


@pytest.mark.parametrize(("each", "expected"), [(6, False), (7, True)])
def test_more_than_six_dots_in_a_cell_are_crowded(each, expected):
    cells = np.repeat(lattice(8), each, axis=0)
    assert is_crowded(at(cells), SIZE) is expected


@pytest.mark.parametrize(("heap", "expected"), [(40, False), (60, True)])
def test_an_image_is_crowded_where_most_objects_are_close(heap, expected):
    """299 alone and a heap of h: the mean over the objects is (299 + h^2) / (299 + h)."""
    shown = at(np.vstack([lattice(8)[:299], np.repeat([[156.0, 116.0]], heap, axis=0)]))
    assert is_crowded(shown, SIZE) is expected


def test_an_image_without_objects_is_not_crowded():
    assert not is_crowded(Detections.empty(), SIZE)


def test_oriented_boxes_are_drawn_along_their_sides():
    rows = np.array([[50.0, 50, 60, 20, np.pi / 4]])
    image = Image.new("RGB", (100, 100))
    draw_objects(image, Detections.of_oriented(rows, [1.0], [0]))
    drawn = np.asarray(image).any(axis=2)
    ring = shapely.LinearRing(oriented_corners(rows)[0])
    y, x = np.nonzero(drawn)
    assert shapely.distance(ring, shapely.points(x + 0.5, y + 0.5)).max() < 5
    corners = oriented_corners(rows)[0]
    middles = (corners + np.roll(corners, 1, axis=0)) / 2
    assert all(drawn[int(v), int(u)] for u, v in middles)
