"""Truncated PNGs, which GDAL reads as if they were whole."""

import numpy as np
import pytest
from PIL import Image

from geodet.errors import SceneError
from geodet.raster.orientation import is_truncated_png, iter_png_chunks
from geodet.raster.scene import Scene


@pytest.fixture
def png(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95, 0.9999])
def test_a_truncated_png_is_refused(share, png):
    whole = png.read_bytes()
    png.write_bytes(whole[: int(len(whole) * share)])
    assert is_truncated_png(png)
    with pytest.raises(SceneError, match=r"a\.png") as caught, Scene(png):
        pass
    assert caught.value.path == str(png)


def test_a_whole_png_is_not_truncated(png):
    assert not is_truncated_png(png)
    assert [name for name, _ in iter_png_chunks(png)][-1] == b"IEND"
    png.write_bytes(png.read_bytes() + b"what a program appended")
    assert not is_truncated_png(png)


def test_another_format_is_no_truncated_png(tmp_path):
    (tmp_path / "a.png").write_bytes(b"GIF89a")
    assert not is_truncated_png(tmp_path / "a.png")
