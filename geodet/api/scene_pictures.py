"""The public function that draws scenes: preview."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import geopandas as gpd

from geodet.geometry.windows import Window
from geodet.previews.preview import PreviewReport, draw_scene

__all__ = ["preview"]


def preview(
    scene: str | Path,
    detections: str | Path | gpd.GeoDataFrame,
    output: str | Path,
    *,
    window: Sequence[int] | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    bands: Sequence[int | str] = (),
    min_score: float = 0.0,
    max_side: int = 2048,
    on_error: Literal["stop", "skip"] = "stop",
    overwrite: bool = False,
) -> PreviewReport:
    """Draw detections over a scene as a PNG, with a legend and a scale bar.

    Args:
        scene: A raster.
        detections: What :func:`detect` returned, or a vector file of points or polygons.
        output: The picture, ``.png``.
        window: The part to show: column, row, width and height in pixels of the scene.
        bounds: The part to show: xmin, ymin, xmax, ymax.
        bounds_crs: The CRS of ``bounds``; None: the scene's.
        bands: Bands of the scene for red, green and blue; empty: chosen by their names.
        min_score: Leave out detections with a lower score.
        max_side: Longest side of the picture in pixels.
        on_error: What becomes of an area of the scene that cannot be read; skip: it is left blank.
        overwrite: Replace a picture that exists.

    Raises:
        ConfigError: The part lies outside of the scene.
        SceneError: The scene cannot be read.
        VectorError: The detections cannot be read.
        OutputError: The picture exists, or cannot be written.

    Example:
        >>> preview(scene, labels, folder / "look.png", window=(0, 0, 200, 200)).labels
        {'tree': ...}
    """
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(detections, gpd.GeoDataFrame):
            source = Path(folder) / "detections.gpkg"
            detections.to_file(source, layer="detections")
        else:
            source = Path(detections)
        return draw_scene(
            scene,
            source,
            Path(output),
            window=None if window is None else Window(*window),
            bounds=bounds,
            bounds_crs=bounds_crs,
            bands=bands,
            min_score=min_score,
            max_side=max_side,
            on_error=on_error,
            overwrite=overwrite,
        )
