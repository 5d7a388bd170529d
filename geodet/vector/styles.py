"""QGIS styles: the QML of a layer, and where QGIS looks for it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import get_args

from geodet.vector.formats import Geometry
from geodet.vector.palette import DARK, OTHER, Colour, class_colour

__all__ = [
    "Geometry",
    "qgis_style",
    "style_classes",
]

_HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_ALIASES = {
    "label": "Class",
    "score": "Score",
    "scene": "Scene",
    "area_m2": "Area (m²)",
    "x1_px": "Left (px)",
    "y1_px": "Top (px)",
    "x2_px": "Right (px)",
    "y2_px": "Bottom (px)",
}
_PRECISIONS = {"score": 2, "area_m2": 1, "x1_px": 1, "y1_px": 1, "x2_px": 1, "y2_px": 1}

# concat() leaves out what is null, where || would leave out the whole label.
_TEXT = """concat("label", ' ' || format_number("score", 2))"""


def _escaped(field: str) -> str:
    """Return an expression for the text of a field in HTML; & is first, since the others add it."""
    return f"""replace(replace(replace("{field}", '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"""


# QGIS shows it as HTML: a class or a scene could bring links, or images that are fetched.
_TIP = (
    f"""<b>[% {_escaped("label")} %]</b> [% format_number("score", 2) %]<br>"""
    """[% format_number("area_m2", 1) || ' m²' %]<br>"""
    f"""[% {_escaped("scene")} %]"""
)
# The side of an object on the map in mm. By the area on the ground, which holds in any CRS;
# where it is null (no CRS), by what a car or a crown of 5 m would measure.
_SIDE_MM = """(1000 * coalesce(sqrt("area_m2"), 5) / @map_scale)"""
_LINE_MM = f"max(0.18, min(0.6, 0.22 * sqrt({_SIDE_MM})))"
_HALO_MM = f"{_LINE_MM} + max(0.15, min(0.5, 0.2 * {_SIDE_MM}))"
_DOT_MM = f"max(0.9, min(2.6, 0.6 * {_SIDE_MM}))"
_LABELLED_FROM_MM = 6
_NO_LABELS_BEYOND = 10_000  # spares placing the labels of a whole city, none of which would show

# What XML 1.0 cannot hold, not even escaped (its section 2.2), lone surrogates among it.
_UNWRITABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def qgis_style(classes: Sequence[str], *, geometry: Geometry = "box") -> str:
    """Return a style for QGIS: boxes coloured by class, labelled with class and score.

    Boxes are outlined, with a dark halo that keeps them visible over imagery, in lines that grow
    with the object's size on the map; centroids are dots. Labels appear where the object is at
    least 6 mm wide on the map; where there is no room for all, those with the highest scores. The
    colours are those of :func:`geodet.vector.palette.class_colour`. Other classes are grey, and so
    is a class whose name cannot be written in XML (control characters).

    Args:
        classes: Names of the classes; a name's place chooses its colour.
        geometry: What the layer holds of each object.

    Raises:
        ValueError: Another geometry.
    """
    if geometry not in get_args(Geometry):
        raise ValueError(f"geometry {geometry!r} is not one of {', '.join(get_args(Geometry))}")
    root = ET.Element("qgis", version="3.22.0", styleCategories="AllStyleCategories")
    root.set("labelsEnabled", "1")
    _add_renderer(root, classes, geometry)
    _add_labels(root, geometry)
    _add_fields(root)
    ET.SubElement(root, "previewExpression").text = _TEXT
    ET.SubElement(root, "mapTip", enabled="1").text = _TIP
    ET.SubElement(root, "layerGeometryType").text = "2" if geometry == "box" else "0"
    ET.indent(root, " ")
    return _HEAD + ET.tostring(root, encoding="unicode") + "\n"


def style_classes(qml: str) -> list[str]:
    """Read the classes of a style by :func:`qgis_style`, in the order of their colours.

    Raises:
        ValueError: The text is not XML.
    """
    try:
        root = ET.fromstring(qml)
    except ET.ParseError as error:
        raise ValueError(f"the style is not XML: {error}") from error
    return [item.get("value", "") for item in root.iter("category") if item.get("value")]


def _add_renderer(root: ET.Element, classes: Sequence[str], geometry: Geometry) -> None:
    renderer = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="label")
    renderer.attrib |= {"symbollevels": "0", "forceraster": "0", "enableorderby": "0"}
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    names = dict.fromkeys(classes)
    colours = {name: class_colour(place) for place, name in enumerate(names)}
    shown = {name: colour for name, colour in colours.items() if not _UNWRITABLE.search(name)}
    for place, (name, colour) in enumerate((shown | {"": OTHER}).items()):
        category = ET.SubElement(categories, "category", symbol=str(place), render="true")
        category.attrib |= {"type": "string", "value": name, "label": name or "other"}
        _add_symbol(symbols, place, colour, geometry)


def _add_symbol(symbols: ET.Element, place: int, colour: Colour, geometry: Geometry) -> None:
    kind = "fill" if geometry == "box" else "marker"
    symbol = ET.SubElement(symbols, "symbol", name=str(place), type=kind, alpha="1")
    symbol.attrib |= {"clip_to_extent": "1", "force_rhr": "0"}
    if geometry == "centroid":
        _add_dot(symbol, colour)
        return
    # A trace of colour makes the inside of a box answer to a click of QGIS's selection tools.
    tint = {"style": "solid", "color": _rgba(colour, 12), "outline_style": "no"}
    _add_layer(symbol, "SimpleFill", tint | {"outline_color": _rgba(colour)})
    for ink, width, rule in (
        (_rgba(DARK, 150), "0.8", _HALO_MM),
        (_rgba(colour), "0.4", _LINE_MM),
    ):
        outline = {"style": "no", "color": _rgba(colour, 0), "outline_style": "solid"}
        outline |= {"outline_color": ink, "outline_width": width, "outline_width_unit": "MM"}
        _add_layer(symbol, "SimpleFill", outline | {"joinstyle": "miter"}, outlineWidth=rule)


def _add_dot(symbol: ET.Element, colour: Colour) -> None:
    dot = {"name": "circle", "color": _rgba(colour), "size": "1.8", "size_unit": "MM"}
    rim = {"outline_color": _rgba(DARK, 190), "outline_style": "solid", "outline_width": "0.25"}
    _add_layer(symbol, "SimpleMarker", dot | rim | {"outline_width_unit": "MM"}, size=_DOT_MM)


def _add_layer(symbol: ET.Element, kind: str, options: Mapping[str, str], **rules: str) -> None:
    layer = ET.SubElement(symbol, "layer", {"class": kind, "enabled": "1", "locked": "0"})
    layer.set("pass", "0")
    _add_options(layer, options)
    _add_rules(ET.SubElement(layer, "data_defined_properties"), rules)


def _add_labels(root: ET.Element, geometry: Geometry) -> None:
    settings = ET.SubElement(ET.SubElement(root, "labeling", type="simple"), "settings")
    settings.set("calloutType", "simple")
    style = ET.SubElement(settings, "text-style", fieldName=_TEXT, isExpression="1")
    style.attrib |= {"fontFamily": "Sans Serif", "namedStyle": "Bold", "fontWeight": "75"}
    style.attrib |= {"fontSize": "7", "fontSizeUnit": "Point", "textColor": "255,255,255,255"}
    style.attrib |= {"textOpacity": "1", "multilineHeight": "1"}
    buffer = ET.SubElement(style, "text-buffer", bufferDraw="1", bufferSize="0.7")
    buffer.attrib |= {"bufferSizeUnits": "MM", "bufferColor": _rgba(DARK), "bufferOpacity": "0.75"}
    buffer.attrib |= {"bufferJoinStyle": "128", "bufferNoFill": "1"}
    # Above the upper left corner, beside the object and not on it.
    place = ET.SubElement(settings, "placement", placement="1", quadOffset="2", priority="5")
    place.attrib |= {"xOffset": "0", "yOffset": "-0.6" if geometry == "box" else "-1"}
    place.attrib |= {"offsetUnits": "MM", "offsetType": "1"}
    if geometry == "box":
        corner = "make_point(x_min($geometry), y_max($geometry))"
        place.attrib |= {"geometryGenerator": corner, "geometryGeneratorEnabled": "1"}
        place.attrib |= {"geometryGeneratorType": "PointGeometry"}
    rendering = ET.SubElement(settings, "rendering", drawLabels="1", displayAll="0")
    # QGIS calls the largest denominator of a scale its maximum here, and its minimum elsewhere.
    rendering.attrib |= {"scaleVisibility": "1", "scaleMin": "1", "obstacle": "0"}
    rendering.set("scaleMax", str(_NO_LABELS_BEYOND))
    rules = {"Show": f"{_SIDE_MM} >= {_LABELLED_FROM_MM}", "Priority": '10 * "score"'}
    _add_rules(ET.SubElement(settings, "dd_properties"), rules)


def _add_fields(root: ET.Element) -> None:
    configured = ET.SubElement(root, "fieldConfiguration")
    for name, digits in _PRECISIONS.items():
        field = ET.SubElement(configured, "field", name=name)
        widget = ET.SubElement(field, "editWidget", type="Range")
        options = ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map")
        ET.SubElement(options, "Option", name="Precision", value=str(digits), type="int")
    aliases = ET.SubElement(root, "aliases")
    for index, (name, alias) in enumerate(_ALIASES.items()):
        ET.SubElement(aliases, "alias", field=name, name=alias, index=str(index))


def _add_options(parent: ET.Element, values: Mapping[str, str]) -> None:
    options = ET.SubElement(parent, "Option", type="Map")
    for name, value in values.items():
        ET.SubElement(options, "Option", name=name, value=value, type="QString")


def _add_rules(parent: ET.Element, rules: Mapping[str, str]) -> None:
    """Add expressions that QGIS evaluates for each object."""
    options = ET.SubElement(parent, "Option", type="Map")
    ET.SubElement(options, "Option", name="name", value="", type="QString")
    properties = ET.SubElement(options, "Option", name="properties", type="Map")
    for name, expression in rules.items():
        rule = ET.SubElement(properties, "Option", name=name, type="Map")
        ET.SubElement(rule, "Option", name="active", value="true", type="bool")
        ET.SubElement(rule, "Option", name="expression", value=expression, type="QString")
        ET.SubElement(rule, "Option", name="type", value="3", type="int")  # an expression
    ET.SubElement(options, "Option", name="type", value="collection", type="QString")


def _rgba(colour: Colour, opacity: int = 255) -> str:
    return ",".join(map(str, (*colour, opacity)))
