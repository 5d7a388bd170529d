"""Each mistake of a user gives an error with a hint and exit code 1, and changes no file."""

import contextlib
import sys

import geopandas
import numpy as np
import pytest
import rasterio
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures
from full_disk import largest_file
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

SENTINEL = b"what was here before"


def text_file(folder, make_scene):
    (folder / "notes.tif").write_text("not a raster")
    return ["detect", folder / "notes.tif", "-o", "out.gpkg"]


def missing_scene(folder, make_scene):
    return ["detect", folder / "nothing.tif", "-o", "out.gpkg"]


def truncated_scene(folder, make_scene):
    scene = make_scene("whole.tif", width=256, height=256)
    data = scene.read_bytes()
    (folder / "cut.tif").write_bytes(data[: len(data) // 2])
    return ["detect", folder / "cut.tif", "-o", "out.gpkg"]


def no_georeference(folder, make_scene):
    return ["detect", make_scene(epsg=None), "-o", "out.gpkg", "--require-crs"]


def too_few_bands(folder, make_scene):
    return ["detect", make_scene(bands=1), "-o", "out.gpkg"]


def band_that_is_not_there(folder, make_scene):
    return ["detect", make_scene(bands=3), "-o", "out.gpkg", "--bands", "1,2,9"]


def wrong_number_of_named_bands(folder, make_scene):
    return ["detect", make_scene(bands=4), "-o", "out.gpkg", "--bands", "1,2"]


def missing_model(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--model", "urban-tree"]


def text_as_model(folder, make_scene):
    (folder / "model.safetensors").write_text("not a model")
    return ["detect", make_scene(), "-o", "out.gpkg", "--model", folder / "model.safetensors"]


def another_programs_model(folder, make_scene):
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3, np.float32)}, folder / "other.safetensors")
    return ["detect", make_scene(), "-o", "out.gpkg", "--model", folder / "other.safetensors"]


