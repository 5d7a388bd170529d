"""How many GDAL handles a scene opens, and which thread may use them."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from factories_rasters import mosaic_of_files, read_whole

from geodet.errors import SceneError
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster.scene import Scene
from geodet.raster.source import Masks


@pytest.mark.parametrize("threads", [1, 3])
def test_each_thread_that_reads_at_a_time_has_a_handle_of_its_own(make_scene, handles, threads):
    path = make_scene(width=500, height=400, tiled=True)
    with Scene(path) as scene:
        scene._blocks = None  # each window is read through a handle
        grid = WindowGrid(500, 400, 40, 0)
        with ThreadPoolExecutor(threads) as pool:
            chips = list(pool.map(scene.read, grid))
        assert 1 <= len(handles) <= threads
    whole = read_whole(path)
    for chip, window in zip(chips, grid, strict=True):
        inner = np.s_[:, window.row_off : window.row_end, window.col_off : window.col_end]
        np.testing.assert_array_equal(chip.pixels, whole[inner])
    assert all(source.dataset.closed for source in handles)


def test_handles_of_a_mosaic_share_no_file(make_scene, handles):
    """GDAL shares the files of mosaics that one thread opens: not between two open mosaics."""
    path = mosaic_of_files(make_scene)
    whole = read_whole(path)
    with Scene(path) as scene, contextlib.ExitStack() as stack:
        scene._blocks = None
        lent = [stack.enter_context(scene._sources.lend()) for _ in range(4)]
        assert len(handles) == 4  # all opened by this thread
        everything = ((1, 2, 3), Masks(True, None), Window(0, 0, 96, 80), (80, 96))
        with ThreadPoolExecutor(4) as pool:
            for _ in range(40):
                for pixels, _ in pool.map(lambda source: source.read(*everything), lent):
                    np.testing.assert_array_equal(pixels, whole)


def test_a_handle_that_failed_is_not_used_again(make_scene, handles):
    path = make_scene(tiled=True, compress="deflate")
    path.write_bytes(path.read_bytes()[:-9000])
    with Scene(path) as scene:
        with pytest.raises(SceneError, match="cannot read window"):
            scene.read(Window(0, 0, 96, 80))
        assert all(source.dataset.closed for source in handles)
        scene.read(Window(0, 0, 8, 8))
        assert not handles[-1].dataset.closed


def test_a_handle_that_comes_back_after_the_end_is_closed(make_scene, handles):
    with Scene(make_scene()) as scene:
        lent = scene._sources.lend()
        lent.__enter__()
    assert not handles[0].dataset.closed
    lent.__exit__(None, None, None)
    assert handles[0].dataset.closed
