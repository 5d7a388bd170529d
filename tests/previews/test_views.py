import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.previews import views
from geodet.previews.views import read_view, to_image
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene

WIDTH, HEIGHT = 301, 203


@pytest.fixture(scope="module")
def ramp(tmp_path_factory):
    """Return a scene whose two bands are the column and the row, continuous, at each pixel."""
    path = tmp_path_factory.mktemp("views") / "ramp.tif"
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    profile = {"driver": "GTiff", "count": 2, "dtype": "float64", "crs": "EPSG:32633"}
    place = {"width": WIDTH, "height": HEIGHT, "transform": Affine(1, 0, 5e5, 0, -1, 5e6)}
    with rasterio.open(path, "w", **profile, **place) as raster:
        raster.write(np.stack([columns, rows]))
    return path


def span(length):
    starts = st.integers(0, length - 20)
    return starts.flatmap(lambda s: st.tuples(st.just(s), st.integers(20, length - s)))


@settings(deadline=None, max_examples=40)
@given(span(WIDTH), span(HEIGHT), st.integers(20, 400))
def test_boxes_are_placed_on_the_pixels_of_their_objects(ramp, columns, rows, max_side):
    window = Window(columns[0], rows[0], columns[1], rows[1])
    with Scene(ramp) as scene:
        view = read_view(scene, window, max_side)
    height, width = view.chip.valid.shape
    assert max(width, height) <= max_side
    # The centre of each pixel shows the column and the row that lie there, by the view's own word.
    xs = view.left + (np.arange(width) + 0.5) * view.width / width
    ys = view.top + (np.arange(height) + 0.5) * view.height / height
    # Away from the scene's edges, where an average has less to take from.
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(
        view.chip.pixels[0][inner], np.tile(xs, (height, 1))[inner], atol=0.6
    )
    np.testing.assert_allclose(
        view.chip.pixels[1][inner], np.tile(ys[:, None], (1, width))[inner], atol=0.6
    )
    assert abs(view.left - window.col_off) <= max(1, view.width / width)


def test_reading_in_strips_gives_the_same_pixels(ramp, monkeypatch):
    window = Window(10, 20, 280, 170)
    with Scene(ramp) as scene:
        whole = read_view(scene, window, 140)
        monkeypatch.setattr(views, "_STRIP_ROWS", 16)
        parts = read_view(scene, window, 140)
    np.testing.assert_allclose(parts.chip.pixels, whole.chip.pixels)
    assert parts.chip.valid.shape == whole.chip.valid.shape == (85, 140)


def test_boxes_are_sorted_by_score_and_those_outside_left_out(ramp):
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [90, 90, 110, 110.0]])
    found = Detections(boxes, [0.9, 0.8, 0.3], [0, 1, 2])
    with Scene(ramp) as scene:
        view = read_view(scene, Window(40, 40, 60, 60), 1000)
    shown = view.place(found, (120, 120))
    assert shown.labels.tolist() == [2, 1]
    assert shown.boxes.tolist() == [[100, 100, 140, 140], [20, 20, 40, 40]]


@pytest.mark.parametrize("window", [Window(-1, 0, 9, 9), Window(0, 200, 9, 9)])
def test_a_window_beyond_the_scene_is_a_value_error(ramp, window):
    with Scene(ramp) as scene, pytest.raises(ValueError, match=r"not within ramp\.tif, 301 x 203"):
        read_view(scene, window, 100)


def chip(pixels, valid=None):
    pixels = np.asarray(pixels)
    height, width = pixels.shape[1:]
    valid = np.ones((height, width), bool) if valid is None else valid
    return Chip(Window(0, 0, width, height), pixels, valid)


def shown(pixels, valid=None, max_side=2048):
    return np.asarray(to_image(chip(pixels, valid), max_side))


def bytes_of(seed, bands=3, height=600, width=700):
    return np.random.default_rng(seed).integers(0, 256, (bands, height, width), np.uint8)


@pytest.mark.parametrize(
    ("bands", "used"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])]
)
def test_uint8_values_are_not_stretched(bands, used):
    pixels = bytes_of(0, bands)
    np.testing.assert_array_equal(shown(pixels), pixels[used].transpose(1, 2, 0))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 1500))
def test_a_small_image_grows_by_a_whole_factor(width, height, max_side):
    longest = max(width, height)
    rows, columns = shown(bytes_of(1, 1, height, width), max_side=max_side).shape[:2]
    assert (columns % width, rows % height) == (0, 0)
    assert columns // width == rows // height
    factor = columns // width
    assert factor == 1 or factor * longest <= min(1024, max_side)
    assert (factor + 1) * longest > min(1024, max_side)


def test_an_enlarged_pixel_stays_at_its_place():
    pixels = np.zeros((1, 30, 40), np.uint8)
    pixels[0, 7, 12] = 255
    image = shown(pixels)[..., 0].astype(float)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    factor = image.shape[1] / 40
    assert (image * columns).sum() / image.sum() == pytest.approx(12.5 * factor, abs=0.02 * factor)
    assert (image * rows).sum() / image.sum() == pytest.approx(7.5 * factor, abs=0.02 * factor)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "uint32", "float32", "float64"])
def test_percentiles_2_to_98_fill_the_range(dtype):
    """Of 0, 1 ... 100 the percentiles 2 and 98 are 2 and 98: by hand."""
    ramp = np.tile(np.arange(101), (600, 10)).astype(dtype)[None]
    image = shown(ramp)[0, :101, 0]
    expected = (np.clip(np.arange(101) - 2, 0, 96) / 96 * 255).round()
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("outside", [-9999.0, np.nan, np.inf])
def test_pixels_without_data_do_not_change_the_stretch(outside):
    pixels = np.random.default_rng(0).normal(5, 2, (3, 600, 600))
    valid = np.ones((600, 600), bool)
    valid[:300] = False
    filled = pixels.copy()
    filled[:, :300] = outside
    np.testing.assert_array_equal(shown(filled, valid)[300:], shown(pixels[:, 300:])[:300, :600])


def test_each_band_is_stretched_by_itself():
    ramp = np.linspace(0, 1, 600 * 600).reshape(600, 600)
    image = shown(np.stack([ramp, 1000 * ramp - 7, 3 - ramp])).astype(int)
    np.testing.assert_allclose(image[..., 0], image[..., 1], atol=1)
    np.testing.assert_allclose(image[..., 0], 255 - image[..., 2], atol=1)


@pytest.mark.parametrize("value", [0.0, 7.5, -3e30])
def test_a_constant_band_is_stretched_without_dividing_by_zero(value):
    assert (shown(np.full((1, 600, 600), value)) == 0).all()


def test_checkers_cover_exactly_the_pixels_without_data():
    valid = np.random.default_rng(0).random((20, 30)) < 0.5
    image = shown(np.zeros((1, 20, 30), np.uint8), valid)[..., 0]
    factor = image.shape[1] // 30
    checked = np.kron(~valid, np.ones((factor, factor), bool))
    assert (image[checked] >= 222).all()
    assert (image[~checked] == 0).all()


def test_an_image_without_any_data_is_all_checkers():
    image = shown(np.full((3, 600, 600), np.nan), np.zeros((600, 600), bool))
    assert sorted(np.unique(image)) == [222, 240]
