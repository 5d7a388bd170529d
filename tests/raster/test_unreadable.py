"""Areas that cannot be read: an error with a hint, or left blank and noted."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio
from factories_rasters import (
    break_block,
    cells,
    mosaic,
    mosaic_of_files,
    read_whole,
    side_by_side,
)
from rasterio.errors import RasterioError
from remote_server import Fault

from geodet.config.reading_config import ReadingConfig
from geodet.errors import SceneError
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster import gdal_messages
from geodet.raster.scene import Scene

SKIP = ReadingConfig(on_error="skip", retries=0)


@pytest.fixture
def damaged(make_scene):
    """Write a scene of 96 x 80 px in blocks of 16 x 16 px, one of which is damaged."""
    path = make_scene(
        tiled=True, blockxsize=16, blockysize=16, compress="deflate", interleave="pixel"
    )
    whole = read_whole(path)
    break_block(path, 2, 1)
    return path, whole


def test_only_the_block_of_the_file_that_is_damaged_is_left_blank(damaged):
    path, whole = damaged
    with Scene(path, limits=SKIP) as scene:
        chip = scene.read(Window(0, 0, 96, 80))
        found = scene.unreadable.meeting([Window(0, 0, 96, 80)])
    valid = np.ones((80, 96), bool)
    valid[16:32, 32:48] = False
    np.testing.assert_array_equal(chip.valid, valid)
    np.testing.assert_array_equal(chip.pixels, whole * valid)
    assert list(found) == [Window(32, 16, 16, 16)]
    assert "IReadBlock failed" in found[Window(32, 16, 16, 16)]


def test_of_a_file_that_is_cut_off_all_whole_blocks_are_read(make_scene):
    """Far from its beginning no block can be read, so that groups of blocks fail as a whole."""
    path = make_scene(width=700, height=1200, tiled=True, blockxsize=128, blockysize=128)
    whole = read_whole(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    valid = np.zeros((1200, 700), bool)
    with rasterio.open(path) as raster:
        for _, block in raster.block_windows(1):
            with suppress(RasterioError):
                raster.read(window=block)
                valid[block.toslices()] = True
    assert 0.2 < valid.mean() < 0.4
    grid = WindowGrid(width=700, height=1200, size=300, overlap=40)
    with Scene(path, limits=SKIP) as scene:
        pixels, found = mosaic(scene, grid)
        areas = scene.unreadable.meeting([Window(0, 0, 700, 1200)])
    np.testing.assert_array_equal(found, valid)
    np.testing.assert_array_equal(pixels, whole * valid)
    listed = np.zeros((1200, 700), int)
    for area in areas:
        listed[cells(area)] += 1
    np.testing.assert_array_equal(listed, ~valid)


@pytest.mark.parametrize("left", [0, 1])
def test_of_a_mosaic_only_what_a_missing_member_shows_is_left_blank(make_scene, left):
    """Blocks, of 32 px here, do not end where members do."""
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 32}
    paths = [make_scene(f"{n}.tif", width=48, seed=n, **tiles) for n in range(3)]
    path = side_by_side(paths[0].with_name("mosaic.vrt"), [one.name for one in paths])
    whole = read_whole(path)
    paths[1].unlink()
    with Scene(path, limits=SKIP) as scene:
        chip = scene.read(Window(left, 0, 144 - left, 80))
        areas = list(scene.unreadable.meeting([Window(0, 0, 144, 80)]))
    valid = np.ones((80, 144), bool)
    valid[:, 48:96] = False
    np.testing.assert_array_equal(chip.valid, valid[:, left:])
    np.testing.assert_array_equal(chip.pixels, (whole * valid)[:, :, left:])
    assert areas == [Window(48, 0, 48, 80)]


def test_a_sample_that_cannot_be_read_is_not_noted(damaged):
    with Scene(damaged[0], limits=SKIP) as scene:
        scene._blocks = None
        assert not scene.read_sample(Window(32, 16, 16, 16)).valid.any()
        assert scene.unreadable.meeting([Window(0, 0, 96, 80)]) == {}


@pytest.mark.parametrize("limits", [None, ReadingConfig()])
def test_by_default_a_damaged_block_is_an_error(damaged, limits):
    """Only where a setting leaves it out, as in detect, does the hint name the setting."""
    with (
        Scene(damaged[0], limits=limits) as scene,
        pytest.raises(SceneError, match="cannot read window") as caught,
    ):
        scene.read(Window(0, 0, 96, 80))
    assert "gdalinfo -checksum" in caught.value.hint
    assert ("--on-error skip" in caught.value.hint) == (limits is not None)


@pytest.mark.parametrize("grid", [(96, 80), (48, 40), (120, 100)])
def test_windows_apart_from_the_damage_are_whole(damaged, grid):
    with Scene(damaged[0], limits=SKIP) as scene:
        scene.resample(*grid)
        window = Window(0, grid[1] // 2, grid[0], grid[1] - grid[1] // 2)
        assert scene.read(window).valid.all()
        assert scene.unreadable.meeting([scene.source_area(window)]) == {}
        assert not scene.read(Window(0, 0, *grid)).valid.all()


def test_a_window_that_is_read_directly_is_left_blank_as_a_whole(damaged):
    with Scene(damaged[0], limits=SKIP) as scene:
        scene._blocks = None
        chip = scene.read(Window(16, 16, 32, 32))
        assert not chip.valid.any()
        assert scene.read(Window(48, 16, 32, 32)).valid.all()
        assert list(scene.unreadable.meeting([Window(0, 0, 96, 80)])) == [Window(16, 16, 32, 32)]


def test_an_overview_of_a_damaged_scene_is_an_error(damaged):
    with Scene(damaged[0], limits=SKIP) as scene, pytest.raises(SceneError, match="cannot read"):
        scene.read_overview(90)


def test_the_hint_for_a_mosaic_names_the_part_that_is_missing(make_scene):
    path = mosaic_of_files(make_scene)
    with rasterio.open(path) as mosaic:
        part = next(name for name in mosaic.files if name.endswith(".tif"))
    shutil.move(part, f"{part}.away")
    with Scene(path) as scene, pytest.raises(SceneError, match="cannot read window") as caught:
        scene.read(Window(0, 0, 96, 80))
    assert f"its part {part} is missing" in caught.value.hint


def test_the_hint_for_a_mosaic_names_the_part_that_is_damaged(make_scene):
    path = mosaic_of_files(make_scene, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    with rasterio.open(path) as mosaic:
        part = next(name for name in mosaic.files if name.endswith(".tif"))
    break_block(Path(part), 0, 1)
    with Scene(path) as scene, pytest.raises(SceneError, match="cannot read window") as caught:
        scene.read(Window(0, 0, 96, 80))
    assert f"its part {part} may be truncated" in caught.value.hint


def test_what_gdal_warns_of_in_a_damaged_jpeg_is_passed_on_once(make_scene, caplog):
    path = make_scene("scene.jpg", width=200, height=200)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20] = b"\xff\xd0" * 10  # restarts that are none
    path.write_bytes(content)
    with Scene(path) as scene:
        for _ in range(2):
            scene.clear_cache()
            scene.read(Window(0, 0, 200, 200))
    told = [record for record in caplog.records if "GDAL warns" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert "scene.jpg: GDAL warns: " in told[0].getMessage()
    assert "jpeg" in told[0].getMessage().lower()


def test_the_log_of_rasterio_is_as_before(make_scene, monkeypatch):
    monkeypatch.setattr(
        gdal_messages, "_filter", gdal_messages._MessageFilter()
    )  # others may be open
    loggers = [logging.getLogger(name) for name in ("rasterio._env", "rasterio._err")]
    before = [(one.level, list(one.filters)) for one in loggers]
    with Scene(make_scene()) as scene:
        assert [(one.level, list(one.filters)) for one in loggers] != before
        scene.read(Window(0, 0, 96, 80))
    assert [(one.level, list(one.filters)) for one in loggers] == before


def test_a_server_that_fails_for_three_windows_in_a_row_ends_the_reading(server, make_scene):
    path = make_scene(width=600, height=400, tiled=True, blockxsize=64, blockysize=64)
    server.fault = Fault("404", first_byte=100_000)
    with Scene(f"{server.url}/{path.name}", limits=SKIP) as scene:
        rows = [Window(0, 320, 64, 64), Window(128, 320, 64, 64), Window(256, 320, 64, 64)]
        assert not scene.read(rows[0]).valid.any()
        assert not scene.read(rows[1]).valid.any()
        with pytest.raises(SceneError, match="HTTP status 404"):
            scene.read(rows[2])
        assert list(scene.unreadable.meeting(rows)) == rows[:2]
