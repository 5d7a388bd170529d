import re
import warnings

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import scipy.io
from factories_rasters import read_whole
from rasterio.errors import NotGeoreferencedWarning
from remote_server import Fault

from geodet.detection.chip_reading import iter_chips
from geodet.errors import SceneError
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster.gdal_options import gdal_options
from geodet.raster.scene import Scene
from geodet.raster.source import open_source


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
    # Not twice; some blocks are, where threads ask for the same at the same time.
    assert server.sent < 1.5 * cog.stat().st_size
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
        server.fault = Fault("503", times=1)
        chip = scene.read(Window(600, 600, 300, 300))
    assert 503 in {status for *_, status, _ in server.asked}
    np.testing.assert_array_equal(chip.pixels, read_whole(cog)[:, 600:, 600:900])


def test_an_address_without_a_file_is_an_error(server):
    with pytest.raises(SceneError, match=r"cannot open http.*away\.tif: HTTP status 404") as caught:
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


def test_a_file_of_subdatasets_alone_names_them(tmp_path):
    path = tmp_path / "two.nc"
    with scipy.io.netcdf_file(path, "w") as file:
        file.createDimension("y", 4)
        file.createDimension("x", 5)
        for name in ("red", "green", "blue", "nir", "swir"):
            file.createVariable(name, "i2", ("y", "x"))[:] = 7
    with pytest.raises(SceneError, match=r"two\.nc has no bands") as caught:
        Scene(path)
    named = re.findall("'([^']*)'", caught.value.hint)
    assert [name.rpartition(":")[2] for name in named] == ["red", "green", "blue", "nir"]
    assert " and 1 more; gdalbuildvrt -separate joins" in caught.value.hint
    with Scene(named[1]) as scene:
        assert scene.grid == (5, 4)


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
