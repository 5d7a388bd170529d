import pytest
import rasterio
from factories_rasters import mosaic_of_files

import geodet.raster.block_layout
from geodet.raster.block_layout import block_shape, file_blocks


def shape_of(raster, bytes_per_pixel):
    return block_shape((raster.width, raster.height), file_blocks(raster), bytes_per_pixel)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"width": 700, "height": 500, "blockysize": 3}, (700, 66)),
        ({"width": 700, "height": 500, "blockysize": 100}, (700, 100)),
        ({"width": 700, "height": 40, "blockysize": 3}, (700, 40)),
        ({"width": 700, "height": 500, "tiled": True}, (512, 500)),
        ({"width": 1, "height": 1}, (1, 1)),
    ],
)
def test_blocks_are_whole_strips_or_tiles(make_scene, options, expected):
    with rasterio.open(make_scene(**options)) as raster:
        assert shape_of(raster, 3) == expected


def test_wide_strips_are_read_by_fewer_rows(make_scene):
    with rasterio.open(make_scene(width=90_000, height=8, blockysize=1, bands=1)) as raster:
        assert shape_of(raster, 12) == (90_000, 7)  # 8 MiB
        assert shape_of(raster, 2**30) == (90_000, 1)


def test_a_mosaic_of_striped_files_is_read_by_the_files_width(make_scene, monkeypatch):
    monkeypatch.setattr(geodet.raster.block_layout, "_TILE", 16)
    with rasterio.open(mosaic_of_files(make_scene)) as raster:
        assert raster.block_shapes[0] == (80, 96)
        with rasterio.open(raster.files[1]) as member:
            rows, columns = member.block_shapes[0]
        assert columns == member.width < raster.width
        assert shape_of(raster, 3) == (-(-16 // columns) * columns, -(-16 // rows) * rows)


def test_a_mosaic_with_a_lost_member_has_a_shape(make_scene):
    path = mosaic_of_files(make_scene)
    for member in path.parent.glob("part*.tif"):
        member.unlink()
    with rasterio.open(path) as raster:
        assert shape_of(raster, 3) == (96, 80)