def unknown_extension(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.tab"]


def missing_output_folder(folder, make_scene):
    return ["detect", make_scene(), "-o", "nowhere/out.gpkg"]


def existing_output(folder, make_scene):
    (folder / "old.gpkg").write_bytes(SENTINEL)
    return ["detect", make_scene(), "-o", "old.gpkg"]


def existing_preview(folder, make_scene):
    (folder / "old.png").write_bytes(SENTINEL)
    return ["detect", make_scene(), "-o", "out.gpkg", "--preview", "old.png"]


def no_cuda(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--device", "cuda:99"]


def unknown_device(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--device", "gpu"]


def unknown_key(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--set", "detect.chipsize=3"]


def key_of_another_command(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--set", "train.epochs=3"]


def unknown_recipe(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--config", "urban-tree"]


def broken_recipe(folder, make_scene):
    (folder / "bad.toml").write_text("[detect\n")
    return ["detect", make_scene(), "-o", "out.gpkg", "--config", "bad.toml"]


def mixed_georeferences(folder, make_scene):
    return ["detect", make_scene("a.tif"), make_scene("b.tif", epsg=None), "-o", "out.gpkg"]


def pictures_into_a_full_folder(folder, make_scene):
    (folder / "looks").mkdir()
    (folder / "looks" / "mine.jpg").touch()
    return ["detect", make_scene(), "-o", "out.gpkg", "--preview", "looks"]


def some_pictures_of_no_folder(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--only-with-objects"]


def format_of_a_single_picture(folder, make_scene):
    preview = ["--preview", "look.png", "--preview-format", "webp"]
    return ["detect", make_scene(), "-o", "out.gpkg", *preview]


def empty_tileset(folder, make_scene):
    (folder / "tiles").mkdir()
    return ["train", "--data", "tiles", "-o", "m.safetensors"]


def missing_tileset(folder, make_scene):
    return ["train", "--data", "tiles", "-o", "m.safetensors"]


def _yolo(folder, *lines):
    (folder / "tiles").mkdir()
    for index in range(4):
        Image.new("RGB", (64, 64)).save(folder / "tiles" / f"{index}.png")
        (folder / "tiles" / f"{index}.txt").write_text("\n".join(lines))
    (folder / "tiles" / "classes.txt").write_text("car\n")


def label_outside_its_image(folder, make_scene):
    _yolo(folder, "0 1.9 0.5 0.1 0.1")
    return ["train", "--data", "tiles", "-o", "m.safetensors"]


def class_without_a_name(folder, make_scene):
    _yolo(folder, "7 0.5 0.5 0.1 0.1")
    return ["train", "--data", "tiles", "-o", "m.safetensors"]


def model_without_suffix(folder, make_scene):
    _yolo(folder, "0 0.5 0.5 0.1 0.1")
    return ["train", "--data", "tiles", "-o", "model.pt"]


def nothing_to_resume(folder, make_scene):
    _yolo(folder, "0 0.5 0.5 0.2 0.2")
    return ["train", "--data", "tiles", "-o", "m.safetensors", "--resume"]


def class_that_the_model_lacks(folder, make_scene):
    _yolo(folder, "0 0.5 0.5 0.2 0.2", "1 0.2 0.2 0.2 0.2")
    (folder / "tiles" / "classes.txt").write_text("car\nboat\n")
    return ["evaluate", "--data", "tiles", "--model", "TINY"]


def labels_that_are_not_there(folder, make_scene):
    return ["tile", make_scene(), "--labels", "nothing.gpkg", "-o", "tiles"]


def labels_that_are_a_raster(folder, make_scene):
    scene = make_scene()
    return ["tile", scene, "--labels", scene, "-o", "tiles"]


def info_of_nothing(folder, make_scene):
    return ["info", "nothing.tif"]


def output_on_a_read_only_disk(folder, make_scene):
    return ["detect", make_scene(), "-o", "/proc/out.gpkg"]


def full_disk(folder, make_scene):
    (folder / "old.gpkg").write_bytes(SENTINEL)
    return ["detect", make_scene(), "-o", "old.gpkg", "--overwrite"]


def one_output_twice(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "-o", folder / "out.gpkg"]


def preview_over_the_scene(folder, make_scene):
    Image.new("RGB", (64, 64)).save(folder / "scene.png")
    preview = ["--preview", folder / "scene.png"]
    return ["detect", "scene.png", "-o", "out.gpkg", *preview, "--overwrite"]


def bands_of_several_types(folder, make_scene):
    make_scene("a.tif", bands=1, width=64, height=64)
    make_scene("b.tif", bands=1, width=64, height=64, dtype="uint16")
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{file}.tif</SourceFilename></SimpleSource>'
        "</VRTRasterBand>"
        for band, kind, file in ((1, "Byte", "a"), (2, "UInt16", "b"), (3, "Byte", "a"))
    )
    vrt = f'<VRTDataset rasterXSize="64" rasterYSize="64">{bands}</VRTDataset>'
    (folder / "mixed.vrt").write_text(vrt)
    return ["detect", folder / "mixed.vrt", "-o", "out.gpkg"]


def range_that_falls(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--set", "detect.value_range=[9, 9]"]


def gsd_out_of_reach(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--set", "detect.gsd=1e9"]


def gsd_without_end(folder, make_scene):
    return ["detect", make_scene(), "-o", "out.gpkg", "--set", "detect.gsd=inf"]


def a_late_scene_with_too_few_bands(folder, make_scene):
    return ["detect", make_scene("a.tif"), make_scene("b.tif", bands=1), "-o", "out.gpkg"]


CASES = {
    one_output_twice: "would be written twice",
    preview_over_the_scene: "is an input and would be overwritten",
    bands_of_several_types: "uint16 and uint8 values",
    range_that_falls: "9 must be below 9",
    gsd_out_of_reach: "cannot be resampled to the",
    gsd_without_end: "finite",
    a_late_scene_with_too_few_bands: "b.tif has 1 bands",
    full_disk: "cannot write",
    text_file: "as a raster",
    missing_scene: "no such file",
    truncated_scene: "cut.tif",
    no_georeference: "no CRS",
    too_few_bands: "1 bands",
    band_that_is_not_there: "no band 9",
    wrong_number_of_named_bands: "2 bands",
    missing_model: "urban-tree",
    text_as_model: "not a model file",
    another_programs_model: "without geodet's description",
    unknown_extension: "out.tab",
    missing_output_folder: "nowhere",
    existing_output: "old.gpkg",
    existing_preview: "old.png",
    no_cuda: "cuda:99",
    unknown_device: "'gpu'",
    unknown_key: "detect.chipsize",
    key_of_another_command: "'train'",
    unknown_recipe: "urban-tree",
    broken_recipe: "bad.toml",
    mixed_georeferences: "no CRS",
    pictures_into_a_full_folder: "looks is not empty",
    some_pictures_of_no_folder: "without a folder of pictures",
    format_of_a_single_picture: "webp is given without a folder",
    empty_tileset: "tiles",
    missing_tileset: "tiles",
    label_outside_its_image: "outside",
    class_without_a_name: "class 7",
    model_without_suffix: "model.pt",
    nothing_to_resume: "nothing to resume",
    class_that_the_model_lacks: "car",
    labels_that_are_not_there: "nothing.gpkg",
    labels_that_are_a_raster: "scene.tif",
    info_of_nothing: "nothing.tif",
    output_on_a_read_only_disk: "/proc",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_mistake_is_an_error_with_a_hint_and_changes_no_file(
    case, tmp_path, make_scene, tiny_path, invoke
):
    if case is output_on_a_read_only_disk and not sys.platform.startswith("linux"):
        pytest.skip("needs /proc, a folder where nobody can write")
    arguments = [str(part).replace("TINY", str(tiny_path)) for part in case(tmp_path, make_scene)]
    if arguments[0] == "detect" and "--model" not in arguments:
        arguments += ["--model", str(tiny_path)]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with largest_file(20_000) if case is full_disk else contextlib.nullcontext():
        done = invoke(*arguments, code=1)
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    assert CASES[case] in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after.items() >= before.items()
    kept = ".partial" if case is full_disk else ".run"  # what another run goes on from
    made = after.keys() - before.keys()
    assert [path for path in made if kept not in {folder.suffix for folder in path.parents}] == []


def test_a_scene_without_a_crs_is_a_warning_by_default(make_scene, tiny_path, invoke):
    scene = make_scene(epsg=None)
    done = invoke("detect", scene, "-o", "out.gpkg", "--model", tiny_path)
    assert "no CRS" in done.stderr
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(scene) as raster:
        assert raster.crs is None


def test_of_several_scenes_one_whose_name_is_not_utf8_is_left_out(
    make_scene, tiny_path, invoke, tmp_path
):
    (tmp_path / "flight").mkdir()
    whole = make_scene("flight/b.tif")
    try:
        (tmp_path / "flight" / "caf\udce9.tif").write_bytes(whole.read_bytes())
    except OSError:
        pytest.skip("the file system takes no such names")
    done = invoke("detect", "flight", "-o", "out.gpkg", "-m", tiny_path, "--device", "cpu", code=3)
    assert "caf\\udce9.tif has a name that is not UTF-8" in done.stderr
    assert "Traceback" not in done.stderr
    rows = (tmp_path / "out.gpkg.scenes.csv").read_text(encoding="utf-8")
    assert "caf\\udce9.tif" in rows
    assert set(geopandas.read_file(tmp_path / "out.gpkg", layer="detections")["scene"]) == {"b.tif"}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("detect", "scene.tif", "-o", ""), "--output"),
        (("tile", "scene.tif", "--labels", "", "-o", "tiles"), "--labels"),
        (("count", "", "--grid", "50"), "DETECTIONS"),
        (("compare", "a.gpkg", ""), "AFTER"),
        (("info", ""), "PATH"),
        (("view", ""), "SCENE"),
        (("train", "--data=", "-o", "a.safetensors"), "--data"),
    ],
)
def test_an_empty_text_is_not_the_current_folder(invoke, words, name):
    assert f"{name} is empty: name a file, or omit the option" in invoke(*words, code=2).stderr


def test_a_date_that_is_none_is_refused_before_anything_else(invoke, make_scene, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1.5")
    done = invoke("info", make_scene(), code=1)
    assert done.stderr.startswith("error: SOURCE_DATE_EPOCH is '1.5', not a whole number of sec")


@pytest.mark.parametrize("command", ["detect", "config", "train"])
def test_two_recipes_are_refused_since_one_would_be_ignored(invoke, command):
    words = (command, "-c", "small-objects", "--config", "fast-cpu")
    message = "--config takes one value and is given 2 times: keep one, and set other keys with"
    assert message in invoke(*words, code=2).stderr


@pytest.mark.parametrize("command", ["detect", "plan"])
def test_an_empty_name_of_a_model_is_not_the_current_folder(invoke, command):
    told = invoke(command, "scene.tif", "--model", "", code=2).stderr
    assert "--model is empty: name a file, or omit the option" in told
