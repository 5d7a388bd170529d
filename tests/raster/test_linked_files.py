"""What a raster reads from besides its own file."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from geodet.errors import SceneError
from geodet.files.network import OFFLINE, RESTRICTED, is_remote_path
from geodet.raster.gdal_options import gdal_options
from geodet.raster.linked_files import find_linked_files, is_remote
from geodet.raster.reach import check_reach


def write_vrt(path, *sources):
    """Write a VRT of sources, each a name, or attributes and a name."""
    pairs = [source if isinstance(source, tuple) else ("", source) for source in sources]
    bands = "".join(
        f"<SimpleSource><SourceFilename {about}>{name}</SourceFilename></SimpleSource>"
        for about, name in pairs
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<VRTDataset rasterXSize='9' rasterYSize='9'><VRTRasterBand>{bands}"
        "</VRTRasterBand></VRTDataset>",
        encoding="utf-8",
    )
    return path


BESIDE = "relativeToVRT='1'"


def test_names_are_relative_to_the_vrt_or_to_the_process(tmp_path):
    vrt = write_vrt(
        tmp_path / "v" / "a.vrt", (BESIDE, "b.tif"), (BESIDE, "../c.tif"), "d.tif", "/e.tif"
    )
    assert find_linked_files(vrt).files == (
        tmp_path / "v" / "b.tif",
        tmp_path / "v" / ".." / "c.tif",
        Path("d.tif"),
        Path("/e.tif"),
    )


def test_what_a_member_reads_from_is_found_and_circles_end(tmp_path):
    write_vrt(tmp_path / "b.vrt", (BESIDE, "c.tif"), (BESIDE, "a.vrt"))
    vrt = write_vrt(tmp_path / "a.vrt", (BESIDE, "b.vrt"))
    names = {file.name for file in find_linked_files(vrt).files}
    assert names == {"a.vrt", "b.vrt", "c.tif"}


@pytest.mark.parametrize(
    "text",
    [
        "<VRTDATASET><vrtrasterband><simplesource><sourcefilename RELATIVETOVRT='1'>b.tif"
        "</sourcefilename></simplesource></vrtrasterband></VRTDATASET>",
        "<VRTDataset><GDALWarpOptions><SourceDataset relativeToVRT='1'>b.tif</SourceDataset>"
        "</GDALWarpOptions></VRTDataset>",
        "<VRTDataset><Metadata domain='GEOLOCATION'><MDI key='X_DATASET'>b.tif</MDI></Metadata>"
        "</VRTDataset>",
        "<VRTDataset><SourceFilename relativeToVRT='1'><![CDATA[b.tif]]></SourceFilename>"
        "</VRTDataset>",
        "<VRTDataset><SourceFilename relativeToVRT='1'>b<!-- -->.tif</SourceFilename></VRTDataset>",
        "<VRTDataset><SourceFilename relativeToVRT='1'>&#98;.tif</SourceFilename></VRTDataset>",
        "<VRTDataset><Overview><SourceFilename relativeToVRT='1'>b.tif</SourceFilename></Overview>"
        "</VRTDataset>",
    ],
)
def test_a_name_is_found_however_it_is_written(tmp_path, text):
    (tmp_path / "a.tif").write_text(text, encoding="utf-8")
    assert [file.name for file in find_linked_files(tmp_path / "a.tif").files] == ["b.tif"]


@pytest.mark.parametrize(
    "name",
    [
        "/vsicurl/http://host/a.tif",
        "http://host/a.tif",
        "HTTPS://host/a.tif",
        "ftp://host/a.tif",
        "s3://bucket/a.tif",
        "/vsis3/bucket/a.tif",
        "/vsizip//vsis3/bucket/a.zip/a.tif",
        "/vsizip/vsicurl/http://host/a.zip",
        "WMS:http://host/wms",
        "wcs:host",
        "STACIT:x.json",
    ],
)
def test_addresses_are_of_the_network(tmp_path, name):
    assert is_remote_path(name)
    assert find_linked_files(write_vrt(tmp_path / "a.vrt", name)).remote == (name,)


@pytest.mark.parametrize(
    "name", ["/vsizip/a.zip/b.tif", "/vsimem/a.tif", "NETCDF:a.nc:v", "vrt://a.tif?bands=1"]
)
def test_what_only_gdal_understands_is_kept_apart(tmp_path, name):
    assert not is_remote_path(name)
    linked = find_linked_files(write_vrt(tmp_path / "a.vrt", (BESIDE, name)))
    assert (linked.files, linked.remote, linked.encoded) == ((), (), (name,))


def test_a_raster_described_in_the_place_of_a_name_is_looked_into(tmp_path):
    inner = (
        "&lt;VRTDataset&gt;&lt;SourceFilename&gt;/b.tif&lt;/SourceFilename&gt;&lt;/VRTDataset&gt;"
    )
    assert find_linked_files(write_vrt(tmp_path / "a.vrt", inner)).files == (Path("/b.tif"),)
    service = "&lt;GDAL_WMS&gt;&lt;/GDAL_WMS&gt;"
    assert find_linked_files(write_vrt(tmp_path / "a.vrt", service)).encoded


def test_a_vrt_that_is_no_xml_is_not_taken_for_one_that_reads_nothing(tmp_path):
    path = tmp_path / "a.vrt"
    path.write_text("<VRTDataset><SourceFilename>/b.tif</SourceFilename> a & b", encoding="utf-8")
    linked = find_linked_files(path)
    assert linked.files == (Path("/b.tif"),)
    assert "cannot be read in it as XML" in linked.encoded[0]


@pytest.mark.parametrize(
    "head", ["<GDAL_WMS>", "<?xml version='1.0'?>\n<WCS_GDAL>", "<Capabilities>", "<TiledWMS>"]
)
def test_a_service_is_of_the_network(tmp_path, head):
    (tmp_path / "a.tif").write_text(head, encoding="utf-8")
    assert len(find_linked_files(tmp_path / "a.tif").remote) == 1


@pytest.mark.parametrize(
    ("index", "files", "remote"),
    [
        ("i.gpkg", (Path("i.gpkg"),), ()),  # GDAL takes it from the folder of the process
        ("https://host/i.gpkg", (), ("https://host/i.gpkg",)),
    ],
)
def test_a_described_tile_index_is_of_the_network_only_where_its_index_is(
    tmp_path, monkeypatch, index, files, remote
):
    """What the index itself names only GDAL reads, as that of an index without a description."""
    text = f"<GDALTileIndexDataset><IndexDataset>{index}</IndexDataset></GDALTileIndexDataset>"
    (tmp_path / "a.gti").write_text(text, encoding="utf-8")
    (tmp_path / "i.gti.gpkg").write_text("SQLite", encoding="utf-8")
    linked = find_linked_files(tmp_path / "a.gti")
    assert (linked.files, linked.remote) == (files, remote)
    assert linked.encoded == find_linked_files(tmp_path / "i.gti.gpkg").encoded != ()
    monkeypatch.setenv(OFFLINE, "1")
    with pytest.raises(SceneError, match="over the network") if remote else nullcontext():
        check_reach(str(tmp_path / "a.gti"))
    monkeypatch.setenv(RESTRICTED, "1")
    with pytest.raises(SceneError, match="over the network" if remote else "not in its folder"):
        check_reach(str(tmp_path / "a.gti"))


def test_other_rasters_read_only_themselves(make_scene, tmp_path):
    assert find_linked_files(make_scene()) == find_linked_files(tmp_path / "missing.tif")


def test_a_scene_is_remote_if_what_it_reads_is(tmp_path):
    """Also through a second virtual raster; GDAL is told so, and servers are waited for."""
    write_vrt(tmp_path / "inner.vrt", "/vsicurl/http://host/a.tif")
    outer = str(write_vrt(tmp_path / "outer.vrt", (BESIDE, "inner.vrt")))
    local = str(write_vrt(tmp_path / "local.vrt", (BESIDE, "a.tif")))
    assert [is_remote(scene) for scene in (outer, local)] == [True, False]
    assert "GDAL_HTTP_TIMEOUT" in gdal_options(outer)
    assert "GDAL_HTTP_TIMEOUT" not in gdal_options(local)


def test_a_scene_that_is_written_again_is_looked_into_again(tmp_path):
    scene = str(write_vrt(tmp_path / "a.vrt", "http://host/a.tif"))
    assert is_remote(scene)
    write_vrt(tmp_path / "a.vrt", "a.tif")
    assert not is_remote(scene)
