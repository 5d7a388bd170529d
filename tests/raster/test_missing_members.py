"""A mosaic never has a hole where a file is missing, whatever else the process has open."""

import pytest
import rasterio
from factories_rasters import side_by_side

from geodet.errors import SceneError
from geodet.geometry.windows import Window
from geodet.raster.missing_members import find_missing_members
from geodet.raster.scene import Scene

NEEDS_IT, ELSEWHERE = Window(40, 0, 40, 40), Window(0, 0, 48, 40)


@pytest.mark.parametrize("held", ["the same", "another"])
def test_a_mosaic_that_is_open_elsewhere_hides_nothing(make_scene, tmp_path, held):
    """GDAL then remembers that it could not open the file, and gives zeros without a word."""
    for name in ("a.tif", "b.tif"):
        make_scene(name, width=48)
    mosaic = side_by_side(tmp_path / "mosaic.vrt", ("a.tif", "gone.tif"))
    other = side_by_side(tmp_path / "other.vrt", ("a.tif", "b.tif"))
    with rasterio.open(mosaic if held == "the same" else other) as open_elsewhere:
        open_elsewhere.read(1, window=((0, 10), (0, 10)))
        with Scene(mosaic) as scene:
            for _ in range(3):
                scene.clear_cache()
                with pytest.raises(SceneError, match=r"gone\.tif: No such file"):
                    scene.read(NEEDS_IT)
                assert scene.read(ELSEWHERE).valid.all()


def test_a_file_that_a_mosaic_of_mosaics_misses_is_found_where_it_would_be_shown(
    make_scene, tmp_path
):
    make_scene("a.tif", width=48)
    side_by_side(tmp_path / "inner.vrt", ("a.tif", "gone.tif"))
    outer = side_by_side(tmp_path / "outer.vrt", ("a.tif", "inner.vrt"))
    # Of the inner one, 96 pixels wide, the outer one shows 48.
    text = outer.read_text().replace('xSize="48" ySize="80"/><DstRect xOff="48"', "@")
    outer.write_text(text.replace("@", 'xSize="96" ySize="80"/><DstRect xOff="48"'))
    missing = find_missing_members(str(outer))
    assert {member.file for member in missing} == {tmp_path / "gone.tif"}
    assert {member.place for member in missing} == {(72.0, 0.0, 96.0, 80.0)}
    with Scene(outer) as scene:
        with pytest.raises(SceneError, match=r"gone\.tif: No such file"):
            scene.read(Window(60, 0, 20, 20))
        assert scene.read(Window(0, 0, 40, 40)).valid.all()


def test_what_is_whole_or_no_mosaic_misses_nothing(make_scene, tmp_path):
    a = make_scene("a.tif", width=48)
    whole = side_by_side(tmp_path / "whole.vrt", ("a.tif", "a.tif"))
    addresses = side_by_side(tmp_path / "far.vrt", ("a.tif", "/vsimem/b.tif"))
    for scene in (a, whole, addresses, tmp_path / "none.tif", "https://host/a.tif"):
        assert find_missing_members(str(scene)) == ()


def test_what_only_gdal_understands_is_not_missed(make_scene, tmp_path):
    """It is no file, and beside a file that is missing it must be read as before."""
    make_scene("a.tif", width=48)
    names = ("GTIFF_DIR:1:a.tif", "/vsimem/b.tif", "gone.tif")
    mosaic = side_by_side(tmp_path / "mosaic.vrt", names)
    missing = find_missing_members(str(mosaic))
    assert {member.file for member in missing} == {tmp_path / "gone.tif"}
    assert {member.place for member in missing} == {(96.0, 0.0, 144.0, 80.0)}
