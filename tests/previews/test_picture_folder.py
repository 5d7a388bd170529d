import numpy as np
import pytest
from PIL import Image

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.previews.picture_folder import draw_pictures
from geodet.previews.picture_options import (
    PICTURE_SUFFIXES,
    PictureOptions,
    check_picture_folder,
    is_picture_folder,
)
from geodet.raster.scene import Scene

BOX = Detections(np.array([[20.0, 20.0, 60.0, 50.0]]), np.array([0.9]), np.array([0]))
NOTHING = Detections.empty()


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def size_of(path):
    with Image.open(path) as image:
        return image.size


@pytest.fixture
def draw(make_scene, tmp_path):
    def run(found=BOX, stem="a", *, paint=None, **options):
        path = make_scene(**({"epsg": None, "width": 100, "height": 80} | (paint or {})))
        with Scene(path) as scene:
            return draw_pictures(tmp_path / "looks", stem, scene, found, PictureOptions(**options))

    return run


def test_a_picture_has_its_box_and_its_own_pixels(draw):
    (path,) = draw(format="png")
    plain = pixels_of(draw(NOTHING, format="png")[0]).astype(int)
    image = pixels_of(draw(format="png")[0]).astype(int)
    assert image.shape == (80, 100, 3)
    changed = (image != plain).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (columns.min(), columns.max()) == pytest.approx((20, 60), abs=5)
    assert (rows.min(), rows.max()) == pytest.approx((20, 50), abs=5)
    assert not changed[30:40, 30:50].any()
    assert path.name == "a.png"


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_every_format(draw, format):
    (path,) = draw(format=format)
    assert path.suffix == PICTURE_SUFFIXES[format]
    with Image.open(path) as image:
        assert image.format == format.upper()
        assert image.size == (100, 80)


def test_a_large_picture_is_reduced(draw):
    (path,) = draw(max_side=50)
    assert size_of(path) == (50, 40)


def test_a_scene_on_the_ground_is_cut_into_tiles(draw):
    paths = draw(paint={"epsg": 32633}, max_side=64)
    assert [path.name for path in paths] == ["a_0_0.jpg", "a_64_0.jpg", "a_0_64.jpg", "a_64_64.jpg"]
    assert [size_of(path) for path in paths] == [(64, 64), (36, 64), (64, 16), (36, 16)]


def test_only_tiles_with_objects(draw):
    paths = draw(paint={"epsg": 32633}, max_side=64, only_with_objects=True)
    assert [path.name for path in paths] == ["a_0_0.jpg"]
    assert draw(NOTHING, only_with_objects=True) == []


def test_tiles_of_16_bits_are_equally_bright(draw, tmp_path):
    paint = {"epsg": 32633, "dtype": "uint16", "objects": [(0, 0, 64, 80)]}
    left, right, *_ = draw(NOTHING, paint=paint, max_side=64, format="png")
    assert pixels_of(left).mean() > pixels_of(right).mean() + 50


def test_fewer_pictures_of_a_later_run_leave_none_of_the_earlier(draw, tmp_path):
    draw(paint={"epsg": 32633}, max_side=64)
    (tmp_path / "looks" / "ab.jpg").touch()
    draw(only_with_objects=True, max_side=64, paint={"epsg": 32633})
    left = sorted(path.name for path in (tmp_path / "looks").iterdir())
    assert left == ["a_0_0.jpg", "ab.jpg"]


def test_pixels_without_data_are_checkers(draw):
    hole = {"nodata": 0, "holes": [(0, 0, 50, 80)], "epsg": None}
    image = pixels_of(draw(NOTHING, paint=hole, format="png")[0])
    assert set(np.unique(image[5:75, 5:45])) == {222, 240}


def test_a_folder_has_no_extension_or_is_there(tmp_path):
    assert is_picture_folder(tmp_path)
    assert is_picture_folder(tmp_path / "new")
    assert not is_picture_folder(tmp_path / "new.png")
    assert not is_picture_folder(tmp_path / "flight.2024")


@pytest.mark.parametrize("end", ["/", "\\"])
def test_a_text_that_ends_in_a_slash_is_a_folder(end):
    assert is_picture_folder(f"flight.2024{end}")
    assert is_picture_folder(f"new.png{end}")


def test_a_folder_with_files_is_not_written_to(tmp_path):
    check_picture_folder(tmp_path / "new" / "folder", overwrite=False)
    (tmp_path / "a.txt").touch()
    with pytest.raises(OutputError, match="is not empty") as caught:
        check_picture_folder(tmp_path, overwrite=False)
    assert "--overwrite" in caught.value.hint
    check_picture_folder(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match=r"a\.txt is a file"):
        check_picture_folder(tmp_path / "a.txt" / "looks", overwrite=False)


def test_a_turned_scene_is_cut_in_its_own_pixels(draw):
    paths = draw(paint={"epsg": 32633, "rotation": 20.0}, max_side=64)
    assert len(paths) == 4
