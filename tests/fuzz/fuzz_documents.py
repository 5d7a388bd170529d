"""Write the documents that are fuzzed, as text."""

import csv
import io
import json
import re
from xml.sax.saxutils import escape, quoteattr

from factories_tilesets import paint_image

W, H = 64, 48
TARGETS = {}


def target(function):
    TARGETS[function.__name__.removeprefix("write_")] = function
    return function


def text_of(value):
    """Return a cell of a table or an XML file."""
    return value if isinstance(value, str) else json.dumps(value)


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", errors="replace"))


def images(folder, names=("a.png", "b.png")):
    for name in names:
        paint_image(folder / name, W, H)


def rows_of(tree):
    return [row if isinstance(row, list) else [row] for row in tree]


def lines_of(tree, delimiter=" "):
    return "".join(delimiter.join(map(text_of, row)) + "\n" for row in rows_of(tree))


def to_csv(tree, delimiter=","):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerows([text_of(cell) for cell in row] for row in rows_of(tree))
    return text.getvalue()


def element(tag, children=(), **attributes):
    return {"tag": tag, "attributes": attributes, "children": list(children)}


def legal(value):
    """Leave out the characters that XML cannot have."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]", "", text_of(value))


def to_xml(tree):
    if not isinstance(tree, dict) or "tag" not in tree:
        return escape(legal(tree))
    found = re.fullmatch("[a-z]{1,20}", text_of(tree["tag"]))
    tag = found.group() if found else "odd"
    given = tree.get("attributes")
    pairs = given.items() if isinstance(given, dict) else ()
    names = {k: v for k, v in pairs if re.fullmatch("[a-z]+", text_of(k))}
    attributes = "".join(f" {k}={quoteattr(legal(v))}" for k, v in names.items())
    children = tree.get("children")
    inner = "".join(map(to_xml, children if isinstance(children, list) else [children]))
    return f"<{tag}{attributes}>{inner}</{tag}>"


def to_tomlable(value):
    """Replace what TOML cannot say."""
    if isinstance(value, dict):
        return {plain(k): to_tomlable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [to_tomlable(one) for one in value]
    if isinstance(value, str):
        return plain(value)
    is_huge = isinstance(value, int) and value.bit_length() > 15_000
    return "" if value is None or is_huge else value


def plain(text):
    return text.encode(errors="replace").decode().replace("\0", "?")
