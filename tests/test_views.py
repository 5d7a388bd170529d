import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from geodet.boxes import Detections
from geodet.previews import views
from geodet.previews.views import read_view
from geodet.scene import Scene
from geodet.windows import Window

WIDTH, HEIGHT = 301, 203


@pytest.fixture(scope="module")
def ramp(tmp_path_factory):
    """Give a scene whose two bands are the column and the row, continuous, at each pixel."""
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
def test_pixels_and_places_agree(ramp, columns, rows, max_side):
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


def test_strips_make_the_whole(ramp, monkeypatch):
    window = Window(10, 20, 280, 170)
    with Scene(ramp) as scene:
        whole = read_view(scene, window, 140)
        monkeypatch.setattr(views, "_STRIP_ROWS", 16)
        parts = read_view(scene, window, 140)
    np.testing.assert_allclose(parts.chip.pixels, whole.chip.pixels)
    assert parts.chip.valid.shape == whole.chip.valid.shape == (85, 140)


def test_the_strongest_are_last_and_those_outside_are_not_there(ramp):
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [90, 90, 110, 110.0]])
    found = Detections(boxes, [0.9, 0.8, 0.3], [0, 1, 2])
    with Scene(ramp) as scene:
        view = read_view(scene, Window(40, 40, 60, 60), 1000)
    shown = view.place(found, (120, 120))
    assert shown.labels.tolist() == [2, 1]
    assert shown.boxes.tolist() == [[100, 100, 140, 140], [20, 20, 40, 40]]


@pytest.mark.parametrize("window", [Window(-1, 0, 9, 9), Window(0, 200, 9, 9)])
def test_a_window_beyond_the_scene_is_a_bug(ramp, window):
    with Scene(ramp) as scene, pytest.raises(ValueError, match=r"not within ramp\.tif, 301 x 203"):
        read_view(scene, window, 100)
