"""One picture in two parts of a split."""

import numpy as np
import pytest
from factories_tilesets import write, write_coco
from PIL import Image

import geodet.tilesets.duplicate_images
from geodet.config import DataConfig
from geodet.tilesets.tileset import read_tileset

SIZE = (64, 48)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)


@pytest.fixture
def read(tmp_path):
    """Return a function that saves pictures, by part and name, and reads the tileset."""

    def make(**parts):
        for part, files in parts.items():
            for name, pixels in files.items():
                path = tmp_path / "images" / name
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(pixels).save(path)
            write_coco(tmp_path / f"{part}.json", {name: [(0, 1, 2, 3, 4)] for name in files})
        return read_tileset(tmp_path, DataConfig())

    return make


@pytest.mark.parametrize("name", ["c.png", "c.tif", "c.bmp"])
def test_the_same_picture_in_both_parts_is_warned_of(name, read, caplog):
    read(train={"a.png": picture(1), "b.png": picture(2)}, val={name: picture(2)})
    assert (
        f"1 images of val are in train as well, such as images/{name}, which is images/b.png"
        in (caplog.text)
    )


def test_the_same_file_is_found_among_many(read, caplog, monkeypatch):
    monkeypatch.setattr(geodet.tilesets.duplicate_images, "_MOST_READ", 1)
    read(train={"a.png": picture(1)}, val={"b.png": picture(1), "c.bmp": picture(1)})
    assert "1 images of val are in train as well, such as images/b.png" in caplog.text


def test_different_pictures_are_no_duplicates(read, caplog):
    below = picture(1)
    below[30:] = 0  # the first rows are the same
    read(train={"a.png": picture(1)}, val={"b.png": picture(2), "c.png": below})
    assert "as well" not in caplog.text


def test_blank_pictures_are_no_duplicates(read, caplog):
    blank = np.zeros_like(picture(0))
    read(train={"a.png": blank, "b.tif": blank}, val={"c.png": blank})
    assert "as well" not in caplog.text


def test_one_label_file_for_two_images_is_refused(tmp_path):
    for stem in "ab":
        for suffix in ("png", "jpg"):
            path = tmp_path / "images" / f"{stem}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture(1)).save(path)
        write(tmp_path / "labels" / f"{stem}.txt", "0 0.5 0.5 0.1 0.1\n")
    write(tmp_path / "classes.txt", "tree\n")
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png have the same label file, a\.txt"):
        read_tileset(tmp_path, DataConfig())
