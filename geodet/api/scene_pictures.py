"""The public function that draws scenes: preview."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

from geodet.api.call_arguments import check_bounds, check_choice, check_numbers, check_range
from geodet.api.frame_files import FRAMES, Vectors, writing_frames
from geodet.geometry.windows import Window
from geodet.previews.map_outlines import OutlineLayer
from geodet.previews.preview import PreviewReport, draw_scene

__all__ = ["preview"]


def preview(
    scene: str | Path,
    detections: Vectors | None,
    output: str | Path,
    *,
    window: Sequence[int] | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    bands: Sequence[int | str] = (),
    min_score: float = 0.0,
    max_side: int = 2048,
    title: str = "",
    outlines: Vectors | OutlineLayer | Sequence[Vectors | OutlineLayer] = (),
    on_error: Literal["stop", "skip"] = "stop",
    overwrite: bool = False,
) -> PreviewReport:
    """Draw detections over a scene as a map, with a legend, a scale bar and an arrow to north.

    Args:
        scene: A raster.
        detections: What :func:`detect` returned or another frame, or a vector file of points or
            polygons; None draws the scene alone.
        output: The picture: ``.png``, ``.jpg``, ``.webp``, ``.pdf`` or ``.svg``.
        window: The part to show: column, row, width and height in pixels of the scene.
        bounds: The part to show: xmin, ymin, xmax, ymax.
        bounds_crs: The CRS of ``bounds``; None: the scene's.
        bands: Bands of the scene for red, green and blue; empty: chosen by their names.
        min_score: Leave out detections with a lower score.
        max_side: Longest side of the picture in pixels.
        title: Title above the picture; empty: none.
        outlines: Polygons to outline: vector files or frames, or :class:`OutlineLayer` with an
            attribute to write in each; one or several.
        on_error: Whether an area of the scene that cannot be read is an error, or left blank.
        overwrite: Replace a picture that exists.

    Raises:
        ConfigError: The part lies outside of the scene, or an argument is out of its range.
        SceneError: The scene cannot be read.
        VectorError: The detections or the outlines cannot be read.
        OutputError: The picture exists, or cannot be written.

    Example:
        >>> preview(scene, labels, folder / "look.png", window=(0, 0, 200, 200)).labels
        {'tree': ...}
    """
    check_choice("on_error", on_error, ("stop", "skip"))
    check_range("max_side", max_side, 1)
    check_range("min_score", min_score, 0)
    corners, part = check_bounds(bounds), None
    if window is not None:
        sides = ("column", "row", "width", "height")
        part = Window(*check_numbers("window", window, sides, Integral))
    with writing_frames() as to_file:
        return draw_scene(
            scene,
            to_file("detections", detections),
            Path(output),
            window=part,
            bounds=corners,
            bounds_crs=bounds_crs,
            bands=bands,
            min_score=min_score,
            max_side=max_side,
            heading=title,
            outlines=[_to_layer(one, to_file) for one in _list_outlines(outlines)],
            on_error=on_error,
            overwrite=overwrite,
        )


def _list_outlines(outlines: Any) -> list[Any]:
    is_one = isinstance(outlines, (str, Path, OutlineLayer, *FRAMES))
    return [outlines] if is_one else list(outlines)


def _to_layer(one: Any, to_file: Callable[[str, Vectors | None], Path | None]) -> OutlineLayer:
    """Return a layer of outlines; that of a frame reads the frame's copy."""
    layer = one if isinstance(one, OutlineLayer) else OutlineLayer(one)
    path = to_file("outlines", layer.path)
    return layer if path is None or isinstance(layer.path, str) else replace(layer, path=path)
