"""XML in any declared encoding."""

import pytest
from factories_tilesets import paint_frames

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.tilesets.tileset import read_tileset
from geodet.tilesets.xml_labels import read_xml

TEXTS = {
    "utf-8": "Bäume 树 дерево",
    "utf-8-sig": "Bäume 树",
    "utf-16": "Bäume 树",
    "ISO-8859-1": "Bäume",
    "windows-1252": "Bäume €",
    "koi8-r": "дерево",
    "gbk": "树木",
    "big5": "樹",
    "Shift_JIS": "木",
    "euc-kr": "나무",
    "us-ascii": "tree",
}


def write(path, encoding, text, declared=None):
    name = declared or encoding.removesuffix("-sig")
    body = (
        f'<?xml version="1.0" encoding="{name}"?>\n<annotation><object><name>{text}</name>'
        "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"
        "</annotation>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", TEXTS)
def test_xml_is_read_in_the_encoding_that_it_declares(encoding, tmp_path):
    file = write(tmp_path / "a.xml", encoding, TEXTS[encoding])
    assert read_xml(file).findtext("object/name") == TEXTS[encoding]


def test_text_that_is_not_in_the_declared_encoding_is_refused(tmp_path):
    file = write(tmp_path / "a.xml", "latin-1", "Bäume", declared="utf-8")
    with pytest.raises(TilesetError, match=r"a\.xml: broken XML: it is not in utf-8") as caught:
        read_xml(file)
    assert caught.value.path == file


@pytest.mark.parametrize("content", [b"", b"<annotation>", b"\x00\x01", b"<a encoding='x'/><b/>"])
def test_broken_xml_is_refused_by_its_name(content, tmp_path):
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(TilesetError, match=r"a\.xml: broken XML"):
        read_xml(tmp_path / "a.xml")


def test_an_unknown_encoding_is_refused(tmp_path):
    file = write(tmp_path / "a.xml", "utf-8", "tree", declared="klingon")
    with pytest.raises(TilesetError, match="unknown encoding: klingon"):
        read_xml(file)


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "gbk", "utf-8-sig"])
def test_voc_labels_keep_the_letters_of_their_classes(encoding, tmp_path):
    paint_frames(tmp_path, ["a.png", "b.png"])
    for stem in "ab":
        write(tmp_path / f"{stem}.xml", encoding, TEXTS[encoding])
    assert read_tileset(tmp_path, DataConfig()).classes == (TEXTS[encoding],)
