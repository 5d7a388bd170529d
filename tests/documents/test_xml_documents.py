import pytest

from geodet.documents.text import DocumentError
from geodet.documents.xml_documents import read_xml_root


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.xml"


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "shift_jis"])
def test_the_declared_encoding_is_used(file, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?><a>木</a>'
    file.write_bytes(text.encode(encoding))
    assert read_xml_root(file).text == "木"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "declares entities"),
        ('<?xml version="1.0" encoding="zip"?><a/>', "broken XML"),
        ('<?xml version="1.0" encoding="nothing"?><a/>', "unknown encoding"),
        ("<a>", "no element found"),
        ("", "no element found"),
    ],
)
def test_crafted_xml_is_refused(file, text, message):
    file.write_text(text)
    with pytest.raises(DocumentError, match=message):
        read_xml_root(file)


def test_depth_needs_no_limit(file):
    file.write_text("<a>" * 100_000 + "</a>" * 100_000)
    assert sum(1 for _ in read_xml_root(file).iter("a")) == 100_000


def test_an_encoding_that_nobody_declared_is_not_said_to_be(file):
    file.write_bytes("<a>Bäume</a>".encode("latin-1"))
    with pytest.raises(DocumentError, match="unless it declares another"):
        read_xml_root(file)
