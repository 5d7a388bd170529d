import re

import numpy as np
import pytest
from affine import Affine
from factories_tilesets import paint_frames, paint_image, write, write_coco, write_voc
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import DataConfig
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.doubtful_labels import note_doubtful_boxes
from geodet.tilesets.parsed_labels import ParsedImage
from geodet.tilesets.tileset import read_tileset

W, H = 64, 48
FRAMES = ("a.png", "b.png", "c.png")
CORNERS = "xmin, ymin, xmax, ymax"
SIZES = "x, y, width, height"
CENTRES = "centre x, centre y, width, height"
NUMBERS = {
    CORNERS: lambda x, y, w, h: (x, y, x + w, y + h),
    SIZES: lambda x, y, w, h: (x, y, w, h),
    CENTRES: lambda x, y, w, h: (x + w / 2, y + h / 2, w, h),
}
BOXES = [(x, y, 10, 8) for x in (0, 18, 36, 54) for y in (0, 20, 40)]
"""Twelve objects, of which some touch each side of an image of 64 x 48 px."""


def write_csv_corners(folder, rows):
    lines = "".join(f"a.png,{','.join(map(str, row))},car\n" for row in rows)
    write(folder / "labels.csv", f"image,xmin,ymin,xmax,ymax,label\n{lines}")


def write_csv_sizes(folder, rows):
    lines = "".join(f"a.png,{','.join(map(str, row))},car\n" for row in rows)
    write(folder / "labels.csv", f"image,x,y,width,height,label\n{lines}")


def write_voc_file(folder, rows):
    write_voc(folder / "a.xml", [("car", *row) for row in rows])


def write_coco_file(folder, rows):
    write_coco(folder / "labels.json", {"a.png": [(0, *row) for row in rows]})


def write_yolo_file(folder, rows):
    write(folder / "classes.txt", "car\n")
    shares = [(x / W, y / H, w / W, h / H) for x, y, w, h in rows]
    write(folder / "a.txt", "\n".join(f"0 {' '.join(map(str, row))}" for row in shares))


WRITERS = [
    (write_csv_corners, CORNERS, r"labels\.csv, line \d+"),
    (write_csv_sizes, SIZES, r"labels\.csv, line \d+"),
    (write_voc_file, CORNERS, r"a\.xml, object \d+"),
    (write_coco_file, SIZES, r"labels\.json, annotation \d+"),
    (write_yolo_file, CENTRES, r"a\.txt, line \d+"),
]


@pytest.mark.parametrize("written", NUMBERS)
@pytest.mark.parametrize(("write_labels", "form", "place"), WRITERS)
def test_labels_in_another_form_than_that_of_their_format_are_noted(
    write_labels, form, place, written, tmp_path, caplog
):
    # An object that fills its image, so that no reader finds only boxes without area.
    rows = [NUMBERS[written](*box) for box in [*BOXES, (0, 0, W, H)]]
    paint_image(tmp_path / "a.png")
    write_labels(tmp_path, rows)
    read_tileset(tmp_path, DataConfig(), part="all")
    doubts = [m for m in caplog.messages if "inverted" in m]
    if written == form:
        assert not doubts
    else:
        assert len(doubts) == 1
        assert re.search(rf"of 13 boxes .* if their numbers are {form}, .*{place}, and", doubts[0])
        assert f"none if they are {written}, as is probable: convert the boxes" in doubts[0]


def note_corners(boxes, size=(W, H)):
    item = ParsedImage("a.png", "a.csv, line ")
    for number, box in enumerate(boxes, start=1):
        item.add(box, "car", number, form="corners")
    return note_doubtful_boxes([item], [GeoBox(*size, Affine.identity(), None)], "a.csv")


@given(st.integers(0, 2**32 - 1), st.integers(5, 60), st.sampled_from([10, 90]), st.booleans())
def test_sound_boxes_of_a_scene_are_not_noted_whether_or_not_they_reach_over_the_edges(
    seed, count, longest, are_clipped
):
    random = np.random.default_rng(seed)
    sides = random.uniform(3, longest, (count, 2))
    ends = random.uniform(0, np.array([W, H]) + sides)
    boxes = np.hstack([ends - sides, ends])
    boxes = np.clip(boxes, 0, [W, H, W, H]) if are_clipped else boxes
    assert note_corners(map(tuple, boxes.tolist())) == []


def test_inverted_boxes_are_noted_where_no_other_form_fits():
    boxes = [(x + w, y + h, x, y) for x, y, w, h in BOXES]
    (note,) = note_corners(boxes)
    assert f"12 of 12 boxes are inverted if their numbers are {CORNERS}, such as a.csv, l" in note


def test_a_few_inverted_boxes_are_no_sign_of_another_form():
    boxes = [(x, y, x + w, y + h) for x, y, w, h in BOXES]
    assert note_corners([*boxes, (30, 30, 20, 20), (40, 40, 20, 20)]) == []


def write_yolo(folder, names, numbers):
    write(folder / "classes.txt", "\n".join(names))
    images = paint_frames(folder, FRAMES[: len(numbers)])
    for image, number in zip(images, numbers, strict=True):
        write(image.with_suffix(".txt"), f"{number} 0.5 0.5 0.2 0.2")


@pytest.mark.parametrize(
    ("names", "numbers", "is_doubtful"),
    [
        (("car", "bus", "van", "lorry"), (1, 2, 3), True),
        (("car", "bus", "van", "lorry"), (1, 3), True),
        (("car", "bus", "van", "lorry"), (0, 1, 3), False),
        (("car", "bus", "van", "lorry", "tram"), (1, 3), False),
        (("__background__", "car", "bus"), (1, 2), False),
        (("car",), (0,), False),
    ],
)
def test_class_numbers_that_may_count_from_1_are_noted(
    names, numbers, is_doubtful, tmp_path, caplog
):
    write_yolo(tmp_path, names, numbers)
    read_tileset(tmp_path, DataConfig(), part="all")
    noted = [m for m in caplog.messages if "if the numbers in the labels count from 1" in m]
    assert len(noted) == is_doubtful
