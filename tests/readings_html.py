"""Read reports: HTML that is also XML, so that a parser refuses what is not well formed."""

import xml.etree.ElementTree as ET


def parse_page(text):
    """Return the root of a page; an unescaped character or an open element is an error."""
    doctype, _, rest = text.partition("\n")
    assert doctype == "<!DOCTYPE html>"
    return ET.fromstring(rest)


def read_page(path):
    return parse_page(path.read_text(encoding="utf-8"))


def text_of(element):
    return "".join(element.itertext()).strip()


def tables_of(root):
    """Return the rows of each table: lists of texts, the titles first."""
    return [
        [[text_of(cell) for cell in row] for row in table.iter("tr")]
        for table in root.iter("table")
    ]


def figures_of(root):
    """Return the key figures by name."""
    return {
        text_of(item.find("dt")): text_of(item.find("dd"))
        for item in root.iter("div")
        if item.find("dt") is not None
    }


def addresses_of(root):
    """List every address that a browser could load."""
    names = {"src", "href", "action", "data", "srcset", "poster", "background"}
    return [
        value
        for element in root.iter()
        for name, value in element.attrib.items()
        if name.rpartition("}")[2] in names
    ]
