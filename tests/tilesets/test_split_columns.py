"""A column of a table that says the part of the split of each image."""

import pytest
from factories_tilesets import paint_frames, write

from geodet.errors import TilesetError
from geodet.tilesets.layouts import find_labels

BOXES = "{split},image_path,xmin,ymin,xmax,ymax,label\n"
SHAPES = "image_path,geometry,label,{split}\n"


@pytest.mark.parametrize("column", ["split", "Subset", "set", "fold"])
def test_a_column_of_a_table_splits_its_images(tmp_path, column):
    paint_frames(tmp_path, ["a.png", "b.png", "c.png"])
    rows = [
        "TRAIN,a.png,1,2,9,9,car",
        "val,b.png,1,2,9,9,car",
        "test,c.png,,,,,",
        "train,a.png,3,3,9,9,car",
    ]
    write(tmp_path / "labels.csv", BOXES.format(split=column) + "\n".join(rows))
    labels = find_labels(tmp_path)
    assert [(i.path.name, i.split) for i in labels.images] == [
        ("a.png", "train"),
        ("b.png", "val"),
        ("c.png", "test"),
    ]
    assert labels.split_source == f"the column {column.lower()} of labels.csv"


def test_a_column_of_a_table_of_outlines_splits_its_images(tmp_path):
    paint_frames(tmp_path, ["a.png", "b.png", "c.png"])
    shape = '"POLYGON ((1 1, 9 1, 9 9, 1 1))"'
    rows = [
        f"{n}.png,{shape},car,{part}" for n, part in zip("abc", ("train", "valid", ""), strict=True)
    ]
    write(tmp_path / "labels.csv", SHAPES.format(split="split") + "\n".join(rows))
    labels = find_labels(tmp_path)
    assert [(i.path.name, i.split) for i in labels.images] == [("a.png", "train"), ("b.png", "val")]
    assert "1 images are in no part of the column split of labels.csv" in labels.notes[0]


def test_an_image_that_a_column_puts_in_two_parts_is_refused(tmp_path):
    paint_frames(tmp_path, ["a.png", "b.png"])
    rows = "train,a.png,1,2,9,9,car\nval,b.png,1,2,9,9,car\nval,a.png,3,3,9,9,car\n"
    file = write(tmp_path / "labels.csv", BOXES.format(split="split") + rows)
    with pytest.raises(TilesetError, match=r"labels\.csv, line 4: a\.png is in train and in val"):
        find_labels(file)


def test_a_column_of_other_values_is_no_split(tmp_path):
    paint_frames(tmp_path, ["a.png", "b.png"])
    rows = "1,a.png,1,2,9,9,car\n2,b.png,1,2,9,9,car\n"
    write(tmp_path / "labels.csv", BOXES.format(split="fold") + rows)
    labels = find_labels(tmp_path)
    assert [i.split for i in labels.images] == [None, None]
    assert labels.split_source == ""
