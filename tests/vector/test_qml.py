import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.vector.palette import OTHER, class_colour
from geodet.vector.styles import qgis_style, style_classes

NAMES = ["car", "a & b", "<tree>", 'the "old" one', "l'été", "🌳", "tab\tbed", "two\nlines", "]]>"]
FIELDS = {"label", "score", "scene", "area_m2", "x1_px", "y1_px", "x2_px", "y2_px"}


def parse(*arguments, **options):
    return ET.fromstring(qgis_style(*arguments, **options))


def options_of(layer):
    return {item.get("name"): item.get("value") for item in layer.find("Option")}


def expressions(root):
    found = [item.get("value") for item in root.iter("Option") if item.get("name") == "expression"]
    return [*found, root.find(".//text-style").get("fieldName"), root.findtext("previewExpression")]


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_every_class_has_a_category_with_its_colour(geometry):
    root = parse(NAMES, geometry=geometry)
    renderer = root.find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "label")
    categories = list(renderer.iter("category"))
    assert [item.get("value") for item in categories] == [*NAMES, ""]
    assert [item.get("label") for item in categories] == [*NAMES, "other"]
    symbols = {item.get("name"): item for item in renderer.iter("symbol")}
    for place, category in enumerate(categories):
        colour = class_colour(place) if place < len(NAMES) else OTHER
        top = options_of(symbols[category.get("symbol")].findall("layer")[-1])
        ink = top["outline_color" if geometry == "box" else "color"]
        assert ink == ",".join(map(str, (*colour, 255)))


def test_a_box_has_a_wider_halo_below_its_outline():
    tint, halo, line = parse(["car"]).find(".//symbol").findall("layer")
    assert [layer.get("class") for layer in (tint, halo, line)] == ["SimpleFill"] * 3
    assert options_of(line)["style"] == options_of(halo)["style"] == "no"
    assert int(options_of(tint)["color"].split(",")[3]) < 25
    assert sum(map(int, options_of(halo)["outline_color"].split(",")[:3])) < 60
    assert float(options_of(halo)["outline_width"]) > float(options_of(line)["outline_width"])


@pytest.mark.parametrize(
    ("geometry", "kind", "number"), [("box", "fill", "2"), ("centroid", "marker", "0")]
)
def test_the_geometry_chooses_symbols(geometry, kind, number):
    root = parse(["car"], geometry=geometry)
    assert {item.get("type") for item in root.iter("symbol")} == {kind}
    assert root.findtext("layerGeometryType") == number


def test_an_unknown_geometry_is_a_value_error():
    with pytest.raises(ValueError, match="geometry 'line' is not one of box, centroid"):
        qgis_style(["car"], geometry="line")


def test_labels_show_class_and_score_at_large_scales():
    root = parse(["car"])
    assert root.get("labelsEnabled") == "1"
    style = root.find(".//text-style")
    assert style.get("isExpression") == "1"
    assert style.get("fieldName") == """concat("label", ' ' || format_number("score", 2))"""
    assert style.get("fontWeight") is not None  # without it QGIS 3.22 draws hairlines
    assert style.find("text-buffer").get("bufferDraw") == "1"
    rendering = root.find(".//rendering")
    assert int(rendering.get("scaleMin")) < int(rendering.get("scaleMax"))


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_expressions_name_fields_that_geodet_writes(geometry):
    root = parse(["car"], geometry=geometry)
    quoted = {name for text in expressions(root) for name in re.findall('"([^"]*)"', text)}
    assert quoted <= FIELDS
    for text in expressions(root):
        assert text.count("(") == text.count(")")


def test_fields_have_aliases_and_digits():
    root = parse(["car"])
    aliases = {item.get("field"): item.get("name") for item in root.iter("alias")}
    assert aliases.keys() == FIELDS
    assert (aliases["label"], aliases["score"]) == ("Class", "Score")
    score = root.find(".//fieldConfiguration/field[@name='score']")
    assert score.find(".//Option[@name='Precision']").get("value") == "2"


def test_a_name_that_xml_cannot_hold_is_among_the_other_classes():
    assert style_classes(qgis_style(["a\x00b", "car", "\ud800", "\uffff"])) == ["car"]
    colour = parse(["a\x00b", "car"]).find(".//symbol/layer[3]")
    assert options_of(colour)["outline_color"].startswith("86,180,233")  # of the second class


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Cs"]))))
def test_classes_read_back_in_order(names):
    text = qgis_style(names)
    assert style_classes(text.encode().decode()) == [name for name in dict.fromkeys(names) if name]


def test_what_is_not_xml_has_no_classes():
    with pytest.raises(ValueError, match="the style is not XML"):
        style_classes("<qgis>")


@pytest.mark.parametrize("field", ["label", "scene"])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("oak", "oak"),
        ("a & b", "a &amp; b"),
        ("<img src='http://host/x.png'>", "&lt;img src='http://host/x.png'&gt;"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("[% 1 + 1 %]", "[% 1 + 1 %]"),
    ],
)
def test_the_map_tip_escapes_what_it_shows(field, text, shown):
    tip = parse(["car"]).findtext("mapTip")
    (expression,) = [part for part in re.findall(r"\[%(.*?)%\]", tip) if f'"{field}"' in part]
    # replace(text, before, after) is the same in QGIS and here.
    names = {"replace": str.replace, field: text}
    assert eval(expression.strip().replace(f'"{field}"', field), {}, names) == shown
