import pytest

from geodet.documents.text import DocumentError, read_document, to_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_decoded(encoding):
    assert to_text("Bäume".encode(encoding)) == "Bäume"


def test_other_encodings_are_refused():
    with pytest.raises(DocumentError, match="at byte 1") as caught:
        to_text("Bäume".encode("latin-1"))
    assert "UTF-8" in caught.value.hint


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DocumentError, match="cannot be read"):
        read_document(tmp_path / "nothing.txt")
    with pytest.raises(DocumentError, match="cannot be read"):
        read_document(tmp_path)
    with pytest.raises(DocumentError, match="cannot be read"):
        read_document(tmp_path / "a\0b")
    with pytest.raises(DocumentError, match="cannot be read"):
        read_document(tmp_path / ("x" * 5000))


def test_a_file_above_the_limit_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("12345")
    assert read_document(tmp_path / "a.txt", largest=5) == b"12345"
    with pytest.raises(DocumentError, match="it has 5 bytes, and at most 4 are read"):
        read_document(tmp_path / "a.txt", largest=4)
