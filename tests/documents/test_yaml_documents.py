import time

import pytest

from geodet.documents.text import DocumentError
from geodet.documents.yaml_documents import parse_yaml

BOMB = "a0: &a0 [x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
)


def test_names_and_aliases_are_read():
    text = "base: &base {path: ../data, nc: 2}\nmore: {<<: *base, names: {0: tree, 1: car}}\n"
    more = parse_yaml(text)["more"]
    assert more == {"path": "../data", "nc": 2, "names": {0: "tree", 1: "car"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 20_000 + "]" * 20_000, "nested more than 50 levels"),
        ("".join(f"{' ' * n}a:\n" for n in range(3000)), "nested more than 50 levels"),
        ("? " * 20_000, "nested more than 50 levels"),
        (BOMB, "aliases stand for more than 2,000,000 values"),
        (MERGES, "aliases stand for more than 2,000,000 values"),
        ("a: &a [*a]", "a contains itself"),
        ("a: " + "9" * 5000, "a value cannot be read"),
        ("a: 0x" + "f" * 5000, "a number of about 6,021 digits"),
        ("a: 2001-99-99", "a value cannot be read"),
        ("a: !!timestamp x", "a value cannot be read"),
        ("a: !!python/object:os.system x", "broken YAML"),
        ("a: *nothing", "broken YAML"),
        ("{", "broken YAML"),
        ("#" * (17 << 20), "characters of YAML, and at most"),
    ],
)
def test_crafted_yaml_is_refused_at_once(text, message):
    start = time.process_time()
    with pytest.raises(DocumentError, match=message):
        parse_yaml(text)
    assert time.process_time() - start < 5
