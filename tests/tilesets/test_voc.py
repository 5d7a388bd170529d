from pathlib import Path

import pytest
from factories_tilesets import write, write_voc

from geodet.errors import TilesetError
from geodet.tilesets.xml_labels import read_voc

IMAGE = Path("a.png")


def voc(tmp_path, *objects, **options):
    return read_voc([(IMAGE, write_voc(tmp_path / "a.xml", objects, **options))]).images[0]


def test_corners_are_edges_counted_from_zero(tmp_path):
    image = voc(tmp_path, ("car", 0, 0, 64, 48))
    assert image.boxes == [(0, 0, 64, 48)]
    assert image.size == (64, 48)


def test_difficult_objects_become_ignored_regions(tmp_path):
    text = write_voc(tmp_path / "a.xml", [("car", 0, 0, 4, 8)]).read_text()
    file = write(tmp_path / "a.xml", text.replace("<bnd", "<difficult>1</difficult><bnd"))
    assert read_voc([(IMAGE, file)]).images[0].ignored == [True]


def test_the_size_of_the_image_may_be_written_as_a_fraction(tmp_path):
    assert voc(tmp_path, ("car", 1, 2, 3, 4), size=("640.0", " 480 ")).size == (640, 480)


def test_the_size_of_the_image_may_be_missing(tmp_path):
    assert voc(tmp_path, ("car", 1, 2, 3, 4), size=(0, 0)).size is None


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([("car", 1, 1, 2, 2), ("", 1, 1, 2, 2)], "object 2: the object has no class"),
        ([("car", 1, 1, "", 2)], "object 1: the box '1', '1', '', '2' is not four numbers"),
        ([("car", 1, 1, "nan", 2)], "object 1: the box .* is not finite"),
    ],
)
def test_a_broken_object_is_refused_with_its_number(tmp_path, objects, message):
    with pytest.raises(TilesetError, match=message):
        voc(tmp_path, *objects)


def test_broken_xml_is_refused_with_its_file(tmp_path):
    with pytest.raises(TilesetError, match=r"a\.xml: broken XML"):
        read_voc([(IMAGE, write(tmp_path / "a.xml", "<annotation>"))])


def test_binary_labels_are_refused_with_their_file(tmp_path):
    (tmp_path / "a.xml").write_bytes(b"\xff\xfe\x00<annotation>")
    with pytest.raises(TilesetError, match=r"a\.xml: broken XML"):
        read_voc([(IMAGE, tmp_path / "a.xml")])


@pytest.mark.parametrize(
    ("word", "ignored"), [("1", True), ("True", True), ("0", False), ("", False)]
)
def test_difficult_objects_are_ignored_however_it_is_written(tmp_path, word, ignored):
    text = (
        f"<annotation><object><name>car</name><difficult>{word}</difficult><bndbox><xmin>1</xmin>"
        "<ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )
    file = write(tmp_path / "a.xml", text)
    assert read_voc([(tmp_path / "a.png", file)]).images[0].ignored == [ignored]
