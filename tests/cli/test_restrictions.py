"""What --offline and --restricted keep a command from, proved with a server that nobody may ask."""

import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from factories_tilesets import paint_geotiff, write
from rasterio.errors import RasterioIOError

from geodet.config.recipes import resolve_config
from geodet.errors import ConfigError, SceneError, VectorError
from geodet.files.network import OFFLINE, RESTRICTED
from geodet.models.retinanet import RetinaNet
from geodet.raster.reach import check_list_reach, check_reach
from geodet.raster.scene_lists import list_scenes
from geodet.vector.formats import check_vector_exists

_ROOT = Path(__file__).parents[2]
_VARIABLES = {OFFLINE, RESTRICTED}


class _Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(404)

    do_HEAD = do_PROPFIND = do_POST = do_GET  # noqa: N815 - names of the base

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Asked) as running:
        running.asked = []
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def vrt(path, *sources, relative=0):
    bands = "".join(
        f"<SimpleSource><SourceFilename relativeToVRT='{relative}'>{name}</SourceFilename>"
        "<SourceBand>1</SourceBand><SrcRect xOff='0' yOff='0' xSize='64' ySize='48'/>"
        "<DstRect xOff='0' yOff='0' xSize='64' ySize='48'/></SimpleSource>"
        for name in sources
    )
    head = "<VRTDataset rasterXSize='64' rasterYSize='48'><SRS>EPSG:32610</SRS>"
    head += "<GeoTransform>600000,0.5,0,4000000,0,-0.5</GeoTransform>"
    band = "<VRTRasterBand dataType='Byte' band='1'>"
    return write(path, f"{head}{band}{bands}</VRTRasterBand></VRTDataset>")


READ = """
import sys, warnings
from geodet_cli.restrictions import restrict_process
restrict_process(offline=True, restricted=sys.argv[1] == "restricted")
import rasterio
warnings.simplefilter("ignore")
with rasterio.open(sys.argv[2]) as raster:
    print("opened")
    raster.read(1)
print("read")
"""


