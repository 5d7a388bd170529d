import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.documents import json_documents
from geodet.documents.json_documents import DEEPEST_JSON, parse_json, read_json
from geodet.documents.text import DocumentError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text('"\\[]{}a,ä😀'),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('"\\[{a'), inner, max_size=3)
    ),
    max_leaves=20,
)


def depth(value):
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0) if isinstance(value, list | dict) else 0


@given(VALUES, st.booleans(), st.integers(1, 7))
def test_the_depth_is_that_of_the_parsed_value(value, is_ascii, chunk):
    text = json.dumps(value, ensure_ascii=is_ascii)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_documents, "_CHUNK", chunk)
        assert json_documents._depth(text.encode()) == depth(value)
    assert parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '["]]]]]]]]", ' + "[" * 100_000,
        '["\\"]]]]", ' * 200,
        "[" * (DEEPEST_JSON + 1) + "]" * (DEEPEST_JSON + 1),
    ],
)
def test_deep_nesting_is_refused_before_it_is_parsed(text, monkeypatch):
    monkeypatch.setattr(json_documents.json, "loads", None)
    with pytest.raises(DocumentError, match="levels deep, and at most 100"):
        parse_json(text)


def test_the_deepest_json_is_read():
    assert depth(parse_json("[" * DEEPEST_JSON + "]" * DEEPEST_JSON)) == DEEPEST_JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9" * 5000, "a whole number has thousands of digits"),
        ("{", "broken JSON: Expecting property name"),
        ("", "broken JSON: Expecting value"),
    ],
)
def test_broken_json_is_refused(text, message):
    with pytest.raises(DocumentError, match=message):
        parse_json(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_any_unicode_are_read(tmp_path, encoding):
    (tmp_path / "a.json").write_text('{"name": "Bäume"}', encoding=encoding)
    assert read_json(tmp_path / "a.json") == {"name": "Bäume"}


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(1 << 40)  # no blocks on the disk
    with pytest.raises(DocumentError, match=r"1,099,511,627,776 bytes, and at most 4,294,967,296"):
        read_json(tmp_path / "a.json")
