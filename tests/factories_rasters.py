"""Painted rasters of every kind, and how to read them as rasterio does."""

import warnings
import zipfile

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from factories_tilesets import shared_data
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning

BACKGROUND, OBJECT = (20, 90), 230
"""Brightness of the painted ground (from, below) and of objects, in bytes."""

BYTE_IN = {"uint8": 1, "uint16": 257, "int16": 128}
"""A byte's unit in other types of whole numbers."""

HOLES = [(10, 5, 40, 30), (0, 70, 96, 80)]


def read_whole(path, bands=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as raster:
            return raster.read(bands, **options)


def read_mask(path):
    with rasterio.open(path) as raster:
        return raster.dataset_mask() > 0


def break_block(path, column, row):
    """Overwrite a block of a compressed TIFF by bytes that cannot be decoded."""
    with rasterio.open(path) as raster:
        place, size = (
            int(raster.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1))
            for what in ("OFFSET", "SIZE")
        )
    content = bytearray(path.read_bytes())
    content[place : place + size] = b"\xff" * size
    path.write_bytes(content)


def mosaic(scene, grid):
    """Put the cores of a scene's windows together: pixels and valid."""
    pixels = valid = None
    for index, window in enumerate(grid):
        chip = scene.read(window)
        assert chip.window == window
        assert chip.valid.shape == chip.pixels.shape[1:] == (window.height, window.width)
        if pixels is None:
            pixels = np.zeros((len(chip.pixels), grid.height, grid.width), chip.pixels.dtype)
            valid = np.zeros((grid.height, grid.width), bool)
        core = grid.core(index)
        inner = core.shifted(-window.col_off, -window.row_off)
        place, source = cells(core), cells(inner)
        pixels[:, *place], valid[place] = chip.pixels[:, *source], chip.valid[source]
    return pixels, valid


def cells(window):
    return np.s_[window.row_off : window.row_end, window.col_off : window.col_end]


PALETTE = {n: (n, 255 - n, (7 * n) % 256, 255) for n in range(256)}


def make_palette(make_scene, palette=PALETTE, name="scene.tif", **options):
    """Paint one band and say that its values are numbers of colours."""
    if name.endswith(".tif"):
        options["photometric"] = "palette"
    path = make_scene(bands=1, name=name, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "r+") as raster:
            raster.write_colormap(1, palette)
    return path


NORTH_UP = Affine(0.6, 0, 500_000, 0, -0.6, 4_500_000)

TURNED = NORTH_UP @ Affine.rotation(25)


def with_points(make_scene, transform, crs="EPSG:32633", to_points=lambda x, y: (x, y), **options):
    """Paint a raster that only ground control points place."""
    corners = [(0, 0), (96, 0), (0, 80), (96, 80), (48, 40)]
    places = [to_points(*(transform @ corner)) for corner in corners]
    points = [
        GroundControlPoint(row=row, col=column, x=x, y=y)
        for (column, row), (x, y) in zip(corners, places, strict=True)
    ]
    return make_scene(epsg=None, gcps=points, crs=crs, **options)


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


def mosaic_of_files(make_scene, objects=(), **options):
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
            **options,
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
    """Return what a part of a mosaic shows of objects, in its own pixels."""
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


def real_file(folder, pattern):
    found = sorted(shared_data(folder).rglob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in the shared data of {folder}")
    return found[0]


def side_by_side(vrt, names, width=48, height=80):
    """Write a mosaic of files as gdalbuildvrt does: it opens them when it has to."""
    size = f'xSize="{width}" ySize="{height}"'
    sources = [
        f'<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename>'
        f"<SourceBand>%d</SourceBand>"
        f'<SourceProperties RasterXSize="{width}" RasterYSize="{height}" DataType="Byte" />'
        f'<SrcRect xOff="0" yOff="0" {size}/><DstRect xOff="{i * width}" yOff="0" {size}/>'
        "</SimpleSource>"
        for i, name in enumerate(names)
    ]
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>0</NoDataValue>'
        + "".join(source % band for source in sources)
        + "</VRTRasterBand>"
        for band in (1, 2, 3)
    )
    vrt.write_text(
        f'<VRTDataset rasterXSize="{width * len(names)}" rasterYSize="{height}">'
        "<SRS>EPSG:32633</SRS><GeoTransform>500000, 0.6, 0, 4500000, 0, -0.6</GeoTransform>"
        f"{bands}</VRTDataset>"
    )
    return vrt
