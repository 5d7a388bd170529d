from functools import cache

import numpy as np
import pytest
from scipy.spatial import distance

from geodet.demo.canvas import Canvas, Plot, Sun, TownFrame
from geodet.demo.town import CLOSEST_M, CLOSEST_SHARE, Painting, _stamp_crowns, paint_town

GSD = 0.6


@cache
def town(seed: int = 3, width: int = 400, height: int = 320) -> Painting:
    return paint_town(width, height, seed=seed, gsd=GSD)


def test_same_seed_paints_the_same_town():
    again = paint_town(400, 320, seed=3, gsd=GSD)
    np.testing.assert_array_equal(again.pixels, town().pixels)
    np.testing.assert_array_equal(again.centres, town().centres)
    np.testing.assert_array_equal(again.radii, town().radii)


def test_another_seed_paints_another_town():
    other = town(4)
    assert np.mean(other.pixels != town().pixels) > 0.9
    assert other.centres.shape != town().centres.shape or (other.centres != town().centres).any()


@pytest.mark.parametrize(("width", "height"), [(256, 200), (200, 256), (400, 320)])
@pytest.mark.parametrize("seed", range(3))
def test_the_painting_has_the_size_and_its_trees_are_inside(seed, width, height):
    painting = town(seed, width, height)
    count = len(painting.radii)
    assert painting.pixels.shape == (3, height, width)
    assert painting.pixels.dtype == np.uint8
    assert painting.centres.shape == (count, 2)
    assert painting.centres.dtype == painting.radii.dtype == np.float64
    assert count > 5
    assert (painting.centres >= 0).all()
    assert (painting.centres < (width, height)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 3)])
def test_the_smallest_towns_are_painted(size):
    width, height = size
    assert paint_town(width, height, seed=0).pixels.shape == (3, height, width)


@pytest.mark.parametrize("seed", range(3, 6))
def test_trees_keep_their_distance(seed):
    painting = town(seed)
    apart = distance.pdist(painting.centres)
    first, second = np.triu_indices(len(painting.radii), k=1)
    sums = painting.radii[first] + painting.radii[second]
    assert (apart >= np.maximum(CLOSEST_M / GSD, CLOSEST_SHARE * sums) - 1e-9).all()


@pytest.mark.parametrize("gsd", [0.3, 0.6, 1.0])
def test_crowns_measure_2_to_7_metres(gsd):
    radii_m = paint_town(400, 320, seed=3, gsd=gsd).radii * gsd
    assert radii_m.min() >= 2 - 1e-9
    assert radii_m.max() <= 7 + 1e-9


def seen_at_marks(right: int = 0, down: int = 0) -> tuple[float, float]:
    """Mean greenness and lightness at all centres of six towns, or beside them (pixels)."""
    seen = []
    for seed in range(3, 9):
        painting = town(seed)
        red, green, blue = painting.pixels.astype(float)
        light = (red + green + blue) / 3
        inner = ((painting.centres > 16) & (painting.centres < (384, 304))).all(axis=1)
        column, row = (painting.centres[inner] + (right, down)).astype(int).T
        seen.append(np.stack([(green / light - 1)[row, column], light[row, column]]))
    greenness, lightness = np.concatenate(seen, axis=1).mean(axis=1).tolist()
    return greenness, lightness


@pytest.mark.parametrize("beside", [(14, 0), (-14, 0), (14, 14), (-14, 14), (0, 14)])
def test_a_crown_is_greener_and_darker_than_the_ground_beside_it(beside):
    """8 m away; not towards the north, where the shadow lies."""
    greenness, lightness = seen_at_marks()
    ground_greenness, ground_lightness = seen_at_marks(*beside)
    assert greenness > 2 * ground_greenness
    assert lightness < 0.75 * ground_lightness


@pytest.mark.parametrize("beside", [(3, 0), (-3, 0), (0, 3), (0, -3)])
def test_tree_centres_are_in_the_middle_of_the_crowns(beside):
    """Three pixels off, less is green: a shift of the frame fails here."""
    assert seen_at_marks()[0] > seen_at_marks(*beside)[0]


def test_a_single_crown_has_its_centre_of_mass_at_its_point():
    """Mean over many crowns on white ground, because each outline is uneven."""
    errors = []
    for seed in range(40):
        canvas = make_canvas(60, 60, seed)
        image = np.full((3, 60, 60), 255, np.float32)
        _stamp_crowns(image, np.array([[30.25, 27.75, 7.0]]), canvas)
        row, column = np.nonzero(image[0] < 254)
        errors.append((column.mean() + 0.5 - 30.25, row.mean() + 0.5 - 27.75))
    np.testing.assert_allclose(np.mean(errors, axis=0), 0, atol=0.2)


def test_colours_have_the_percentiles_of_aerial_photographs():
    """5th and 95th percentile of 625 chips of the urban-tree data, red, green, blue."""
    means = town(3, 700, 600).pixels.mean(axis=(1, 2))
    spreads = town(3, 700, 600).pixels.std(axis=(1, 2))
    assert (means > (87, 94, 83)).all()
    assert (means < (142, 143, 139)).all()
    assert (spreads > (30, 26, 24)).all()
    assert (spreads < (53, 48, 46)).all()


def test_shadows_fall_away_from_the_sun():
    south = Sun(azimuth=np.pi, elevation=np.pi / 4)
    assert south.shadow(3.0) == pytest.approx((0, -3))  # image y points down: north is up
    assert np.hypot(*south.direction[:2]) == pytest.approx(south.direction[2])


def test_a_turned_plot_covers_the_same_land():
    plot = Plot(np.array([5.0, -2.0]), np.eye(2), 30.0, 12.0).cut((2, 3, 22, 10))
    turned = plot.turned()
    assert (turned.width, turned.depth) == (plot.depth, plot.width)
    np.testing.assert_allclose(
        turned.outline(turned.box).mean(axis=0), plot.outline(plot.box).mean(axis=0), atol=1e-9
    )
    full = turned.turned().turned().turned()
    np.testing.assert_allclose(full.origin, plot.origin, atol=1e-9)
    np.testing.assert_allclose(full.axes, plot.axes, atol=1e-9)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"height": -1}, {"gsd": 0.0}])
def test_impossible_sizes_are_refused(wrong):
    sizes = {"width": 10, "height": 10, "gsd": 0.6} | wrong
    with pytest.raises(ValueError, match="positive sides and gsd"):
        paint_town(seed=0, **sizes)


def make_canvas(width: int, height: int, seed: int) -> Canvas:
    frame = TownFrame(width, height, GSD, 0.0, (0.0, 0.0))
    return Canvas(frame, Sun(np.pi, np.pi / 3), np.random.default_rng(seed))
