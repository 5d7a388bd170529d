"""Every kind of raster, window by window: rasterio's pixels, the painted holes, its own place."""

import warnings
import zipfile

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from factories_tilesets import shared_data
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning
from test_scene import HOLES, mosaic, read_whole

from geodet.geometry.windows import WindowGrid
from geodet.raster.scene import Scene

SHEARED = Affine.translation(500_000, 4_500_000) @ Affine(0.6, 0.1, 0, 0.05, -0.5, 0)
HOLED = {"holes": HOLES}

PAINTED = {
    **{kind: {"dtype": kind} for kind in ("uint8", "uint16", "int16", "float32")},
    **{f"{count} bands": {"bands": count} for count in (1, 2, 4, 12)},
    "alpha": HOLED | {"alpha": True},
    "16-bit alpha": HOLED | {"alpha": True, "dtype": "uint16"},
    "internal mask": HOLED | {"mask": True},
    "nodata": HOLED | {"nodata": 0},
    "negative nodata": HOLED | {"nodata": -9999, "dtype": "int16"},
    "nodata that is no number": HOLED | {"nodata": np.nan, "dtype": "float32"},
    "rotated": {"rotation": 30},
    "sheared": {"transform": SHEARED},
    "south up": {"transform": Affine(0.6, 0, 500_000, 0, 0.6, 4_500_000)},
    "pixels that are not square": {"transform": Affine(0.3, 0, 500_000, 0, -0.9, 4_500_000)},
    "geographic": {"epsg": 4326, "origin": (32.6, 0.3), "pixel_size": 5e-6},
    "no georeference": {"epsg": None},
    "striped": {"blockysize": 3, "compress": "deflate"},
    "one strip": {"blockysize": 80},
    "tiled": {"tiled": True, "compress": "lzw"},
    "planes": {"interleave": "band", "compress": "deflate"},
    "BigTIFF": {"bigtiff": "YES", "tiled": True},
}


def beside_it(make_scene, **paint):
    """Write the mask in a file of its own, .msk."""
    path = make_scene(**paint)
    valid = np.ones((80, 96), bool)
    for x1, y1, x2, y2 in HOLES:
        valid[y1:y2, x1:x2] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as raster:
        raster.write_mask(valid)
    assert path.with_name("scene.tif.msk").exists()
    return path


def converted(name, driver, **options):
    def make(make_scene, **paint):
        with rasterio.Env() as env:
            if driver not in env.drivers():
                pytest.skip(f"this GDAL has no {driver}")
        path = make_scene(**paint)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            rasterio.shutil.copy(path, path.with_name(name), driver=driver, **options)
        path.unlink()
        return path.with_name(name)

    return make


def cog_with_overviews(make_scene, **paint):
    path = make_scene(nodata=0, **HOLED, **paint)
    rasterio.shutil.copy(path, path.with_name("cog.tif"), driver="COG", blocksize=128)
    return path.with_name("cog.tif")


def world_file(make_scene, **paint):
    path = make_scene("scene.png", epsg=None, **paint)
    path.with_suffix(".wld").write_text("0.5\n0\n0\n-0.5\n600000.25\n4000000.25\n")
    return path


def zipped(make_scene, **paint):
    path = make_scene(tiled=True, **HOLED, nodata=0, **paint)
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "inside/scene.tif")
    return f"/vsizip/{path.with_suffix('.zip')}/inside/scene.tif"


def mosaic_of_files(make_scene, objects=()):
    """Put striped files side by side in a VRT of 96 x 80 px, around holes without a file."""
    parts = [((0, 0), (10, 80)), ((40, 0), (56, 70)), ((10, 30), (30, 40)), ((10, 0), (30, 5))]
    sources = []
    for number, ((left, top), (width, height)) in enumerate(parts):
        path = make_scene(
            f"part{number}.tif",
            width=width,
            height=height,
            seed=number,
            objects=shifted(objects, left, top, width, height),
        )
        size = f'xSize="{width}" ySize="{height}"'
        sources.append(
            f'<SimpleSource><SourceFilename relativeToVRT="1">{path.name}</SourceFilename>'
            f'<SourceBand>%d</SourceBand><SrcRect xOff="0" yOff="0" {size}/>'
            f'<DstRect xOff="{left}" yOff="{top}" {size}/></SimpleSource>'
        )
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>0</NoDataValue>'
        + "".join(source % band for source in sources)
        + "</VRTRasterBand>"
        for band in (1, 2, 3)
    )
    vrt = path.with_name("mosaic.vrt")
    vrt.write_text(
        '<VRTDataset rasterXSize="96" rasterYSize="80"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>500000, 0.6, 0, 4500000, 0, -0.6</GeoTransform>{bands}</VRTDataset>"
    )
    return vrt


