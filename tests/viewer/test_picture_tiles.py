"""The scene as tiles, against GDAL's own warping."""

import numpy as np
import pytest
import rasterio
import rasterio.warp
from affine import Affine
from factories_rasters import HOLES, read_whole
from tiles import read_picture, tiles_over

from geodet.errors import SceneError
from geodet.previews.stretch import Stretch
from geodet.raster.scene import Scene
from geodet.viewer import picture_tiles
from geodet.viewer.map_frame import TILE_PX, choose_frame
from geodet.viewer.picture_tiles import PictureTiles, tile_positions

ROUND = 40075016.685578488


def smooth(path):
    """Repaint a scene with slopes: what interpolates rightly keeps them."""
    with rasterio.open(path, "r+") as raster:
        rows, columns = np.mgrid[: raster.height, : raster.width]
        for band, slope in enumerate((columns, rows, columns + rows), 1):
            raster.write((20 + slope).astype(np.uint8), band)
    return path


def opened(path, **options):
    scene = Scene(path)
    frame = choose_frame(scene.geobox, **options)
    pictures = PictureTiles(scene, frame)
    assert pictures.wait()
    return scene, frame, pictures


@pytest.mark.parametrize("rotation", [0, 25])
def test_tiles_show_what_gdal_warps(make_scene, rotation):
    path = smooth(make_scene(rotation=rotation))
    scene, frame, pictures = opened(path)
    zoom = frame.finest_zoom
    seen = 0
    for z, x, y in tiles_over(frame, zoom):
        content = pictures.read(z, x, y)
        side = ROUND / 2**z
        left, top = x * side - ROUND / 2, ROUND / 2 - y * side
        expected = np.zeros((3, TILE_PX, TILE_PX), np.uint8)
        with rasterio.open(path) as raster:
            rasterio.warp.reproject(
                rasterio.band(raster, [1, 2, 3]),
                expected,
                dst_transform=Affine(side / TILE_PX, 0, left, 0, -side / TILE_PX, top),
                dst_crs="EPSG:3857",
                resampling=rasterio.warp.Resampling.bilinear,
                tolerance=0,
            )
        if content is None:
            assert not expected.any()
            continue
        colours, opacity = read_picture(content)
        both = (opacity > 0) & (expected > 0).all(axis=0)
        assert ((opacity > 0) != (expected > 0).all(axis=0)).mean() < 0.01  # at the edge
        difference = np.abs(colours[both].astype(int) - expected.transpose(1, 2, 0)[both])
        assert difference.max(initial=0) <= 1
        seen += both.sum()
    assert seen > 96 * 80
    scene.close()


def test_a_scene_in_its_own_pixels_is_shown_pixel_by_pixel(make_scene):
    path = make_scene(epsg=None, width=700, height=520, holes=HOLES, nodata=0)
    scene, frame, pictures = opened(path)
    z = frame.finest_zoom
    (_, x, y), *_ = tiles_over(frame, z)
    expected = read_whole(path)
    valid = (expected > 0).all(axis=0)
    for dx in range(2):
        for dy in range(2):
            colours, opacity = read_picture(pictures.read(z, x + dx, y + dy))
            rows, columns = slice(512 * dy, 512 * dy + 512), slice(512 * dx, 512 * dx + 512)
            part = expected[:, rows, columns].transpose(1, 2, 0)
            height, width = part.shape[:2]
            shown = valid[rows, columns]
            np.testing.assert_array_equal(colours[:height, :width][shown], part[shown])
            np.testing.assert_array_equal(opacity[:height, :width] > 0, shown)
            assert not opacity[height:].any()
            assert not opacity[:, width:].any()
    scene.close()


def test_outside_of_the_scene_there_are_no_tiles(make_scene):
    scene, frame, pictures = opened(make_scene())
    (z, x, y), *_ = tiles_over(frame, 14)
    assert pictures.read(z, x, y)
    assert pictures.read(z, x + 5, y) is None
    assert pictures.read(z, 0, 0) is None
    scene.close()


def test_values_are_stretched_as_in_a_preview_of_the_whole_scene(make_scene):
    scene, frame, pictures = opened(make_scene(dtype="uint16", epsg=None))
    (z, x, y), *_ = tiles_over(frame, frame.finest_zoom)
    chip = scene.read_overview(2048)
    colours, _ = read_picture(pictures.read(z, x, y))
    np.testing.assert_array_equal(colours[:80, :96], Stretch.of(chip).to_rgb(chip))
    scene.close()


def test_coarse_tiles_are_made_from_one_overview(make_scene, monkeypatch):
    monkeypatch.setattr(picture_tiles, "_OVERVIEW_PX", 64)
    scene, frame, pictures = opened(make_scene(width=700, height=700, epsg=None))
    monkeypatch.setattr(scene, "read_part", lambda *_: pytest.fail("the scene is read again"))
    (z, x, y), *_ = tiles_over(frame, frame.finest_zoom - 4)
    colours, opacity = read_picture(pictures.read(z, x, y))
    assert (opacity[:43, :43] > 0).all()
    assert 30 < colours[:43, :43].mean() < 80
    scene.close()


def test_a_part_that_cannot_be_read_is_an_error(make_scene, monkeypatch):
    scene, frame, pictures = opened(make_scene())

    def fail(*_):
        raise SceneError("cannot read it", hint="mend it")

    monkeypatch.setattr(scene, "read_part", fail)
    (z, x, y), *_ = tiles_over(frame, frame.finest_zoom)
    with pytest.raises(SceneError, match="cannot read it"):
        pictures.read(z, x, y)
    scene.close()


def test_positions_between_the_nodes_of_the_mesh_are_right(make_scene):
    scene, frame, _ = opened(make_scene(width=600, height=600, rotation=10))
    (z, x, y), *_ = tiles_over(frame, frame.finest_zoom - 1)
    places = tile_positions(frame, z, x, y)
    column, row = 301, 77
    uv = (np.array([x, y]) + (np.array([column, row]) + 0.5) / TILE_PX) / 2**z
    np.testing.assert_allclose(places[row, column], frame.to_pixels(uv), atol=0.01)
    scene.close()
