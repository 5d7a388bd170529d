"""The public function that shows scenes in the browser: view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from geodet.api.call_arguments import check_range, to_path
from geodet.api.frame_files import FRAMES, Vectors, writing_frames
from geodet.errors import ConfigError
from geodet.viewer.serve_map import serve_map

__all__ = ["view"]


def view(
    scene: str | Path,
    detections: Vectors | None = None,
    *,
    errors: str | Path | None = None,
    reviews: str | Path | None = None,
    bands: Sequence[int | str] = (),
    own_grid: bool = False,
    base_map: str = "",
    port: int = 0,
    opens_browser: bool = True,
    announce: Callable[[str], None] = print,
) -> None:
    """Show a scene and its objects as a map in the browser of this machine, until Ctrl-C.

    Args:
        scene: A raster.
        detections: What :func:`detect` returned or another frame, or a vector file of points or
            polygons.
        errors: The ``errors.gpkg`` of :func:`evaluate`.
        reviews: A GeoPackage to which decisions on the objects are written, one by one. It needs a
            file of detections, which it belongs to.
        bands: Bands of the scene for red, green and blue; empty: chosen by their names.
        own_grid: Show the scene in its own pixels, not in Web Mercator.
        base_map: Address of tiles to show below the scene, with ``{z}``, ``{x}`` and ``{y}``.
        port: Port of the page; 0: any free one.
        opens_browser: Open the page.
        announce: Called with the address of the page.

    Raises:
        ConfigError: The port is in use or invalid, or the base map cannot be shown.
        SceneError: The scene cannot be read.
        VectorError: The detections or errors cannot be read.
        OutputError: The reviews cannot be written, or belong to other detections.

    Example:
        >>> view(scene, labels)  # doctest: +SKIP
        http://127.0.0.1:...
    """
    if reviews is not None and isinstance(detections, FRAMES):
        raise ConfigError(
            "reviews need a file of detections, and detections is a frame",
            hint="write the frame to a file, and pass its path",
        )
    check_range("port", port, 0, 65535)
    with writing_frames() as to_file:
        serve_map(
            scene,
            to_file("detections", detections),
            errors=to_path("errors", errors),
            reviews=to_path("reviews", reviews),
            bands=bands,
            own_grid=own_grid,
            base_map=base_map,
            port=port,
            opens_browser=opens_browser,
            announce=announce,
        )
