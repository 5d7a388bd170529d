"""Scenes on a server that stalls, drops, delays, cuts off, drips, or answers with an error."""

import logging
import threading
import time

import numpy as np
import pytest
import rasterio.shutil
from affine import Affine
from factories_rasters import read_whole
from remote_server import Fault, serving

from geodet.config.reading_config import ReadingConfig
from geodet.detection.chip_reading import iter_chips
from geodet.errors import SceneError
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster.gdal_options import forget_remote_files, gdal_options
from geodet.raster.scene import Scene

SLOW = {"stall": "stalled", "stall-body": "stalled|cut", "drip": "stalled|cut"}
FAST = {"drop": "no answer from the server", "truncate": "broke off its answer"}
STATUSES = ("403", "404", "429", "500", "503")
FAULTS = {
    **SLOW,
    **FAST,
    **{status: f"HTTP status {status}" for status in STATUSES},
    "whole": "the server does not send parts of files",
}
PERSISTENT = {"403", "404", "whole"}  # asking again would not help

LIMITS = ReadingConfig(
    stall_timeout=1, request_timeout=1, read_timeout=20, retries=1, retry_delay=0.05
)


@pytest.fixture
def cog(make_scene):
    """Write a COG of 600 x 500 px; its header is shorter than 100,000 bytes."""
    path = make_scene(width=600, height=500, nodata=0, seed=3)
    rasterio.shutil.copy(path, path.with_name("cog.tif"), driver="COG", blocksize=256)
    path.unlink()
    return path.with_name("cog.tif")


def read_window(path, window, limits=LIMITS):
    with Scene(path, limits=limits) as scene:
        return scene.read(window).pixels


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("first_byte", [0, 100_000])
def test_a_server_that_fails_ends_in_an_error_that_says_how(server, cog, kind, first_byte):
    began = time.monotonic()
    server.fault = Fault(kind, first_byte=first_byte)
    limits = LIMITS.model_copy(update={"retries": 0} if kind in SLOW else {})
    said = rf"cannot (open|read).*cog\.tif: .*({FAULTS[kind]})"
    with pytest.raises(SceneError, match=said) as caught:
        read_window(f"{server.url}/cog.tif", Window(0, 0, 600, 500), limits)
    assert time.monotonic() - began < limits.read_timeout
    assert "gdalinfo" not in caught.value.hint
    is_asked_again = kind not in PERSISTENT and kind not in SLOW
    assert ("tried 2 times" in str(caught.value)) == is_asked_again
    assert caught.value.path == f"{server.url}/cog.tif"


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind not in PERSISTENT])
@pytest.mark.parametrize("first_byte", [0, 100_000])
def test_a_server_that_fails_in_passing_is_asked_again(server, cog, kind, first_byte):
    server.fault = Fault(kind, first_byte=first_byte, times=1)
    with Scene(f"{server.url}/cog.tif", limits=LIMITS) as scene:
        pixels = scene.read(Window(0, 0, 600, 500)).pixels
    assert server.is_struck.is_set()
    np.testing.assert_array_equal(pixels, read_whole(cog))


def test_a_slow_server_is_waited_for(server, cog):
    server.fault = Fault("delay", seconds=0.3)
    with Scene(f"{server.url}/cog.tif", limits=LIMITS) as scene:
        pixels = scene.read(Window(0, 0, 300, 300)).pixels
    np.testing.assert_array_equal(pixels, read_whole(cog)[:, :300, :300])


def test_each_pause_is_twice_as_long_as_the_one_before(server, cog, caplog):
    caplog.set_level(logging.INFO, logger="geodet")
    server.fault = Fault("503")
    with pytest.raises(SceneError, match=r"HTTP status 503; tried 4 times in \d\.\d s"):
        Scene(f"{server.url}/cog.tif", limits=ReadingConfig(retries=3, retry_delay=0.05))
    pauses = [record.args[-1] for record in caplog.records if "trying again" in record.msg]
    assert pauses == [0.05, 0.1, 0.2]


def test_no_pause_goes_beyond_the_time_of_a_read(server, cog):
    server.fault = Fault("500")
    limits = ReadingConfig(retries=100, retry_delay=0.1, read_timeout=1.0)
    began = time.monotonic()
    with pytest.raises(SceneError, match=r"HTTP status 500; tried [1-4] times"):
        Scene(f"{server.url}/cog.tif", limits=limits)
    assert time.monotonic() - began < 20


