"""Pictures of cameras are read as labelling programs display them."""

import logging

import numpy as np
import pytest
from affine import Affine
from factories_kinds import with_rpcs
from factories_rasters import NORTH_UP, OBJECT, TURNED, with_points
from factories_tilesets import write, write_coco, write_voc
from PIL import Image, ImageOps
from pyproj import CRS

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.tilesets.displayed_images import open_image, read_chip
from geodet.tilesets.tileset import read_tileset

WIDTH, HEIGHT = 64, 48
"""Size of the picture as it is displayed."""
BOX = (10, 5, 30, 17)
BOX_OF_COCO = (0, 10, 5, 20, 12)
CONFIG = DataConfig(val_fraction=0.5)
_UNDOES = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def displayed():
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = (250, 200, 150)
    return Image.fromarray(pixels)


def save(path, displayed, orientation):
    """Save a picture with an orientation, so that it is displayed as the given one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    undo = _UNDOES[orientation]
    stored = displayed if undo is None else displayed.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif, **({"quality": 95} if path.suffix == ".jpg" else {}))
    with Image.open(path) as image:
        assert ImageOps.exif_transpose(image).size == displayed.size
    return path


def write_labels(folder, layout, suffix):
    """Write the labels of a and b as they are drawn on the displayed picture."""
    x1, y1, x2, y2 = BOX
    names = [f"a.{suffix}", f"b.{suffix}"]
    if layout == "yolo":
        shares = f"0 {(x1 + x2) / 2 / WIDTH} {(y1 + y2) / 2 / HEIGHT}"
        shares += f" {(x2 - x1) / WIDTH} {(y2 - y1) / HEIGHT}\n"
        for stem in "ab":
            write(folder / "labels" / f"{stem}.txt", shares)
        write(folder / "classes.txt", "tree\n")
    elif layout == "coco":
        entry = (0, x1, y1, x2 - x1, y2 - y1)
        write_coco(folder / "labels.json", {n: [entry] for n in names}, size=(WIDTH, HEIGHT))
    elif layout == "voc":
        for stem in "ab":
            write_voc(folder / "annotations" / f"{stem}.xml", [("tree", *BOX)], (WIDTH, HEIGHT))
    else:
        rows = "".join(f"{n},{x1},{y1},{x2},{y2},tree\n" for n in names)
        write(folder / "labels.csv", f"image_path,xmin,ymin,xmax,ymax,label\n{rows}")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("layout", ["yolo", "coco", "voc", "csv"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_lie_on_what_they_were_drawn_on(
    orientation, layout, suffix, displayed, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    for stem in "ab":
        save(tmp_path / "images" / f"{stem}.{suffix}", displayed, orientation)
    write_labels(tmp_path, layout, suffix)
    tileset = read_tileset(tmp_path, CONFIG)
    assert caplog.text.count("EXIF") == (orientation > 1)
    assert len(tileset.images) == 2
    for image in tileset.images:
        assert (image.width, image.height) == (WIDTH, HEIGHT)
        np.testing.assert_allclose(image.boxes, [BOX], atol=1e-6)
        chip = read_chip(image, ())
        bright = chip.pixels[0] > 128
        rows, columns = np.nonzero(bright)
        tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(tight, BOX, atol=1 if suffix == "jpg" else 0)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("layout", ["coco", "voc", "csv"])
def test_a_picture_whose_labels_fit_it_only_unturned_is_read_unturned(
    layout, orientation, displayed, tmp_path, caplog
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for stem in "ab":
        path = tmp_path / "images" / f"{stem}.png"
        path.parent.mkdir(exist_ok=True)
        displayed.save(path, exif=exif)
    write_labels(tmp_path, layout, "png")
    if layout == "csv":  # it has no size: a box that is outside of the turned picture decides
        file = tmp_path / "labels.csv"
        file.write_text(file.read_text() + "a.png,50,1,60,9,tree\nb.png,50,1,60,9,tree\n")
    tileset = read_tileset(tmp_path, CONFIG)
    assert "2 of 2 images, such as a.png, have an EXIF orientation" in caplog.text
    for image in tileset.images:
        assert image.as_stored
        with open_image(image) as scene:
            assert scene.grid == (image.width, image.height) == (WIDTH, HEIGHT)
        assert (read_chip(image, ()).pixels[0, 5:17, 10:30] == 250).all()


def test_a_size_that_fits_neither_way_is_refused(displayed, tmp_path):
    for stem in "ab":
        save(tmp_path / "images" / f"{stem}.png", displayed, 6)
    write_coco(tmp_path / "labels.json", {"a.png": [], "b.png": []}, size=(100, 48))
    with pytest.raises(TilesetError, match=r"a\.png is 64 x 48 px, but .* for 100 x 48"):
        read_tileset(tmp_path, CONFIG)


def test_a_truncated_png_is_refused_by_its_name(displayed, tmp_path):
    for stem in "ab":
        save(tmp_path / "images" / f"{stem}.png", displayed, 1)
    file = tmp_path / "images" / "b.png"
    file.write_bytes(file.read_bytes()[:-30])
    write_labels(tmp_path, "yolo", "png")
    with pytest.raises(TilesetError, match=r"b\.png .*truncated") as caught:
        read_tileset(tmp_path, CONFIG)
    assert caught.value.path == file


def save_points(make_scene, transform, *names, **options):
    """Write chips that control points place, 200 m apart, and a label on the object of each."""
    for number, name in enumerate(names):
        place = Affine.translation(200 * number, 0) @ transform
        with_points(make_scene, place, name=name, objects=[BOX], **options)
    return {name: [BOX_OF_COCO] for name in names}


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED])
def test_labels_of_chips_that_control_points_place_are_in_stored_pixels(
    make_scene, tmp_path, transform
):
    labels = save_points(make_scene, transform, "a.tif", "b.tif")
    write_coco(tmp_path / "labels.json", labels, size=(96, 80))
    tileset = read_tileset(tmp_path, CONFIG)
    for image in tileset.images:
        assert (image.width, image.height) == (96, 80)
        assert image.gsd == pytest.approx(0.6, rel=1e-3)
        check_object(read_chip(image, ()))
    with open_image(tileset.images[0]) as scene:
        assert scene.geobox.crs == CRS.from_epsg(32633)
        np.testing.assert_allclose(scene.geobox.transform, transform, atol=1e-6)


def check_object(chip):
    x1, y1, x2, y2 = BOX
    assert chip.pixels.shape == (3, 80, 96)
    assert (chip.pixels[0, y1:y2, x1:x2] == OBJECT).all()
    assert (chip.pixels[0] == OBJECT).sum() == (x2 - x1) * (y2 - y1)


def test_control_points_tell_which_chips_show_one_place(make_scene, tmp_path):
    labels = save_points(make_scene, TURNED, "a.tif", "c.tif")
    labels |= save_points(make_scene, NORTH_UP, "b.tif")
    write_coco(tmp_path / "labels.json", labels, size=(96, 80))
    images = read_tileset(tmp_path, CONFIG).images
    assert [image.place for image in images] == ["a.tif", "a.tif", "c.tif"]


def test_chips_whose_points_no_transform_meets_are_read_without_a_place(make_scene, tmp_path):
    def bend(x, y):
        return x, y + (x - NORTH_UP.c) ** 2 / 50

    labels = save_points(make_scene, NORTH_UP, "a.tif", "b.tif", to_points=bend)
    write_coco(tmp_path / "labels.json", labels, size=(96, 80))
    for image in read_tileset(tmp_path, CONFIG).images:
        assert image.gsd is None
        check_object(read_chip(image, ()))


def test_chips_with_a_crs_but_no_geotransform_share_no_ground(make_scene, tmp_path):
    for name in ("a.tif", "b.tif"):
        make_scene(name, epsg=None, crs="EPSG:32633", objects=[BOX])
    labels = {name: [BOX_OF_COCO] for name in ("a.tif", "b.tif")}
    write_coco(tmp_path / "labels.json", labels, size=(96, 80))
    images = read_tileset(tmp_path, CONFIG).images
    assert [(image.gsd, image.place) for image in images] == [(None, "a.tif"), (None, "b.tif")]


@pytest.mark.parametrize("crs", [None, "EPSG:4326", "EPSG:32611"])
def test_labels_of_chips_that_rpcs_place_are_in_stored_pixels(make_scene, tmp_path, crs):
    for name in ("a.tif", "b.tif"):
        with_rpcs(make_scene, [BOX], crs=crs).rename(tmp_path / name)
    labels = {name: [BOX_OF_COCO] for name in ("a.tif", "b.tif")}
    write_coco(tmp_path / "labels.json", labels, size=(96, 80))
    for image in read_tileset(tmp_path, CONFIG).images:
        check_object(read_chip(image, ()))
