"""A page in headless Chromium, with real clicks and keys."""

import io
import shutil
import threading

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image

from geodet.raster.scene import Scene
from geodet.viewer.map_requests import MapRequests
from geodet.viewer.map_server import MapServer
from geodet.viewer.review_desk import ReviewDesk
from geodet.viewer.shown_scene import read_shown_scene

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: make test-viewer")

# Without a graphics card, SwiftShader draws.
sync_api.expect.set_options(timeout=20_000)
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SIDE = 400
SLOW_MS = 60_000
GREY_TILE = io.BytesIO()
Image.new("L", (256, 256), 128).save(GREY_TILE, "PNG")


@pytest.fixture(scope="session")
def browser():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium: make test-viewer")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def painted(make_scene, tmp_path):
    """Paint a scene with a hundred objects in rows, and errors among them."""
    rows, columns = np.divmod(np.arange(100), 10)
    low = np.stack([columns, rows], axis=1) * 40.0 + 10
    boxes = np.hstack([low, low + 20])
    path = make_scene(width=SIDE, height=SIDE, objects=boxes.astype(int).tolist())
    with Scene(path) as scene:
        shapes = shapely.polygons(scene.geobox.corners(boxes))
        crs = scene.geobox.crs
    frame = geopandas.GeoDataFrame(
        {"label": ["tree", "palm"] * 50, "score": (np.arange(100) + 0.4) / 100},
        geometry=shapes,
        crs=crs,
    )
    frame.to_file(tmp_path / "found.gpkg", layer="detections")
    frame.drop(columns="score").to_file(tmp_path / "unscored.gpkg")
    for layer, part in (("false_positives", frame[:5]), ("misses", frame[5:9])):
        part.to_file(tmp_path / "errors.gpkg", layer=layer)
    return path


@pytest.fixture
def open_page(browser, painted, tmp_path):
    """Return a function that serves the scene and opens its page."""
    closing = []

    def make(
        *,
        errors=False,
        width=1280,
        height=800,
        own_grid=False,
        dark=False,
        reviews=None,
        scores=True,
        base_map="",
        score_field=None,
    ):
        scene = Scene(painted)
        shown = read_shown_scene(
            scene,
            tmp_path / ("found.gpkg" if scores else "unscored.gpkg"),
            tmp_path / "errors.gpkg" if errors else None,
            own_grid=own_grid,
            score_field=score_field,
        )
        desk = None
        if reviews is not None:
            objects = shown.layers.get("objects")
            desk = ReviewDesk(tmp_path / reviews, scene, objects, shown.frame, window_px=200)
        server = MapServer(MapRequests(shown, {"base_map": base_map}, desk=desk), base_map=base_map)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        if base_map:
            host = "https://tiles.example.org/**"
            far = {"Access-Control-Allow-Origin": "*"}
            page.route(host, lambda route: route.fulfill(body=GREY_TILE.getvalue(), headers=far))
        page.set_default_timeout(SLOW_MS)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "console", lambda said: page.problems.append(said.text) if said.type == "error" else 0
        )
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))

        def close():
            context.close()
            server.shutdown()
            thread.join()
            server.server_close()
            scene.close()
            assert page.problems == []
            assert {url for url in page.asked if not url.startswith(("blob:", "data:"))} <= {
                url for url in page.asked if url.startswith(server.address)
            }

        closing.append(close)
        page.goto(server.address)
        page.wait_for_selector("body.ready")
        return page

    yield make
    for close in closing:
        close()