def test_a_read_ends_with_its_time_whatever_gdal_does(server, cog):
    server.fault = Fault("stall")
    limits = ReadingConfig(stall_timeout=60, read_timeout=0.5)
    began = time.monotonic()
    with pytest.raises(SceneError, match=r"no complete answer within 0\.5 s") as caught:
        Scene(f"{server.url}/cog.tif", limits=limits)
    assert time.monotonic() - began < 20
    assert "detect.read_timeout" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("403", "your access"),
        ("404", "check the address"),
        ("429", "--workers 1"),
        ("503", "run the command again"),
        ("truncate", "detect.retries"),
        ("whole", "download the file first"),
    ],
)
def test_the_hint_fits_what_the_server_did(server, cog, kind, hint):
    server.fault = Fault(kind)
    with pytest.raises(SceneError, match=r"cog\.tif: ") as caught:
        read_window(f"{server.url}/cog.tif", Window(0, 0, 600, 500))
    assert hint in caught.value.hint


def test_a_damaged_file_on_a_server_is_not_asked_for_again(server, cog):
    content = bytearray(cog.read_bytes())
    content[-200_000:-100_000] = bytes(100_000)  # deflated blocks that are none
    cog.write_bytes(content)
    with pytest.raises(SceneError, match=r"cannot read window.*cog\.tif") as caught:
        read_window(f"{server.url}/cog.tif", Window(0, 0, 600, 500))
    assert "gdalinfo -checksum" in caught.value.hint


def test_a_mosaic_of_remote_files_is_bounded_like_one_file(server, cog):
    with rasterio.open(cog) as whole:
        transform, crs = whole.transform.to_gdal(), whole.crs.to_wkt()
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename '
        f'relativeToVRT="0">/vsicurl/{server.url}/cog.tif</SourceFilename><SourceBand>{band}'
        '</SourceBand><SrcRect xOff="0" yOff="0" xSize="600" ySize="500"/><DstRect xOff="0" '
        'yOff="0" xSize="600" ySize="500"/></SimpleSource></VRTRasterBand>'
        for band in (1, 2, 3)
    )
    numbers = ", ".join(map(repr, transform))
    mosaic = cog.with_name("mosaic.vrt")
    mosaic.write_text(
        f'<VRTDataset rasterXSize="600" rasterYSize="500"><SRS>{crs}</SRS>'
        f"<GeoTransform>{numbers}</GeoTransform>{bands}</VRTDataset>"
    )
    server.fault = Fault("500", times=1)
    with Scene(mosaic, limits=LIMITS) as scene:
        window = Window(0, 0, 600, 500)
        np.testing.assert_array_equal(scene.read(window).pixels, read_whole(cog))
    forget_remote_files()  # GDAL keeps what it has read
    server.fault = Fault("500")
    with pytest.raises(SceneError, match="HTTP status 500; tried 2 times"):
        read_window(mosaic, window)


def test_readers_of_a_stalled_server_are_left_behind(server, cog):
    """Interrupting the iteration does not wait for what GDAL waits for."""
    limits = ReadingConfig(stall_timeout=60)
    with Scene(f"{server.url}/cog.tif", limits=limits) as scene:
        server.fault = Fault("stall-body", first_byte=100_000)
        chips = iter_chips(scene, WindowGrid(600, 500, 256, 32), workers=3, ahead=6)
        failures = []

        def read():
            try:
                next(chips)
            except SceneError as error:
                failures.append(error)

        reading = threading.Thread(target=read, daemon=True)
        reading.start()
        assert server.is_struck.wait(30)
        began = time.monotonic()
        scene.abandon_reads()
        reading.join(30)
        assert time.monotonic() - began < 20
        assert "interrupted" in str(failures[0])


def test_the_limits_become_gdal_options_unless_the_environment_sets_them(monkeypatch):
    limits = ReadingConfig(connect_timeout=3, stall_timeout=4.2, request_timeout=50)
    options = gdal_options("https://host/a.tif", limits)
    assert options["GDAL_HTTP_CONNECTTIMEOUT"] == 3
    assert options["GDAL_HTTP_LOW_SPEED_TIME"] == 5
    assert options["GDAL_HTTP_TIMEOUT"] == 50
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "7")
    assert "GDAL_HTTP_TIMEOUT" not in gdal_options("https://host/a.tif", limits)
    assert "GDAL_HTTP_CONNECTTIMEOUT" not in gdal_options("a.tif", limits)


def test_a_window_of_blocks_takes_about_one_request(tmp_path):
    """Blocks side by side are asked for at once; the header comes with one request as well."""
    path = tmp_path / "cog.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (3, 512, 512), dtype=np.uint8)
    profile = {"driver": "COG", "count": 3, "width": 512, "height": 512, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": Affine(1, 0, 5e5, 0, -1, 4e6)}
    with rasterio.open(path, "w", blocksize=128, overviews="none", **profile, **place) as file:
        file.write(pixels)
    with serving(tmp_path) as server, Scene(f"{server.url}/cog.tif") as scene:
        assert scene.is_remote
        opened = len(server.asked)
        scene.read(Window(0, 0, 512, 256))
        assert opened <= 3
        assert len(server.asked) - opened <= 3
    assert not Scene(path).is_remote
