import pytest

from geodet.documents.text import DocumentError
from geodet.documents.toml_documents import parse_toml


def test_toml_is_read():
    assert parse_toml("[detect]\nchip_size = 512\n") == {"detect": {"chip_size": 512}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nested"),
        ("a = " + "[" * 30 + "]" * 30, "nested more than 20 levels"),
        (".".join("a" * 5000) + " = 1", "nested more than 20 levels"),
        ("a = " + "9" * 5000, "thousands of digits"),
        ("a = 0x" + "f" * 5000, "a number of about 6,021 digits"),
        ("a = ", "Invalid value"),
        ("#" * 200_000, "characters of TOML, and at most"),
    ],
)
def test_crafted_toml_is_refused(text, message):
    with pytest.raises(DocumentError, match=message):
        parse_toml(text)
