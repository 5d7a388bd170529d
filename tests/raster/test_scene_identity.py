import os

import rasterio.shutil
from factories_rasters import side_by_side

from geodet.raster.scene_identity import identify_scene


def change(path):
    """Write other bytes of the same number to the end of a file, at a later time."""
    about = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 10**9))


def test_a_scene_is_itself_until_it_is_written_again(make_scene):
    path = make_scene()
    before = identify_scene(str(path))
    assert identify_scene(str(path)) == before
    assert str(path.stat().st_size) in before
    change(path)
    assert identify_scene(str(path)) != before


def test_another_file_of_the_same_size_and_time_has_another_header(make_scene):
    path = make_scene()
    before, about = identify_scene(str(path)), path.stat()
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert identify_scene(str(path)) != before


def test_a_mosaic_is_another_when_a_member_changes(make_scene, tmp_path):
    member, mosaic = make_scene("member.tif"), tmp_path / "all.vrt"
    rasterio.shutil.copy(member, mosaic, driver="VRT")
    before = identify_scene(str(mosaic))
    assert "with 1 other files" in before
    change(member)
    assert identify_scene(str(mosaic)) != before
    member.unlink()
    assert identify_scene(str(mosaic))


def test_a_remote_scene_has_nothing_but_its_path():
    assert identify_scene("/vsicurl/https://example.com/scene.tif") == ""


def test_a_mosaic_is_another_when_a_member_of_a_mosaic_in_it_changes(make_scene, tmp_path):
    member = make_scene("member.tif", width=48)
    side_by_side(tmp_path / "inner.vrt", ("member.tif", "member.tif"))
    outer = side_by_side(tmp_path / "outer.vrt", ("inner.vrt",), 96)
    before = identify_scene(str(outer))
    assert identify_scene(str(outer)) == before
    change(member)
    assert identify_scene(str(outer)) != before
