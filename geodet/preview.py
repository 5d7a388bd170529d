"""A picture of a scene with its detections, to look at before any GIS program is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geodet.boxes import Detections
from geodet.outputs import check_destination, replacing
from geodet.palette import class_colour
from geodet.previews.density import draw_density, is_crowded
from geodet.previews.footer import ClassCount, ScaleBar, with_footer
from geodet.previews.imagery import to_image
from geodet.previews.marks import draw_objects, is_dot
from geodet.previews.views import View, read_view
from geodet.scene import Scene
from geodet.sources.bands import choose_bands
from geodet.windows import Window

__all__ = ["draw_preview", "open_in_colour"]

_COLOURS = ("red", "green", "blue")


def open_in_colour(path: str | Path, bands: Sequence[int | str] = ()) -> Scene:
    """Open a scene with the bands that a picture shows.

    Args:
        path: A raster.
        bands: Bands that are red, green and blue; empty: those that say so, or else the first ones.

    Raises:
        SceneError: The scene cannot be opened, or lacks a band.
    """
    with Scene(path, bands=bands) as scene:
        places = () if bands else choose_bands(_COLOURS, scene.band_meanings)
        chosen = tuple(scene.bands[place] for place in places)
    return Scene(path, bands=chosen or bands)


def draw_preview(
    path: Path,
    scene: Scene,
    detections: Detections,
    classes: Sequence[str],
    *,
    window: Window | None = None,
    max_side: int = 2048,
    overwrite: bool = False,
) -> None:
    """Draw a scene or a part of it with its detections, a legend and a scale bar into a PNG.

    The first three bands are red, green and blue, a single one is grey; values that are not uint8
    are stretched between their percentiles 2 and 98. Boxes that would be smaller than six pixels
    are dots, and stronger detections are more opaque. Where dots would run together, a shading
    shows how many there are, over an image that is darkened for it. Colours are those of
    :func:`geodet.palette.class_colour`, as in QGIS.

    Args:
        path: Ends in ``.png``; appears only when complete.
        scene: Read at the resolution of the picture.
        detections: Boxes in the scene's own pixels.
        classes: Names of the classes, by label.
        window: The part of the scene, in its own pixels; None: all of it.
        max_side: Longest side of the image in pixels, without its footer. Images of less than half
            of 1024 px are enlarged.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: The file exists or cannot be written.
        SceneError: The scene cannot be read.
        ValueError: A label has no class, or the window is not within the scene.
    """
    check_destination(path, (".png",), overwrite=overwrite)
    _check_labels(detections, classes)
    view = read_view(scene, window, max_side)
    image = to_image(view.chip, max_side)
    shown = view.place(detections, image.size)
    counts = _count(shown.select(_is_within(shown, image.size)), classes)
    remark = _draw(image, shown, scene, view)
    scale = ScaleBar.of(scene, view.width, image.width)
    picture = with_footer(image, scene.name, counts, scale, remark=remark)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _is_within(shown: Detections, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which objects have their centre in the image, edges included: (N,)."""
    inside = (shown.centres >= 0) & (shown.centres <= size)
    return np.asarray(inside.all(axis=1), np.bool_)


def _count(shown: Detections, classes: Sequence[str]) -> list[ClassCount]:
    """Count the objects of each class that occurs, with its colour."""
    counts = np.bincount(shown.labels, minlength=len(classes)).tolist()
    return [
        ClassCount(classes[label], count, class_colour(label))
        for label, count in enumerate(counts)
        if count
    ]


def _check_labels(detections: Detections, classes: Sequence[str]) -> None:
    wrong = (detections.labels < 0) | (detections.labels >= len(classes))
    if wrong.any():
        raise ValueError(f"label {detections.labels[wrong][0]} of {len(classes)} classes")


def _draw(image: Image.Image, shown: Detections, scene: Scene, view: View) -> str:
    """Draw the objects, and say what a shading means."""
    are_dots = is_dot(shown)
    if not is_crowded(shown.select(are_dots), image.size):
        draw_objects(image, shown)
        return ""
    peak = draw_density(image, shown.select(are_dots))
    draw_objects(image, shown.select(~are_dots))
    pixels = (view.width / image.width) * (view.height / image.height)
    return f"brightest: {_density_text(peak / pixels, scene.resolution)}"


def _density_text(per_pixel: float, resolution: tuple[float, float] | None) -> str:
    """Write how many objects there are, in an area that holds some."""
    if resolution is None:
        return f"{_two_digits(per_pixel * 1e4)} in 100 x 100 px"
    per_m2 = per_pixel / (resolution[0] * resolution[1])
    wide = per_m2 < 2e-4
    return f"{_two_digits(per_m2 * 1e6)} per km²" if wide else f"{_two_digits(per_m2 * 1e4)} per ha"


def _two_digits(number: float) -> str:
    """Round to two digits, with commas for the thousands."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"
