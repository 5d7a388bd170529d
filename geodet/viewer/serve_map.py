"""Show a scene and its objects in the browser: the tool behind ``geodet view``."""

from __future__ import annotations

import re
import webbrowser
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from geodet.errors import ConfigError, GeodetError
from geodet.files.network import is_offline
from geodet.previews.preview import select_colours
from geodet.raster.scene import Scene
from geodet.raster.scene_names import slashed_path
from geodet.raster.unplaced import warn_of_unplaced
from geodet.reviewing.reviewed_scenes import locked_review
from geodet.reviewing.reviews import check_review_layers, check_reviews
from geodet.vector.formats import path_of
from geodet.viewer.late_requests import LateRequests
from geodet.viewer.map_frame import OwnGridFrame
from geodet.viewer.map_requests import MapRequests
from geodet.viewer.map_server import MapServer
from geodet.viewer.review_desk import ReviewDesk
from geodet.viewer.shown_scene import ShownScene, list_error_layers, read_shown_scene

__all__ = ["serve_map"]

_SOON = 0.3  # seconds within which the objects are read, or else the page is opened before
_FILLED_IN = {"z", "x", "y", "ratio", "prefix", "quadkey"}  # by MapLibre


def serve_map(
    scene: str | Path,
    objects: Path | None,
    *,
    errors: Path | None = None,
    reviews: Path | None = None,
    score_field: str | None = None,
    bands: Sequence[int | str] = (),
    own_grid: bool = False,
    base_map: str = "",
    port: int = 0,
    opens_browser: bool = True,
    announce: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve a scene and its objects as a page to the browser of this machine, until Ctrl-C.

    Args:
        scene: A raster, anything that GDAL opens.
        objects: A vector file with points or polygons in any CRS; None: none.
        errors: The ``errors.gpkg`` of an evaluation; None: none.
        reviews: A GeoPackage for the decisions on the objects, made when it is not there;
            None: they are only looked at.
        score_field: Attribute with the score; None: ``score`` if there is one.
        bands: Bands to show as red, green and blue; empty: those with these meanings, or else the
            first ones.
        own_grid: Show the scene in its own pixels, not in Web Mercator.
        base_map: Address of tiles of a base map, with ``{z}``, ``{x}`` and ``{y}``; empty: none.
        port: 0: a free one.
        opens_browser: Open the page.
        announce: Called with the address when the page can be opened.

    Raises:
        ConfigError: The port is in use, or the base map cannot be shown.
        OutputError: The reviews cannot be written, belong to other detections, or another program
            reviews the scene in the same file.
        SceneError: The scene cannot be read.
        VectorError: A file cannot be read.
    """
    _check_base_map(base_map)
    if reviews is not None:
        check_reviews(
            reviews, [Path(scene), *(Path(path_of(one)) for one in (objects, errors) if one)]
        )
    if errors is not None:
        list_error_layers(errors)
    with Scene(scene) as raster, ExitStack() as stack:
        warn_of_unplaced({raster.name: raster.unplaced_crs})
        select_colours(raster, bands)
        if reviews is not None:
            check_review_layers(reviews, raster.geobox)
            stack.enter_context(locked_review(reviews, slashed_path(raster.path), raster.geobox))

        def read() -> MapRequests:
            shown = read_shown_scene(
                raster, objects, errors, score_field=score_field, own_grid=own_grid
            )
            return _answering(shown, base_map, reviews)

        late = LateRequests(_begin(read))
        late.wait(_SOON)
        with MapServer(late, port=port, base_map=base_map) as server:
            late.stop_when_failed(server.shutdown)
            announce(server.address)
            if opens_browser:
                webbrowser.open(server.address)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                return  # what is still being read is not waited for
        late.wait()


def _begin(read: Callable[[], MapRequests]) -> Future[MapRequests]:
    """Begin to read in a thread that no process waits for at its end.

    The scene may be closed meanwhile: a handle that the thread has is closed when it comes back.
    """
    found: Future[MapRequests] = Future()

    def work() -> None:
        try:
            found.set_result(read())
        except BaseException as error:
            found.set_exception(error)

    Thread(target=work, daemon=True).start()
    return found


def _answering(shown: ShownScene, base_map: str, reviews: Path | None) -> MapRequests:
    """Return what answers the page."""
    try:
        if base_map and isinstance(shown.frame, OwnGridFrame):
            raise ConfigError(
                f"a base map cannot be shown below this scene: {shown.frame.reason}",
                hint="leave --base-map out",
            )
        desk = None
        if reviews is not None:
            desk = ReviewDesk(reviews, shown.scene, shown.layers.get("objects"), shown.frame)
    except GeodetError:
        shown.pictures.close()  # GDAL may not be reading when the process ends with the error
        raise
    return MapRequests(shown, {"base_map": base_map}, desk=desk)


def _check_base_map(address: str) -> None:
    if not address:
        return
    parts = urlsplit(address)
    unknown = sorted(set(re.findall("{([^{}]*)}", address)) - _FILLED_IN)
    if unknown:
        raise ConfigError(
            f"the page does not fill in {{{unknown[0]}}} in {address!r}",
            hint="give a whole address with {z}, {x} and {y} alone: for {s} one of its servers, "
            "such as a",
        )
    is_whole = parts.scheme in ("http", "https") and parts.netloc
    if not is_whole or not all(f"{{{name}}}" in address for name in "zxy"):
        raise ConfigError(
            f"{address!r} is not an address of map tiles",
            hint="give one such as https://tiles.example.org/{z}/{x}/{y}.png",
        )
    if is_offline():
        raise ConfigError(
            f"the base map {address} is read over the network, and geodet is offline",
            hint="leave --base-map out, or --offline",
        )
