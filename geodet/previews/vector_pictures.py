"""Write a sheet as PDF or SVG: the scene as an image, boxes, outlines and words as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from geodet.geometry.boxes import Detections
from geodet.previews.lettering import letter, width_of
from geodet.previews.marks import is_dot
from geodet.previews.sheet import Line, Sheet, Words
from geodet.vector.palette import DARK, class_colour

__all__ = ["VECTOR_SUFFIXES", "write_vector_picture"]

VECTOR_SUFFIXES = (".pdf", ".svg")
"""Endings of the formats."""

_DPI = 150  # pixels of the sheet on an inch of paper
_POINT = 72 / _DPI  # of a pixel
_SETTINGS: dict[Any, Any] = {"svg.fonttype": "path", "pdf.fonttype": 42, "svg.hashsalt": "geodet"}
_NO_DATES = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}


def write_vector_picture(path: Path, sheet: Sheet, image: Image.Image, objects: Detections) -> None:
    """Write a sheet with its image, and boxes over it.

    Texts are as wide as in a painted picture. The file has no date, so that the same input gives
    the same bytes.

    Args:
        path: Ends in ``.pdf`` or ``.svg``.
        sheet: What is written around and over the image.
        image: The scene.
        objects: Boxes in the pixels of the image, drawn in order.

    Raises:
        OSError: The file cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure((sheet.width / _DPI, sheet.height / _DPI), facecolor=_rgb(sheet.paper))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, sheet.width), ylim=(sheet.height, 0))
        axes.set_axis_off()
        x, y = sheet.image_at
        extent = (x, x + image.width, y + image.height, y)
        axes.imshow(np.asarray(image), extent=extent, interpolation="none", aspect="auto")
        _draw_objects(axes, objects.shifted(x, y), _clip(axes, extent))
        for shape in sheet.shapes:
            _draw_words(axes, shape) if isinstance(shape, Words) else _draw_line(axes, shape)
        suffix = path.suffix.lower()
        content = BytesIO()  # on a full disk matplotlib ends a PDF with an error of zlib
        figure.savefig(content, format=suffix[1:], dpi=_DPI, metadata=_NO_DATES[suffix])
    path.write_bytes(content.getbuffer())


def _clip(axes: Any, extent: tuple[float, float, float, float]) -> Any:
    """Return the edge of the image, beyond which no box is drawn."""
    from matplotlib.patches import Rectangle

    left, right, bottom, top = extent
    return Rectangle((left, top), right - left, bottom - top, transform=axes.transData)


def _draw_objects(axes: Any, objects: Detections, clip: Any) -> None:
    """Draw boxes, and dots for small objects: the halos of all first."""
    from matplotlib.collections import EllipseCollection, PolyCollection

    are_dots = is_dot(objects)
    boxes, dots = objects.select(~are_dots), objects.select(are_dots)
    sides = np.sqrt(boxes.areas)
    widths = np.clip(np.round(0.36 * np.sqrt(sides)), 1, 4)
    corners = boxes.corners
    spacing = np.sqrt(clip.get_width() * clip.get_height() / max(len(objects), 1))
    across = 2 * min(max(0.2 * spacing, 1.25), 3.5)
    for rim in (1.0, 0.0):
        ink = [(*_rgb(DARK), 0.6)] if rim else _inks(boxes)
        lines = (widths + 2 * rim) * _POINT
        drawn = PolyCollection(list(corners), facecolors="none", edgecolors=ink, linewidths=lines)
        size = np.full(len(dots), across + 2 * rim)
        discs = EllipseCollection(
            size,
            size,
            np.zeros(len(dots)),
            units="xy",
            offsets=dots.centres,
            offset_transform=axes.transData,
            facecolors=[(*_rgb(DARK), 0.6)] if rim else _inks(dots),
            edgecolors="none",
        )
        for collection, count in ((drawn, len(boxes)), (discs, len(dots))):
            if count:
                axes.add_collection(collection, autolim=False)
                collection.set_clip_path(clip)


def _inks(objects: Detections) -> Sequence[tuple[float, float, float, float]]:
    """Return the colour of each object, more opaque for a higher score."""
    opacity = 0.7 + 0.3 * np.clip(objects.scores, 0, 1)
    pairs = zip(objects.labels.tolist(), opacity.tolist(), strict=True)
    return [(*_rgb(class_colour(label)), alpha) for label, alpha in pairs]


def _draw_line(axes: Any, line: Line) -> None:
    x, y = zip(*line.points, *(line.points[:1] if line.is_ring else ()), strict=True)
    if line.width:
        style = {"solid_capstyle": "butt", "solid_joinstyle": "round"}
        axes.plot(x, y, color=_rgb(line.colour), linewidth=line.width * _POINT, **style)
    else:
        axes.fill(x, y, color=_rgb(line.colour), linewidth=0)


def _draw_words(axes: Any, words: Words) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.patheffects import withStroke

    shown, file = letter(words.text, is_embedded=True)
    font = FontProperties(fname=file or None)
    font.set_size(_size(shown, font, words))
    text = axes.text(
        *words.at,
        shown,
        color=_rgb(words.colour),
        fontproperties=font,
        ha={"l": "left", "m": "center", "r": "right"}[words.anchor[0]],
        va="center_baseline",
        parse_math=False,  # $ is no formula
    )
    if words.has_halo:
        text.set_path_effects([withStroke(linewidth=4 * _POINT, foreground=_rgb(DARK))])


def _size(text: str, font: Any, words: Words) -> float:
    """Return the size in points at which a text is no wider than in a painted picture."""
    from matplotlib.textpath import TextPath

    size = words.size * _POINT
    if not text.strip():
        return size
    plain = text.replace("$", r"\$")
    own = TextPath((0, 0), plain, size=size, prop=font).get_extents().width
    return float(size * min(1.0, width_of(words.text, words.size) * _POINT / own))


def _rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