def shifted(objects, left, top, width, height):
    """Give what a part of a mosaic shows of objects, in its own pixels."""
    low, high = np.array([left, top]), np.array([width, height])
    return [
        (*np.clip([corner[:2] - low, corner[2:4] - low], 0, high).ravel().tolist(), *corner[4:])
        for corner in map(np.array, objects)
    ]


MADE = {
    "mask in a file beside it": (beside_it, True),
    "COG": (cog_with_overviews, True),
    "JPEG 2000": (converted("scene.jp2", "JP2OpenJPEG", quality=100, reversible="YES"), False),
    "JPEG": (converted("scene.jpg", "JPEG"), False),
    "ERDAS Imagine": (converted("scene.img", "HFA"), False),
    "PNG with a world file": (world_file, False),
    "in a ZIP archive": (zipped, True),
    "VRT mosaic": (mosaic_of_files, None),
}


def valid_of(holes):
    valid = np.ones((80, 96), bool)
    for x1, y1, x2, y2 in holes:
        valid[y1:y2, x1:x2] = False
    return valid


def check(path, holes):
    """Compare a scene's windows with rasterio's pixels and the painted holes."""
    with Scene(path) as scene:
        pixels, valid = mosaic(scene, WindowGrid(*scene.grid, 37, 11))
        expected = read_whole(path, scene.bands)
        assert scene.dtype == expected.dtype == pixels.dtype
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                assert scene.geobox.crs == (CRS.from_user_input(raster.crs) if raster.crs else None)
                if raster.transform != Affine.identity():
                    assert scene.geobox.transform == raster.transform
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(valid, valid_of(holes))


@pytest.mark.parametrize("kind", PAINTED)
def test_painted_rasters(make_scene, kind):
    options = PAINTED[kind]
    check(make_scene(**options), options.get("holes", ()))


@pytest.mark.parametrize("kind", MADE)
def test_files_of_other_kinds(make_scene, kind):
    make, is_holed = MADE[kind]
    holes = HOLES if is_holed else ()
    if is_holed is None:  # what no file of the mosaic covers
        holes = [(10, 5, 40, 30), (40, 70, 96, 80), (10, 70, 40, 80)]
    check(make(make_scene), holes)


def test_a_geographic_scene_has_its_size_on_the_ground(make_scene):
    with Scene(make_scene(**PAINTED["geographic"])) as scene:
        assert scene.resolution == pytest.approx((5e-6 * 111_318, 5e-6 * 110_574), rel=1e-3)


# Real files


def real_file(folder, pattern):
    found = sorted(shared_data(folder).rglob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in the shared data of {folder}")
    return found[0]


@pytest.mark.parametrize(
    ("folder", "pattern", "epsg", "count"),
    [
        ("scenes", "kampala_7cm.tif", 3857, 3),
        ("urban-trees", "*.tif", None, 4),
        ("thermal", "*.jpg", 0, None),
    ],
)
def test_real_files(folder, pattern, epsg, count):
    path = real_file(folder, pattern)
    with Scene(path) as scene:
        grid = WindowGrid(min(scene.grid[0], 700), min(scene.grid[1], 700), 300, 40)
        pixels, valid = mosaic(scene, grid)
        window = rasterio.windows.Window(0, 0, grid.width, grid.height)
        np.testing.assert_array_equal(pixels, read_whole(path, scene.bands, window=window))
        assert valid.mean() > 0.5
        assert count is None or len(scene.bands) == count
        assert (scene.geobox.crs is None) == (epsg == 0)
        assert not epsg or scene.geobox.crs == CRS.from_epsg(epsg)
