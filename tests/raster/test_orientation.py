"""Pictures with an EXIF orientation are read as Pillow's exif_transpose displays them."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from geodet.geometry.windows import Window
from geodet.raster.orientation import Turn
from geodet.raster.scene import Scene

WIDTH, HEIGHT = 61, 40
FORMATS = {
    "jpg": {"quality": 95, "subsampling": 0},
    "png": {},
    "webp": {"lossless": True},
    "tif": {},
}


@pytest.fixture(scope="module")
def picture():
    ramp = np.add.outer(np.arange(HEIGHT) * 3, np.arange(WIDTH) * 2)
    return np.stack([ramp, ramp[::-1], np.full_like(ramp, 90)], axis=-1).astype(np.uint8)


def save(path, pixels, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **options)
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_is_read_as_pillow_displays_it(suffix, orientation, picture, tmp_path):
    path = tmp_path / f"a.{suffix}"
    displayed = save(path, picture, orientation, **FORMATS[suffix])
    with Scene(path) as scene:
        assert scene.turn.orientation == orientation
        assert (scene.geobox.height, scene.geobox.width) == displayed.shape[1:]
        chip = scene.read(Window(0, 0, *scene.grid))
        part = scene.read(Window(3, 5, 20, 11))
    tolerance = 2 if suffix == "jpg" else 0  # two decoders of JPEG round differently
    np.testing.assert_allclose(chip.pixels.astype(int), displayed, atol=tolerance)
    np.testing.assert_array_equal(part.pixels, chip.pixels[:, 5:16, 3:23])
    assert chip.valid.all()


def test_a_crs_without_a_geotransform_does_not_keep_a_picture_from_being_turned(picture, tmp_path):
    path = tmp_path / "a.png"
    save(path, picture, 6)
    path.with_suffix(".png.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:32633</SRS></PAMDataset>", encoding="utf-8"
    )
    with Scene(path) as scene:
        assert scene.unplaced_crs.to_epsg() == 32633
        assert scene.turn.orientation == 6


@pytest.mark.parametrize("orientation", [2, 6, 7])
def test_a_turned_picture_is_resampled_like_the_picture_saved_upright(
    orientation, picture, tmp_path
):
    displayed = save(tmp_path / "a.png", picture, orientation)
    Image.fromarray(displayed.transpose(1, 2, 0)).save(tmp_path / "upright.png")
    grids = []
    for name in ("a.png", "upright.png"):
        with Scene(tmp_path / name) as scene:
            scene.resample(33, 27)
            grids.append(scene.read(Window(4, 2, 20, 21)).pixels)
            grids.append(scene.read_overview(20).pixels.astype(int))
    np.testing.assert_array_equal(grids[0], grids[2])
    np.testing.assert_allclose(grids[1], grids[3], atol=1)


def test_transparency_is_turned_with_the_picture(tmp_path):
    pixels = np.zeros((6, 4, 4), np.uint8)
    pixels[0, 0, 3] = 255
    save(tmp_path / "a.png", pixels, 6)
    with Scene(tmp_path / "a.png") as scene:
        chip = scene.read(Window(0, 0, *scene.grid))
    assert np.argwhere(chip.valid).tolist() == [[0, 5]]


def test_a_picture_is_read_as_stored_on_request(picture, tmp_path):
    save(tmp_path / "a.png", picture, 6)
    with Scene(tmp_path / "a.png", as_stored=True) as scene:
        pixels = scene.read(Window(0, 0, *scene.grid)).pixels
    np.testing.assert_array_equal(pixels, picture.transpose(2, 0, 1))


def test_a_picture_with_a_world_file_is_not_turned(picture, tmp_path):
    save(tmp_path / "a.jpg", picture, 6)
    (tmp_path / "a.jgw").write_text("0.5\n0\n0\n-0.5\n1000.25\n1999.75\n")
    with Scene(tmp_path / "a.jpg") as scene:
        assert scene.grid == (WIDTH, HEIGHT)
        assert scene.geobox.transform == Affine(0.5, 0, 1000, 0, -0.5, 2000)


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_a_number_that_exif_does_not_define_turns_nothing(orientation, picture, tmp_path):
    save(tmp_path / "a.jpg", picture, orientation)
    with Scene(tmp_path / "a.jpg") as scene:
        assert scene.turn.is_none


@given(
    orientation=st.integers(1, 8),
    left=st.integers(0, 3),
    top=st.integers(0, 4),
    width=st.integers(1, 3),
    height=st.integers(1, 2),
)
def test_the_stored_window_holds_what_the_displayed_one_shows(
    orientation, left, top, width, height
):
    turn = Turn.of(orientation)
    stored = np.arange(42).reshape(1, 6, 7)
    displayed = turn.applied(stored)
    size = displayed.shape[:0:-1]
    assert turn.size((7, 6)) == size
    place = turn.stored_window(Window(left, top, width, height), size)
    rows = slice(place.row_off, place.row_off + place.height)
    columns = slice(place.col_off, place.col_off + place.width)
    np.testing.assert_array_equal(
        turn.applied(stored[:, rows, columns]),
        displayed[:, top : top + height, left : left + width],
    )
