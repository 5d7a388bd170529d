"""A report is one file: well formed, escaped, and without anything to load."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from readings_html import addresses_of, parse_page, tables_of, text_of

from geodet.errors import OutputError
from geodet.reports.chart_parts import BarChart, ChartLine, ChartRule, LineChart
from geodet.reports.page_file import PageSection, render_page, write_page
from geodet.reports.parts import (
    Gallery,
    GroundMap,
    KeyFigure,
    KeyFigures,
    MappedShape,
    MarkedBox,
    Picture,
    Remarks,
    ReportTable,
    TextBlock,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style></title></svg><svg onload=alert(1)>",
    "javascript:alert(1)//https://example.org/a?b=c&d",
    "{{ 7 * 7 }}{% raw %} ${x} \x00\x1b[31m\udcff\ufffe 🌳",
)


def every_part(text):
    """Return a section with each kind of part, and the text wherever a part holds one."""
    line = ChartLine(text, [0, 1, float("nan")], [0, 2, 3], 0, dots=[3, 4])
    rules = (ChartRule(0.5, text), ChartRule(0.2, text, dashed=True))
    labels = {"title": text, "x_label": text, "y_label": text}
    square = ((500_000.0, 4e6), (500_010.0, 4e6), (500_010.0, 4_000_010.0))
    picture = Picture(b"\xff\xd8\xff", 10, 12, text, (MarkedBox(1, 2, 3, 4, "right", True),), text)
    bars = {"names": (text, "b"), "styles": ("right", "missed"), "bars": ((text, (3, 4)),)}
    return PageSection(
        text,
        [
            KeyFigures((KeyFigure(text, text, text),)),
            ReportTable((text, "n"), ((text, text),), shades=((0.5,),), note=text),
            LineChart(**labels, lines=(line,), rules=rules),
            BarChart(**labels, **bars),
            Gallery(text, (picture,), text),
            GroundMap((MappedShape(square, text, 0.4),), text),
            Remarks((text,)),
            Remarks((), text),
            TextBlock(text),
            TextBlock(text, text),
        ],
        text,
    )


def elements(root):
    return [(element.tag, sorted(element.attrib)) for element in root.iter()]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup(text):
    plain = parse_page(render_page("plain", "plain", [every_part("plain")]))
    root = parse_page(render_page(text, text, [every_part(text)]))
    assert elements(root) == elements(plain)


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=())))
def test_every_text_is_shown_as_it_is(text):
    block = parse_page(render_page("t", "l", [PageSection("s", [TextBlock(text)])])).find(".//pre")
    shown = "".join(block.itertext())
    assert len(shown) == len(text)
    assert all(a in (b, "\ufffd") for a, b in zip(shown, text, strict=True))
    assert "\ufffd" not in shown or not text.isprintable() or "\ufffd" in text


def test_a_page_loads_and_runs_nothing():
    text = render_page("t", "l", [every_part(one) for one in HOSTILE])
    root = parse_page(text)
    assert {address.partition(",")[0] for address in addresses_of(root)} == {
        "data:image/jpeg;base64"
    }
    style = text_of(root.find(".//style"))
    assert not re.search(r"url\(|@import|expression", style)
    assert not [
        element.tag for element in root.iter() if element.tag in ("script", "link", "iframe")
    ]
    (policy,) = [m.get("content") for m in root.iter("meta") if m.get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_a_page_has_a_dark_scheme_and_one_for_paper():
    style = text_of(parse_page(render_page("t", "l", [])).find(".//style"))
    assert "@media (prefers-color-scheme: dark)" in style
    assert "@media print" in style


def test_parts_are_described_for_screen_readers():
    root = parse_page(render_page("t", "l", [every_part("a name")]))
    drawings = [svg for svg in root.iter("svg") if not svg.get("aria-hidden")]
    assert len(drawings) == 4
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in drawings)
    assert root.get("lang") == "en"
    assert all(cell.get("scope") for cell in root.iter("th"))


def test_a_table_shows_its_cells_in_order():
    table = ReportTable(("class", "n"), (("a & b", "1"), ("c", "2,000")))
    root = parse_page(render_page("t", "l", [PageSection("s", [table])]))
    assert tables_of(root) == [[["class", "n"], ["a & b", "1"], ["c", "2,000"]]]


def test_a_page_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "report.html"
    write_page(path, "first", "l", [])
    before = path.read_bytes()
    with pytest.raises(UndefinedError, match="kind"):
        write_page(path, "second", "l", [PageSection("s", ["no part"])])
    assert path.read_bytes() == before
    with pytest.raises(OutputError, match="nowhere"):
        write_page(tmp_path / "nowhere" / "report.html", "t", "l", [])