def read_raw(path, mode="offline", **environment):
    """Open a raster by GDAL alone, without any check of geodet's, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", READ, mode, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    "name",
    [
        "/vsicurl/{url}/a.tif",
        "{url}/a.tif",
        "/vsicurl_streaming/{url}/a.tif",
        "/vsizip//vsicurl/{url}/a.zip/a.tif",
        "/vsicached?file=/vsicurl/{url}/a.tif",
        'ZARR:"/vsicurl/{url}/a.zarr"',
        "WMS:{url}/wms?SERVICE=WMS",
        "WCS:{url}/wcs",
        "WMTS:{url}/wmts",
        "/vsis3/bucket/a.tif",
        "/vsigs/bucket/a.tif",
        "/vsiswift/bucket/a.tif",
        "/vsiwebhdfs/{url}/a.tif",
    ],
)
def test_gdal_asks_no_server(tmp_path, server, name):
    url = f"http://127.0.0.1:{server.server_port}"
    environment = {
        **{"AWS_S3_ENDPOINT": url[7:], "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"},
        **{"AWS_NO_SIGN_REQUEST": "YES", "GS_NO_SIGN_REQUEST": "YES", "CPL_GS_ENDPOINT": f"{url}/"},
        **{"SWIFT_STORAGE_URL": url, "SWIFT_AUTH_TOKEN": "x", "no_proxy": "127.0.0.1,localhost"},
    }
    server.asked.clear()
    assert read_raw(name.format(url=url), **environment) == []
    assert server.asked == []
    inside = vrt(tmp_path / "a.vrt", name.format(url=url).replace('"', "&quot;"))
    assert "read" not in read_raw(inside, **environment)
    assert server.asked == []


def test_gdal_would_have_asked(server, monkeypatch):
    """Without the restrictions the same reading does reach the server."""
    server.asked.clear()
    import rasterio

    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with pytest.raises(RasterioIOError):
        rasterio.open(f"/vsicurl/http://127.0.0.1:{server.server_port}/b.tif")
    assert server.asked


def test_a_pixel_function_in_python_does_not_run(tmp_path):
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w')\ndef f(*args, **kwargs): pass\n"
    band = (
        "<VRTRasterBand dataType='Byte' band='1' subClass='VRTDerivedRasterBand'>"
        "<PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        f"<PixelFunctionType>f</PixelFunctionType><PixelFunctionCode>{code}</PixelFunctionCode>"
        "</VRTRasterBand>"
    )
    path = write(
        tmp_path / "a.vrt", f"<VRTDataset rasterXSize='4' rasterYSize='4'>{band}</VRTDataset>"
    )
    assert "read" not in read_raw(path)  # GDAL's default
    assert "read" not in read_raw(path, "restricted", GDAL_VRT_ENABLE_PYTHON="YES")
    assert not mark.exists()


def test_a_raw_band_of_any_file_is_refused(tmp_path, monkeypatch):
    """GDAL before 3.12 reads it whatever its options say, so geodet looks itself."""
    secret = write(tmp_path / "secret.txt", "x" * 16)
    band = (
        "<VRTRasterBand dataType='Byte' band='1' subClass='VRTRawRasterBand'>"
        f"<SourceFilename relativeToVRT='0'>{secret}</SourceFilename><ImageOffset>0</ImageOffset>"
        "<PixelOffset>1</PixelOffset><LineOffset>4</LineOffset></VRTRasterBand>"
    )
    path = write(
        tmp_path / "v" / "a.vrt",
        f"<VRTDataset rasterXSize='4' rasterYSize='4'>{band}</VRTDataset>",
    )
    monkeypatch.setenv(RESTRICTED, "1")
    with pytest.raises(SceneError, match=r"a\.vrt reads .*secret\.txt, which is not in its folder"):
        check_reach(str(path))


@pytest.fixture
def scenes(tmp_path):
    """Provide virtual rasters of files in their folder and elsewhere, and of a server."""
    paint_geotiff(tmp_path / "here" / "a.tif")
    paint_geotiff(tmp_path / "far" / "b.tif")
    made = {
        "inside": vrt(tmp_path / "here" / "inside.vrt", "a.tif", relative=1),
        "outside": vrt(tmp_path / "here" / "outside.vrt", tmp_path / "far" / "b.tif"),
        "remote": vrt(tmp_path / "here" / "remote.vrt", "/vsicurl/http://127.0.0.1:1/c.tif"),
        "packed": vrt(tmp_path / "here" / "packed.vrt", f"/vsizip/{tmp_path}/far.zip/b.tif"),
    }
    return {name: str(path) for name, path in made.items()}


def test_scenes_are_refused_by_what_they_reach(scenes, monkeypatch):
    for scene in scenes.values():
        check_reach(scene)
    monkeypatch.setenv(OFFLINE, "1")
    for name in ("inside", "outside", "packed"):
        check_reach(scenes[name])
    with pytest.raises(SceneError, match=r"remote\.vrt reads /vsicurl/.* over the network"):
        check_reach(scenes["remote"])
    with pytest.raises(SceneError, match=r"http://host/a\.tif is read over the network"):
        check_reach("http://host/a.tif")
    monkeypatch.setenv(RESTRICTED, "yes")
    monkeypatch.delenv(OFFLINE)
    check_reach(scenes["inside"])
    for name, reads in (("outside", r"b\.tif"), ("packed", "/vsizip/"), ("remote", "/vsicurl/")):
        with pytest.raises(SceneError, match=rf"{name}\.vrt reads .*{reads}"):
            check_reach(scenes[name])
    monkeypatch.setenv(RESTRICTED, "0")
    check_reach(scenes["outside"])


def test_what_scenes_reach_is_said_in_one_line(scenes, caplog):
    caplog.set_level("INFO")
    list_scenes([scenes["inside"]])
    assert caplog.messages == [f"{scenes['inside']} reads 1 other files, all in its folder"]
    caplog.clear()
    list_scenes([*scenes.values(), scenes["inside"].replace("inside.vrt", "a.tif")])
    (line,) = caplog.messages
    assert line.startswith("4 of 5 scenes read 2 other files, 1 elsewhere, such as ")
    assert "1 addresses or services of the network, such as /vsicurl/" in line


def test_a_list_that_leaves_its_folder_is_announced_or_refused(
    tmp_path, scenes, monkeypatch, caplog
):
    caplog.set_level("INFO")
    inner = write(tmp_path / "here" / "inner.txt", "a.tif\n")
    outer = write(tmp_path / "here" / "outer.txt", "a.tif\n../far/b.tif\n")
    remote = write(tmp_path / "here" / "remote.txt", "http://127.0.0.1:1/c.tif\n")
    list_scenes([f"@{inner}"])
    assert not caplog.messages
    list_scenes([f"@{outer}"])
    assert "names 2 scenes, 1 of them outside of its folder and 0 on the network" in caplog.text
    monkeypatch.setenv(OFFLINE, "1")
    list_scenes([f"@{outer}"])
    with pytest.raises(SceneError, match=r"remote\.txt names http://.*, which is read over"):
        list_scenes([f"@{remote}"])
    monkeypatch.setenv(RESTRICTED, "1")
    list_scenes([f"@{inner}"])
    with pytest.raises(SceneError, match=r"outer\.txt names .*b\.tif, which is not in its folder"):
        list_scenes([f"@{outer}"])


def test_a_folder_with_a_link_to_a_scene_elsewhere_is_refused(tmp_path, scenes, monkeypatch):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "b.tif").symlink_to(tmp_path / "far" / "b.tif")
    list_scenes([str(tmp_path / "links")])
    monkeypatch.setenv(RESTRICTED, "1")
    with pytest.raises(SceneError, match="which is not in its folder"):
        list_scenes([str(tmp_path / "links")])
    check_list_reach(tmp_path / "far", [str(tmp_path / "far" / "b.tif")])


def test_labels_and_first_weights_are_not_fetched_offline(tmp_path, monkeypatch):
    monkeypatch.setenv(OFFLINE, "1")
    with pytest.raises(VectorError, match="read over the network, which is not allowed offline"):
        check_vector_exists("https://host/labels.gpkg")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = resolve_config(settings={"model.backbone": "resnet18"}).model
    with pytest.raises(ConfigError, match="nothing is downloaded offline"):
        RetinaNet(model, bands=3, classes=1, weights="IMAGENET1K_V1")


def test_the_program_takes_the_options_before_the_command(scenes, invoke):
    done = subprocess.run(
        [sys.executable, "-m", "geodet", "--restricted", "info", scenes["outside"]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "which is not in its folder" in done.stderr
    assert "--restricted" in done.stderr
    refused = invoke("detect", "--offline", scenes["inside"], "-o", "a.gpkg", code=2).stderr
    assert "--offline goes before the command: geodet --offline detect" in refused
    assert "1 other files, 1 elsewhere" in invoke("info", scenes["outside"]).stdout


def test_the_variables_do_the_same(scenes):
    done = subprocess.run(
        [sys.executable, "-m", "geodet", "info", scenes["remote"]],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {OFFLINE: "1"},
    )
    assert done.returncode == 1
    assert "not allowed offline" in " ".join(done.stderr.split())


def test_variables_of_the_code_and_of_the_pages_are_those_in_the_list():
    name = re.compile(r"\bGEODET_[A-Z_]*[A-Z]\b")
    code = [*(_ROOT / "geodet").rglob("*.py"), *(_ROOT / "cli").rglob("*.py")]
    pages = [*(_ROOT / "docs").rglob("*.md"), _ROOT / "README.md"]
    for files, misspelt in ((code, {"GEODET_OFLINE", "GEODET_VERSION"}), (pages, set())):
        found = {word for file in files for word in name.findall(file.read_text("utf-8"))}
        assert found - misspelt == _VARIABLES


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("GEODET_OFLINE", OFFLINE),
        ("GEODET_RESTRICT", RESTRICTED),
        ("GEODET_VERSION", None),
        (OFFLINE, None),
    ],
)
def test_a_misspelt_variable_is_warned_of_once(invoke, monkeypatch, name, known):
    for other in _VARIABLES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "0")
    told = [f"warning: {name} is not read: did you mean {known}?"] if known else []
    lines = invoke("config").stderr.splitlines()
    assert [line for line in lines if line.startswith("warning:")] == told
