"""Images whose names in the labels differ by case or by how accents are stored."""

import unicodedata

import pytest
from factories_tilesets import paint_image, write, write_coco

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.tileset import read_tileset

BOX = [(0, 1, 2, 8, 7)]


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        (unicodedata.normalize("NFD", "Bäume.png"), "Bäume.png"),
        ("Bäume.png", unicodedata.normalize("NFD", "Bäume.png")),
        ("a.png", "A.PNG"),
        ("DJI_1.JPG", "flight/dji_1.jpg"),
    ],
)
def test_an_image_is_found_by_a_name_that_is_alike(tmp_path, stored, named):
    path = paint_image(tmp_path / "images" / stored)
    write_coco(tmp_path / "labels.json", {named: BOX})
    tileset = read_tileset(tmp_path, DataConfig(), part="all")
    assert [(image.path, len(image.boxes)) for image in tileset.images] == [(path, 1)]


def test_tables_find_it_too(tmp_path):
    paint_image(tmp_path / "a.png")
    file = write(tmp_path / "labels.csv", "image,xmin,ymin,xmax,ymax,label\nA.png,1,2,9,9,car\n")
    assert [image.path.name for image in find_labels(file).images] == ["a.png"]


def test_two_names_that_are_alike_are_no_match(tmp_path):
    for name in ("a.png", "A.png"):
        paint_image(tmp_path / name)
    write_coco(tmp_path / "labels.json", {"A.PNG": BOX})
    with pytest.raises(TilesetError, match=r"1 of 1 images are missing, such as .*A\.PNG"):
        read_tileset(tmp_path, DataConfig(), part="all")


def test_the_same_name_comes_first(tmp_path):
    for name in ("a.png", "A.png"):
        paint_image(tmp_path / "images" / name)
    write_coco(tmp_path / "labels.json", {"A.png": BOX, "a.png": []})
    found = [(image.path.name, len(image.boxes)) for image in find_labels(tmp_path).images]
    assert found == [("A.png", 1), ("a.png", 0)]
