"""GeoTIFFs are written as a whole, or an error says that they are not."""

import numpy as np
import pytest
import rasterio
from factories_rasters import NORTH_UP
from full_disk import largest_file
from pyproj import CRS

from geodet.errors import OutputError
from geodet.geometry.geobox import GeoBox
from geodet.raster.density import write_density
from geodet.raster.geotiff import write_raster, writing_geotiff

UTM = CRS.from_epsg(32633)
NOISE = np.random.default_rng(0).integers(0, 255, (1, 300, 400)).astype(np.uint8)
ROTATED_POLE = "+proj=ob_tran +o_proj=longlat +o_lon_p=-162 +o_lat_p=39.25 +lon_0=180"
SMALL = {"width": 400, "height": 300, "count": 1, "dtype": "uint8"}


def write_pixels(path):
    write_raster(path, NOISE, GeoBox(400, 300, NORTH_UP, UTM))


def write_cells(path):
    write_density(path, NOISE[0].astype(np.float64), NORTH_UP, UTM, "objects per hectare")


@pytest.mark.parametrize("write", [write_pixels, write_cells])
@pytest.mark.parametrize("missing", [1, 500, 0.5, 0.99])
def test_a_full_disk_is_an_error_and_leaves_the_old_file(write, missing, tmp_path, capfd):
    path = tmp_path / "a.tif"
    write(path)
    size = path.stat().st_size
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    limit = size - int(missing if missing >= 1 else size * missing)
    with largest_file(limit), pytest.raises(OutputError, match=r"cannot write .*a\.tif") as caught:
        write(path)
    assert "free space" in caught.value.hint
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert capfd.readouterr().err == ""


def rotated(path, pixels=NOISE, **options):
    place = {"crs": f"{ROTATED_POLE} +R=6370997 +no_defs +type=crs", "transform": NORTH_UP}
    with writing_geotiff(path, SMALL | place | options) as raster:
        raster.write(pixels)


def test_a_crs_that_no_geotiff_holds_is_in_the_file_beside_it(tmp_path):
    path = tmp_path / "what is 5 % of #1?.tif"
    rotated(path)
    with rasterio.open(path) as raster:
        assert "ob_tran" in raster.crs.to_wkt()
        np.testing.assert_array_equal(raster.read(), NOISE)


def test_a_full_disk_cuts_off_no_file_beside_a_geotiff(tmp_path):
    path, small = tmp_path / "a.tif", {"pixels": NOISE[:, :4, :4], "width": 4, "height": 4}
    rotated(path, **small)
    size = path.with_name("a.tif.aux.xml").stat().st_size
    assert path.stat().st_size < size - 10
    with largest_file(size - 10), pytest.raises(OSError, match=r"new\.tif|aux\.xml"):
        rotated(path, **small)


def test_a_raster_that_cannot_be_made_is_no_file(tmp_path):
    with (
        pytest.raises(OSError, match="space available"),
        writing_geotiff(tmp_path / "a.tif", SMALL | {"width": 2**31 - 1, "height": 2**31 - 1}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
