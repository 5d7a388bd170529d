"""A mosaic never has a hole where a file is missing or damaged, whatever the process has open."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from factories_rasters import side_by_side
from PIL import Image

from geodet.errors import SceneError
from geodet.geometry.windows import Window
from geodet.raster.mosaic_members import MosaicMembers, find_members
from geodet.raster.scene import Scene

NEEDS_IT, ELSEWHERE = Window(40, 0, 40, 40), Window(0, 0, 48, 40)


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how != "missing":
        path.write_bytes({"cut": content[:100], "other": b"no raster", "empty": b""}[how])


@pytest.mark.parametrize("how", ["missing", "a folder", "cut", "other", "empty"])
@pytest.mark.parametrize("held", ["the same", "another"])
def test_a_mosaic_that_is_open_elsewhere_hides_nothing(make_scene, tmp_path, held, how):
    """GDAL then remembers that it could not open the file, and gives zeros without a word."""
    for name in ("a.tif", "b.tif", "bad.tif"):
        make_scene(name, width=48)
    spoil(tmp_path / "bad.tif", how)
    mosaic = side_by_side(tmp_path / "mosaic.vrt", ("a.tif", "bad.tif"))
    other = side_by_side(tmp_path / "other.vrt", ("a.tif", "b.tif"))
    with rasterio.open(mosaic if held == "the same" else other) as open_elsewhere:
        open_elsewhere.read(1, window=((0, 10), (0, 10)))
        with Scene(mosaic) as scene:
            for _ in range(3):
                scene.clear_cache()
                with pytest.raises(SceneError, match=r"cannot read window.*bad\.tif"):
                    scene.read(NEEDS_IT)
                assert scene.read(ELSEWHERE).valid.all()


def test_a_file_that_is_there_again_is_read(make_scene, tmp_path):
    b = make_scene("b.tif", width=48)
    make_scene("a.tif", width=48)
    content = b.read_bytes()
    b.write_bytes(b"not yet")
    with Scene(side_by_side(tmp_path / "mosaic.vrt", ("a.tif", "b.tif"))) as scene:
        with pytest.raises(SceneError, match="not recognized"):
            scene.read(NEEDS_IT)
        b.write_bytes(content)
        assert scene.read(NEEDS_IT).pixels[:, :, 8:].any()


def test_each_member_is_opened_once_and_only_where_it_is_shown(make_scene, tmp_path, monkeypatch):
    for name in ("a.tif", "b.tif"):
        make_scene(name, width=48)
    members = MosaicMembers(find_members(str(side_by_side(tmp_path / "m.vrt", ("a.tif", "b.tif")))))
    opened = []
    monkeypatch.setattr(rasterio, "open", lambda name: opened.append(Path(name)) or make(name))
    members.open_shown(Window(0, 0, 48, 80))
    assert opened == [tmp_path / "a.tif"]
    for _ in range(2):
        members.open_shown(Window(47, 79, 2, 1))
    assert opened == [tmp_path / "a.tif", tmp_path / "b.tif"]


make = rasterio.open


def test_the_members_of_a_mosaic_in_a_mosaic_have_the_places_where_they_are_shown(
    make_scene, tmp_path
):
    make_scene("a.tif", width=48)
    inner = side_by_side(tmp_path / "inner.vrt", ("a.tif", "gone.tif"))
    outer = side_by_side(tmp_path / "outer.vrt", ("a.tif", "inner.vrt"))
    # Of the inner one, 96 pixels wide, the outer one shows 48.
    text = outer.read_text().replace('xSize="48" ySize="80"/><DstRect xOff="48"', "@")
    outer.write_text(text.replace("@", 'xSize="96" ySize="80"/><DstRect xOff="48"'))
    assert {(Path(one.name).name, one.place) for one in find_members(str(outer))} == {
        ("a.tif", (0.0, 0.0, 48.0, 80.0)),
        ("inner.vrt", (48.0, 0.0, 96.0, 80.0)),
        ("a.tif", (48.0, 0.0, 72.0, 80.0)),
        ("gone.tif", (72.0, 0.0, 96.0, 80.0)),
    }
    with Scene(outer) as scene:
        with pytest.raises(SceneError, match=r"gone\.tif: No such file"):
            scene.read(Window(60, 0, 20, 20))
        assert scene.read(Window(0, 0, 40, 40)).valid.all()
    # A mosaic that shows itself ends.
    inner.write_text(inner.read_text().replace("gone.tif", "inner.vrt"))
    assert len({one.name for one in find_members(str(inner))}) == 2


def test_what_is_no_local_mosaic_has_no_members(make_scene, tmp_path):
    for scene in (make_scene("a.tif"), tmp_path / "none.tif", "https://host/a.tif"):
        assert find_members(str(scene)) == ()


def test_what_only_gdal_can_open_is_left_to_it(make_scene, tmp_path):
    """Beside other files it is read as before."""
    make_scene("a.tif", width=48)
    names = ("a.tif", "GTIFF_DIR:1:a.tif", "a.tif")
    mosaic = side_by_side(tmp_path / "mosaic.vrt", names)
    expected = {(str(tmp_path / "a.tif"), left) for left in (0.0, 96.0)}
    assert {(one.name, one.place[0]) for one in find_members(str(mosaic))} == expected


@pytest.mark.parametrize("kind", ["options", "lower case", "another name", "broken XML"])
def test_unusual_mosaics_hide_nothing_either(make_scene, tmp_path, kind):
    for name in ("a.tif", "b.tif"):
        make_scene(name, width=48)
    mosaic = side_by_side(tmp_path / "mosaic.vrt", ("gone.tif", "a.tif"))
    text = mosaic.read_text()
    if kind == "options":
        options = '<OpenOptions><OOI key="NUM_THREADS">2</OOI></OpenOptions></SimpleSource>'
        mosaic.write_text(text.replace("</SimpleSource>", options))
    elif kind == "lower case":
        mosaic.write_text(text.replace("SourceFilename", "sourcefilename"))
    elif kind == "broken XML":
        mosaic.write_text(text.replace("<SRS", '<Metadata><MDI key="a">b & c</MDI></Metadata><SRS'))
    else:
        mosaic.rename(tmp_path / "inner.xml")
        side_by_side(tmp_path / "mosaic.vrt", ("a.tif", "inner.xml"))
    other = side_by_side(tmp_path / "other.vrt", ("a.tif", "b.tif"))
    with rasterio.open(other) as open_elsewhere:
        open_elsewhere.read(1, window=((0, 10), (0, 10)))
        for _ in range(2):
            with Scene(mosaic) as scene, pytest.raises(SceneError, match=r"gone\.tif"):
                scene.read(Window(0, 0, 96, 40))


def test_only_the_bands_that_are_read_need_their_files(make_scene, tmp_path):
    mosaic = side_by_side(tmp_path / "mosaic.vrt", ("a.tif", "a.tif"))
    make_scene("a.tif", width=48)
    first, *others = mosaic.read_text().split("<VRTRasterBand")
    others[2] = others[2].replace("a.tif", "gone.tif")
    mosaic.write_text("<VRTRasterBand".join([first, *others]))
    with Scene(mosaic, bands=(1, 2)) as scene:
        assert scene.read(NEEDS_IT).pixels.any()
    with Scene(mosaic, bands=(1, 3)) as scene, pytest.raises(SceneError, match="gone"):
        scene.read(NEEDS_IT)


def test_a_reduced_picture_comes_from_the_overviews_of_the_mosaic(make_scene, tmp_path):
    for name in ("a.tif", "b.tif"):
        make_scene(name, width=480, height=400)
    mosaic = side_by_side(tmp_path / "mosaic.vrt", ("a.tif", "b.tif"), 480, 400)
    with rasterio.open(mosaic, "r+") as raster:
        raster.build_overviews([4])
    (tmp_path / "b.tif").unlink()
    with Scene(mosaic) as scene:
        assert scene.read_overview(240).pixels.any()
        with pytest.raises(SceneError, match=r"b\.tif"):
            scene.read(Window(470, 0, 40, 40))


def test_a_picture_without_its_end_is_refused_in_a_mosaic_as_by_itself(make_scene, tmp_path):
    """GDAL fills what is missing of a PNG with zeros, without a word."""
    pixels = np.random.default_rng(0).integers(1, 255, (80, 48, 3), np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 3])
    mosaic = side_by_side(tmp_path / "mosaic.vrt", ("a.png", "b.png"))
    with Scene(mosaic) as scene:
        with pytest.raises(SceneError, match=r"cannot read window.*b\.png is truncated"):
            scene.read(NEEDS_IT)
        assert scene.read(ELSEWHERE).pixels.all()
