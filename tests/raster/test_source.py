import re
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from factories_rasters import read_whole
from rasterio.errors import NotGeoreferencedWarning

from geodet.detection.chip_reading import iter_chips
from geodet.errors import SceneError
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster.scene import Scene
from geodet.raster.source import gdal_options, open_source


class RangeServer(ThreadingHTTPServer):
    """Serves the files of a folder by ranges and keeps a list of what was asked for."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Ranges)
        self.folder, self.asked, self.failures = folder, [], 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def sent(self):
        """Bytes sent so far."""
        return sum(size for *_, size in self.asked)


class _Ranges(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(is_head=True)

    def do_GET(self):
        self._answer(is_head=False)

    def _answer(self, *, is_head):
        file = self.server.folder / self.path.lstrip("/")
        with self.server.lock:
            fails = self.server.failures > 0 and not is_head
            self.server.failures -= fails
        if fails:
            return self._say(503, b"", {})
        if not file.is_file():
            return self._say(404, b"", {})
        content = file.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"Accept-Ranges": "bytes"}
        if not wanted:
            return self._say(200, b"" if is_head else content, headers, len(content))
        first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        part = content[first : last + 1]
        return self._say(206, b"" if is_head else part, headers, len(part))

    def _say(self, status, body, headers, length=None):
        with self.server.lock:
            self.server.asked.append((self.command, self.path, status, len(body)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    with RangeServer(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cog(make_scene):
    """Write a COG of 1,100 x 900 px with overviews and holes."""
    path = make_scene(width=1100, height=900, holes=[(0, 0, 300, 300)], nodata=0, seed=3)
    rasterio.shutil.copy(
        path, path.with_name("cog.tif"), driver="COG", blocksize=256, compress="deflate"
    )
    path.unlink()
    return path.with_name("cog.tif")


@pytest.mark.parametrize("form", ["{}", "/vsicurl/{}"])
def test_a_remote_cog_is_read_by_ranges_and_once(server, cog, form):
    with Scene(form.format(f"{server.url}/cog.tif")) as scene:
        opened = server.sent
        pixels = np.zeros((3, 900, 1100), np.uint8)
        for _, chip in iter_chips(scene, WindowGrid(1100, 900, 256, 32), workers=3, ahead=6):
            left, top = chip.window.col_off, chip.window.row_off
            pixels[:, top : chip.window.row_end, left : chip.window.col_end] = chip.pixels
    np.testing.assert_array_equal(pixels, read_whole(cog))
    assert opened < 100_000
    assert server.sent < 1.1 * cog.stat().st_size + 100_000
    # No listing, no search for files beside it.
    assert {path for _, path, *_ in server.asked} == {"/cog.tif"}


def test_reading_a_part_of_a_remote_cog_transfers_a_part_of_it(server, cog):
    with Scene(f"{server.url}/cog.tif") as scene:
        chip = scene.read(Window(600, 600, 100, 100))
        scene.read_overview(200)
    np.testing.assert_array_equal(chip.pixels, read_whole(cog)[:, 600:700, 600:700])
    assert server.sent < 0.6 * cog.stat().st_size


def test_a_server_that_fails_once_is_asked_again(server, cog, monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    with Scene(f"{server.url}/cog.tif") as scene:
        server.failures = 1
        chip = scene.read(Window(600, 600, 300, 300))
    assert 503 in {status for *_, status, _ in server.asked}
    np.testing.assert_array_equal(chip.pixels, read_whole(cog)[:, 600:, 600:900])


def test_an_address_without_a_file_is_an_error(server):
    with pytest.raises(SceneError, match=r"cannot open http.*away\.tif as a raster") as caught:
        Scene(f"{server.url}/away.tif")
    assert "check the address" in caught.value.hint


@pytest.mark.parametrize("path", ["s3://bucket/scene.tif", "/vsis3/bucket/scene.tif"])
def test_missing_credentials_have_a_hint(monkeypatch, tmp_path, path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CPL_AWS_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("CPL_AWS_AUTODETECT_EC2", "NO")
    with pytest.raises(SceneError, match=r"cannot open .*AWS_SECRET_ACCESS_KEY") as caught:
        Scene(path)
    assert "AWS_NO_SIGN_REQUEST" in caught.value.hint


def add_page(path, **options):
    """Add a raster to a TIFF as a subdataset of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        profile = {"driver": "GTiff", "dtype": "uint8", "APPEND_SUBDATASET": "YES"} | options
        return rasterio.open(path, "w", **profile)


def test_a_subdataset_is_a_scene(make_scene):
    path = make_scene()
    second = np.arange(3 * 20 * 30, dtype=np.uint8).reshape(3, 20, 30)
    with add_page(path, width=30, height=20, count=3, crs="EPSG:32633") as page:
        page.write(second)
    with Scene(f"GTIFF_DIR:2:{path}") as scene:
        assert scene.grid == (30, 20)
        np.testing.assert_array_equal(scene.read(Window(0, 0, 30, 20)).pixels, second)
    with pytest.raises(SceneError, match=r"cannot open GTIFF_DIR:9:.* as a raster"):
        Scene(f"GTIFF_DIR:9:{path}")


def test_the_palette_of_a_subdataset_is_its_own(make_scene):
    path = make_scene(bands=1)
    options = {"width": 8, "height": 4, "count": 1, "photometric": "palette"}
    with add_page(path, crs="EPSG:32633", **options) as page:
        page.write(np.full((1, 4, 8), 7, np.uint8))
        page.write_colormap(1, {7: (10, 20, 30, 255)})
    with Scene(f"GTIFF_DIR:2:{path}") as scene:
        assert scene.read(Window(0, 0, 8, 4)).pixels[:, 0, 0].tolist() == [10, 20, 30]


def test_environment_variables_take_precedence_over_our_gdal_options(monkeypatch):
    assert gdal_options("a.tif")["GDAL_CACHEMAX"] == 32 * 2**20
    monkeypatch.setenv("GDAL_CACHEMAX", "1000")
    assert "GDAL_CACHEMAX" not in gdal_options("a.tif")


@pytest.mark.parametrize(
    ("path", "is_remote"),
    [
        ("scene.tif", False),
        ("/vsizip/a.zip/scene.tif", False),
        ("zip://a.zip!scene.tif", False),
        ("http://host/scene.tif", True),
        ("s3://bucket/scene.tif", True),
        ("/vsis3/bucket/scene.tif", True),
        ("/vsizip//vsicurl/http://host/a.zip/scene.tif", True),
    ],
)
def test_no_folder_is_listed_over_a_network(path, is_remote):
    assert ("GDAL_DISABLE_READDIR_ON_OPEN" in gdal_options(path)) == is_remote


def test_closing_a_virtual_raster_closes_its_source(make_scene):
    path = make_scene(
        epsg=None,
        gcps=[
            rasterio.control.GroundControlPoint(row=r, col=c, x=5e5 + c, y=4e6 - r)
            for r, c in [(0, 0), (0, 96), (80, 0), (80, 96)]
        ],
        crs="EPSG:32633",
    )
    source = open_source(str(path))
    assert len(source.held) == 1
    source.close()
    assert source.dataset.closed
    assert source.held[0].closed
