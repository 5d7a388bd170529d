import pytest
from tilesets import paint_image, write, write_voc

from geodet.errors import TilesetError
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.siblings import find_beside, list_images


def test_label_without_an_image(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    for name in ("a", "b", "c"):
        write_voc(tmp_path / "annotations" / f"{name}.xml", [("car", 1, 2, 3, 4)])
    with pytest.raises(TilesetError, match=r"2 label files have no image, such as .*b\.xml"):
        find_labels(tmp_path)


def test_images_below_a_folder_of_images_are_listed_by_their_numbers(tmp_path):
    names = ["images/2.png", "images/10.TIF", "images/deep/1.jpg"]
    for name in [*names, "preview.png", "images/notes.txt"]:
        write(tmp_path / name, "")
    (tmp_path / "images" / "folder.png").mkdir()
    assert list_images(tmp_path) == [tmp_path / name for name in names]


def test_without_such_a_folder_its_own_images_are_listed(tmp_path):
    for name in ("a.png", "b.jpeg", "deep/c.png"):
        write(tmp_path / name, "")
    assert list_images(tmp_path) == [tmp_path / "a.png", tmp_path / "b.jpeg"]


def test_a_label_lies_in_its_folder_or_beside_its_image(tmp_path):
    image = tmp_path / "images" / "train" / "a.png"
    beside, there = image.with_suffix(".txt"), tmp_path / "labels" / "train" / "a.txt"
    assert find_beside(image, tmp_path, ("labels",), ".txt") == beside  # none is there
    write(beside, "")
    assert find_beside(image, tmp_path, ("labels",), ".txt") == beside
    write(there, "")
    assert find_beside(image, tmp_path, ("labels",), ".txt") == there
    there.unlink()
    beside.unlink()
    assert find_beside(image, tmp_path, ("labels",), ".txt") == there  # where it should be
