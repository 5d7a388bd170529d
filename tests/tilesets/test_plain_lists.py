"""Lists of images beside the labels, such as train.txt, as people and other programs write them."""

import pytest
from factories_tilesets import paint_image, write

from geodet.errors import TilesetError
from geodet.tilesets.layouts import find_labels


def paint(folder, names=("a", "b", "my c")):
    for name in names:
        paint_image(folder / "images" / f"{name}.png")
        write(folder / "labels" / f"{name}.txt", "0 0.5 0.5 0.1 0.1\n")
    write(folder / "classes.txt", "car\n")


def parts(folder):
    return {image.path.stem: image.split for image in find_labels(folder).images}


@pytest.mark.parametrize("start", ["images/", "./images/", "images\\", "D:\\my data\\images\\"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_paths_of_windows_and_names_with_spaces_are_found(tmp_path, start, order):
    paint(tmp_path)
    lines = [f"{start}b.png", f"{start}my c.png"]
    write(tmp_path / "train.txt", "\r\n".join(lines[n] for n in order))
    write(tmp_path / "val.txt", f"{start}a.png\r\n")
    assert parts(tmp_path) == {"a": "val", "b": "train", "my c": "train"}


def test_a_list_that_begins_with_a_missing_image_is_refused(tmp_path):
    paint(tmp_path)
    write(tmp_path / "train.txt", "images/gone.png\nimages/b.png\n")
    write(tmp_path / "val.txt", "images/a.png\n")
    with pytest.raises(TilesetError, match=r"train\.txt, line 1: there is no image images/gone"):
        find_labels(tmp_path)


def test_lists_that_name_no_image_are_noted(tmp_path):
    paint(tmp_path)
    write(tmp_path / "train.txt", "other/1.png\nother/2.png\n")
    write(tmp_path / "val.txt", "images/a.png\n")
    labels = find_labels(tmp_path)
    assert {image.split for image in labels.images} == {None}
    assert labels.notes == [
        f"{tmp_path}: train.txt names none of the images, so it and val.txt are not used"
    ]


def test_a_flag_may_follow_a_name_with_spaces(tmp_path):
    paint(tmp_path)
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "my c  1\nb -1\n")
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "sub\\a.png 1\n")
    assert parts(tmp_path) == {"a": "val", "b": "train", "my c": "train"}
