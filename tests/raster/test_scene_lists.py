import logging
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geodet.errors import SceneError
from geodet.raster.scene import Scene
from geodet.raster.scene_lists import list_files, list_scenes
from geodet.raster.scene_names import find_scene_name, name_files, scene_names


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a function that makes empty files in a folder, the working directory of the test."""
    monkeypatch.chdir(tmp_path)

    def make(*names, text=""):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return make


VRT = "<VRTDataset><VRTRasterBand>{}</VRTRasterBand></VRTDataset>"
SIDECARS = ("a.tif.aux.xml", "a.tif.ovr", "a.tif.msk", "a.tfw", "a.prj", "._a.tif", "a.geojson")


def names(arguments):
    return [Path(scene).as_posix() for scene in list_scenes(arguments)]


def test_files_are_listed_in_the_order_given(data):
    folder = data("b.tif", "a.dat", "sub/c[1].tif")
    wanted = ["b.tif", "a.dat", "sub/c[1].tif", str(folder / "a.dat")]
    assert names(wanted[:3]) == wanted[:3]


@pytest.mark.parametrize(
    "path",
    [
        "/vsizip/a.zip/b.tif",
        "/vsicurl/https://x.org/a.tif?b=*",
        "s3://bucket/a.tif",
        "https://x.org/a.tif?signature=" + "0" * 400,
        "https://x.org/a.tif",
        "NETCDF:a.nc:red",
        "GTIFF_DIR:2:a.tif",
    ],
)
def test_paths_that_only_gdal_understands_are_kept(data, path):
    data("list.txt", text=path)
    assert list_scenes([path]) == list_scenes(["list.txt"]) == [path]


def test_a_folder_lists_its_rasters_in_natural_order(data):
    data("in/t10.tif", "in/t2.tif", "in/T3.TIF", "in/b.jp2", "in/sub/d.tif", "in/x.gpkg")
    data(*(f"in/{name}" for name in SIDECARS))
    assert names(["in"]) == ["in/b.jp2", "in/t2.tif", "in/T3.TIF", "in/t10.tif"]
    assert names(["in/**"]) == [*names(["in"])[:1], "in/sub/d.tif", *names(["in"])[1:]]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("in/a.jpg", "in/101MEDIA/b.jpg", "in/100MEDIA/b.jpg"), "such as 100MEDIA, are left out"),
        (("in/a.jpg", "in/notes/c.gpkg", "in/.trash/b.jpg"), None),
    ],
)
def test_rasters_in_subfolders_of_a_folder_are_said_to_be_left_out(data, caplog, files, said):
    caplog.set_level(logging.INFO, "geodet")
    data(*files)
    assert names(["in"]) == ["in/a.jpg"]
    told = [one for one in caplog.messages if "subfolders" in one]
    assert len(told) == (said is not None)
    assert said is None or said in told[0]


def test_a_pattern_finds_rasters_unless_it_fixes_the_extension(data):
    data("in/t10.tif", "in/t2.tif", "in/u.dat", "in/v.dat.aux.xml", "in/s/t1.tif", *SIDECARS)
    assert names(["in/t*"]) == names(["in/*"]) == ["in/t2.tif", "in/t10.tif"]
    assert names(["in/*.dat"]) == ["in/u.dat"]
    assert names(["in/t[0-9].tif"]) == ["in/t2.tif"]
    assert names(["**/t?.tif"]) == ["in/s/t1.tif", "in/t2.tif"]


@pytest.mark.parametrize("relative", ["1", "0"])
@pytest.mark.parametrize("argument", ["in", "in/*"])
def test_the_source_files_of_a_mosaic_are_left_out(data, caplog, relative, argument):
    folder = data("in/t1.tif", "in/t2.tif", "in/other.tif")
    where = "" if relative == "1" else f"{folder}/in/"
    sources = [
        f'<SourceFilename relativeToVRT="{relative}">{where}t{n}.tif</SourceFilename>'
        for n in (1, 2)
    ]
    data("in/all.vrt", text=VRT.format("".join(sources)))
    caplog.set_level(logging.INFO, logger="geodet")
    assert names([argument]) == ["in/all.vrt", "in/other.tif"]
    assert "2 files are left out as they are parts of all.vrt" in caplog.text


def test_a_broken_mosaic_is_listed_and_fails_when_opened(data):
    data("in/a.tif")
    data("in/b.vrt", text="<no")
    assert names(["in"]) == ["in/a.tif", "in/b.vrt"]


@pytest.mark.parametrize("argument", ["@lists/scenes.lst", "lists/scenes.txt"])
def test_a_list_is_relative_to_its_folder(data, argument):
    folder = data("lists/a b.tif", "lists/in/t2.tif", "lists/in/t10.tif", "c.tif", "d.tif")
    lines = ["\ufeff# spring", "", "a b.tif", '"../c.tif"', " in/*.tif ", str(folder / "d.tif")]
    data(argument.removeprefix("@"), text="\r\n".join(lines))
    expected = ["lists/a b.tif", "lists/../c.tif", "lists/in/t2.tif", "lists/in/t10.tif"]
    assert names([argument]) == [*expected, (folder / "d.tif").as_posix()]


def test_a_folder_with_pattern_characters_in_its_name_is_a_folder(data):
    data("x[1]/a.tif", "x1/a.tif", "x[1]/b.tif")
    data("x[1]/list.txt", text="*.tif")
    assert names(["x[1]"]) == names(["x[1]/list.txt"]) == ["x[1]/a.tif", "x[1]/b.tif"]


def test_a_scene_named_twice_counts_once(data, caplog):
    folder = data("in/a.tif", "in/b.tif")
    assert names(["in/b.tif", "in", str(folder / "in" / "a.tif")]) == ["in/b.tif", "in/a.tif"]
    assert re.search(r"2 scenes, such as in.*, are named more than once", caplog.text)
    caplog.clear()
    (folder / "link.tif").symlink_to(folder / "in" / "a.tif")
    assert names(["link.tif", "in/a.tif", "s3://x/a.tif", "s3://x/b.tif"])[1:] == [
        *("s3:/x/a.tif", "s3:/x/b.tif"),
    ]
    assert "link.tif is named more than once and counted once" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ([], "no scenes were given", "name a raster"),
        ([""], "one of the scenes is an empty text", "name a raster"),
        ([" "], "one of the scenes is an empty text", "name a raster"),
        (["gone.tif"], "no such file or folder: gone.tif", "the path is relative to /"),
        (["empty"], "no rasters in the folder empty", "it has no files"),
        (["vectors"], "no rasters in the folder vectors", r"\.tif.* it has a\.gpkg; for subf"),
        (["*.tif"], r"nothing matches \*\.tif", "relative to /"),
        (["vect*"], r"no rasters match vect\*", r"looked for .*\.tif"),
        (["@gone"], "cannot read the list of scenes gone: .*No such file", "UTF-8"),
        (["latin.txt"], "cannot read the list of scenes latin.txt: .*utf-8", "UTF-8"),
        (["none.txt"], "none.txt lists no scenes", "one path a line"),
        (["bad.txt"], r"bad\.txt, line 2: no such file or folder: gone\.tif", "relative to /"),
        (["nested.txt"], r"nested\.txt, line 1: bad\.txt is a list in a list", "scenes instead"),
    ],
)
def test_an_argument_that_names_nothing_is_an_error_with_a_hint(data, arguments, message, hint):
    folder = data("vectors/a.gpkg", "empty/sub/a.tif")
    data("none.txt", text="# nothing\n\n")
    data("bad.txt", text="vectors/a.gpkg\ngone.tif\n")
    data("nested.txt", text="bad.txt")
    (folder / "latin.txt").write_bytes("größe.tif".encode("latin-1"))
    with pytest.raises(SceneError, match=message) as caught:
        list_scenes(arguments)
    assert re.search(hint, caught.value.hint)


def test_a_zarr_store_is_named_as_gdal_does(tmp_path):
    store = tmp_path / "z.zarr"
    place = {"crs": "EPSG:32633", "transform": Affine(0.6, 0, 500_000, 0, -0.6, 4_500_000)}
    about = {"driver": "Zarr", "width": 5, "height": 4, "count": 1, "dtype": "uint8"}
    with rasterio.Env() as env:
        if "Zarr" not in env.drivers():
            pytest.skip("this GDAL has no Zarr")
    with rasterio.open(store, "w", **about, **place) as raster:
        raster.write(np.ones((1, 4, 5), np.uint8))
    with pytest.raises(SceneError, match=r"the folder .*z\.zarr is a Zarr store") as caught:
        list_scenes([str(store)])
    (name,) = re.findall("'(.*)'", caught.value.hint)
    assert name == f'ZARR:"{store}"'
    with Scene(*list_scenes([name])) as scene:
        assert scene.grid == (5, 4)


folders = st.lists(st.sampled_from("ab"), max_size=4)
paths = st.builds(
    lambda folders, file, prefix: prefix + "/".join([*folders, file]),
    folders,
    st.sampled_from(["x.tif", "y.tif"]),
    st.sampled_from(["/", "/vsizip/c.zip/", "s3://bucket/"]),
)


@given(st.lists(paths, unique=True, max_size=9))
def test_names_are_the_shortest_ends_that_differ(scenes):
    found = scene_names(scenes)
    assert len(set(found)) == len(scenes)
    for scene, name in zip(scenes, found, strict=True):
        assert scene.endswith(name)
        _, _, shorter = name.partition("/")
        others = [other for other in scenes if other != scene]
        if shorter:
            assert any(other.endswith(f"/{shorter}") for other in others)


def test_a_scene_alone_is_named_by_its_file(data):
    assert scene_names(["in/a.tif", "b.tif", "/vsizip/z.zip/c.tif"]) == ["a.tif", "b.tif", "c.tif"]
    assert scene_names([]) == []


def test_the_same_file_name_in_two_folders_is_told_apart(data):
    folder = data()
    scenes = ["a.tif", str(folder / "in" / "a.tif"), "../a.tif"]
    assert scene_names(scenes)[1] == "in/a.tif"
    assert len(set(scene_names(scenes))) == 3


def test_a_path_through_the_folder_above_has_the_name_of_its_file(data):
    (data("in/a.tif", "in/x/a.tif", "far/x/b.tif") / "link").symlink_to("far/x")
    listed = ["in/x/a.tif", "in/x/../a.tif"]
    assert scene_names(listed) == ["x/a.tif", "in/a.tif"]
    assert find_scene_name("in/x/../a.tif", ["in/a.tif"]) == "in/a.tif"
    through = ["link/../a.tif", "./a.tif"]  # above the folder that the link leads to
    assert scene_names(through) == ["far/a.tif", f"{Path.cwd().name}/a.tif"]


def test_list_files_returns_the_lists_among_the_arguments(data):
    data("list.txt", "other", "a.tif", text="a.tif")
    assert list_files(["a.tif", "list.txt", "@other", "*.tif"]) == ["list.txt", "other"]


@given(st.lists(paths, unique=True, max_size=9))
def test_a_scene_finds_its_name_among_those_of_the_others(scenes):
    found = scene_names(scenes)
    assert [find_scene_name(scene, found) for scene in scenes] == found


def test_a_scene_that_is_not_among_others_has_no_name():
    assert find_scene_name("in/a.tif", ["b.tif", "out/a.tif", "n/a.tif"]) == ""


_PART = st.text("aAbB._-/ :é", min_size=1, max_size=6)


@given(st.lists(_PART, min_size=1, max_size=6, unique=True))
def test_names_of_files_differ_and_are_safe(paths):
    names = scene_names([f"/{path}.tif" for path in paths])
    files = name_files(list(dict.fromkeys(names)))
    chosen = list(files.values())
    assert len({name.casefold() for name in chosen}) == len(chosen)
    assert not any(set(name) & set('/\\:*?"<>|') for name in chosen)


def test_files_of_scenes_are_not_hidden():
    names = ["../a.tif", ".a.tif", "..", "n/.b.tif"]
    assert list(name_files(names).values()) == ["a.tif", "a.tif_2", "_", "n_.b"]


def test_names_of_files_differ_where_a_folder_and_a_file_name_spell_the_same():
    names = scene_names(["/in/north/ortho.tif", "/in/south/ortho.tif", "/in/north_ortho.tif"])
    assert list(name_files(names).values()) == [
        "north_ortho.tif",
        "south_ortho",
        "north_ortho.tif_2",
    ]
