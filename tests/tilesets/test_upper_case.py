"""Label files whose endings are in upper case, as older programs on Windows write them."""

import pytest
from factories_tilesets import paint_image, write, write_coco, write_voc

from geodet.errors import TilesetError
from geodet.tilesets.layouts import find_labels

LABELME = '{"shapes": [{"label": "car", "points": [[1, 2], [9, 9]], "shape_type": "rectangle"}]}'
CVAT = (
    '<annotations><image name="A.JPG" width="64" height="48">'
    '<box label="car" xtl="1" ytl="2" xbr="9" ybr="9"/></image></annotations>'
)
CORNERS = "1 2 9 2 9 9 1 9 car 0\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels/A.TXT", "0 0.5 0.5 0.1 0.1\n"),
        ("A.TXT", "0 0.5 0.5 0.1 0.1\n"),
        ("labelTxt/A.TXT", CORNERS),
        ("A.JSON", LABELME),
        ("ANNOTATIONS.XML", CVAT),
        ("LABELS.CSV", "image,xmin,ymin,xmax,ymax,label\nA.JPG,1,2,9,9,car\n"),
    ],
)
def test_label_files_are_found_whatever_the_case_of_their_ending(tmp_path, name, text):
    paint_image(tmp_path / "A.JPG")
    write(tmp_path / name, text)
    write(tmp_path / "classes.txt", "car\n")
    (image,) = find_labels(tmp_path).images
    assert image.names == ["car"]


def test_coco_and_voc_are_found_whatever_the_case_of_their_ending(tmp_path):
    for place in ("coco", "voc"):
        paint_image(tmp_path / place / "A.JPG")
    write_coco(tmp_path / "coco" / "LABELS.JSON", {"A.JPG": [(0, 1, 2, 8, 7)]})
    write_voc(tmp_path / "voc" / "A.XML", [("car", 1, 2, 9, 9)])
    for place in ("coco", "voc"):
        assert [i.names for i in find_labels(tmp_path / place).images] == [["car"]]


def test_an_image_beside_others_keeps_its_labels(tmp_path):
    for name, ending in (("A", "TXT"), ("b", "txt")):
        paint_image(tmp_path / "images" / f"{name}.png")
        write(tmp_path / "labels" / f"{name}.{ending}", "0 0.5 0.5 0.1 0.1\n")
    write(tmp_path / "classes.txt", "car\n")
    labels = find_labels(tmp_path)
    assert [image.names for image in labels.images] == [["car"], ["car"]]
    assert labels.notes == []


def test_a_label_file_in_upper_case_without_an_image_is_refused(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    for name in ("a.txt", "B.TXT"):
        write(tmp_path / "labels" / name, "0 0.5 0.5 0.1 0.1\n")
    write(tmp_path / "classes.txt", "car\n")
    with pytest.raises(TilesetError, match=r"1 label files have no image, such as .*B\.TXT"):
        find_labels(tmp_path)
