"""The command line of info, for tilesets and files of detections."""

import json

import geopandas
import pytest
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures
from factories_tilesets import paint_image, write

import geodet
from geodet.models.description import find_model, load_description
from geodet_cli.describe import model_fields


def test_info_prints_a_tileset(tmp_path, invoke):
    for name in ("a", "b"):
        paint_image(tmp_path / "t" / f"{name}.png")
        write(tmp_path / "t" / f"{name}.txt", "0 0.5 0.5 0.25 0.5\n")
    write(tmp_path / "t" / "data.yaml", "train: a.png\nval: b.png\nnames: [car]\n")
    printed = dict(
        line.split("  ", 1) for line in invoke("info", "t").stdout.splitlines() if "  " in line
    )
    lines = {key.strip(): value.strip() for key, value in printed.items()}
    assert lines["format"] == "YOLO"
    assert lines["split"] == "of data.yaml"
    assert lines["train"] == lines["val"] == "1 image, 1 object"
    assert lines["classes"] == "car 2"
    assert lines["image sizes"] == "64 x 48 px"
    assert lines["object sizes"] == "80 % are 19.6 px, median 19.6 px"
    assert "the class 'car' has only 2 objects" in lines["warning 1"]
    assert json.loads(invoke("info", "t", "--json").stdout)["images"] == {
        "train": 1,
        "val": 1,
        "test": 0,
    }


def test_info_says_between_which_sizes_most_objects_are(tmp_path, invoke):
    """The smallest and the largest tenth are left out: they are often mistakes."""
    paint_image(tmp_path / "t" / "a.png")
    boxes = "".join(f"0 0.5 0.5 {side / 64} {side / 48}\n" for side in (1, *range(20, 30), 40))
    write(tmp_path / "t" / "a.txt", boxes)
    write(tmp_path / "t" / "data.yaml", "train: a.png\nval: a.png\nnames: [car]\n")
    (line,) = (one for one in invoke("info", "t").stdout.splitlines() if "object sizes" in one)
    assert line.endswith("  80 % are 20.1 to 28.9 px, median 24.5 px")


def test_info_of_images_without_labels_says_so(tmp_path, invoke, make_scene):
    scene = make_scene()
    printed = json.loads(invoke("info", scene.parent, "--json").stdout)
    assert "no labels recognised: 1 images without labels" in printed["labels"]
    assert printed["scene"] == str(scene)
    (tmp_path / "nothing").mkdir()
    assert "no labels recognised: no images" in invoke("info", "nothing", code=1).stderr


def test_info_says_that_no_geotransform_leads_to_a_crs(invoke, make_scene):
    make_scene(epsg=None, crs="EPSG:32611")
    printed = json.loads(invoke("info", "scene.tif", "--json").stdout)
    utm = "WGS 84 / UTM zone 11N (EPSG:32611)"
    assert printed["crs"] == f"none: {utm} is declared, but there is no geotransform"
    assert printed["gsd"] == "unknown"


def test_info_names_the_option_that_reads_outside_of_a_tileset(tmp_path, invoke):
    paint_image(tmp_path / "secret.png")
    write(tmp_path / "t" / "boxes.csv", "image,xmin,ymin,xmax,ymax\n../secret.png,1,1,9,9\n")
    refused = invoke("info", "t", code=1).stderr
    assert "secret.png is outside of the tileset t" in refused
    assert "--allow-outside" in refused
    assert json.loads(invoke("info", "t", "--allow-outside", "--json").stdout)["images"] == {
        "all": 1
    }


def test_info_prints_what_made_a_file(invoke, make_scene, tiny_path):
    make_scene(epsg=32633)
    small = ("--chip-size", "64", "--overlap", "16", "--device", "cpu")
    invoke("detect", "scene.tif", "-m", tiny_path, *small, "-o", "found.gpkg")
    printed = dict(line.split("  ", 1) for line in invoke("info", "found.gpkg").stdout.splitlines())
    lines = {key.strip(): value.strip() for key, value in printed.items()}
    assert lines["settings"] == "chip_size 64, overlap 16"
    assert lines["thresholds"].startswith("score ")
    assert len(lines["model_sha256"]) == 64
    assert lines["not examined"] == "none"
    told = json.loads(invoke("info", "found.gpkg", "--json").stdout)
    assert told["made_by"]["configuration"][0]["chip_size"] == 64
    assert f"{told['objects']:,}" == lines["objects"]


def test_info_of_a_file_without_objects_has_no_classes(tmp_path, invoke):
    columns = {"label": [], "score": []}
    geopandas.GeoDataFrame(columns, geometry=[], crs=32633).to_file(tmp_path / "none.gpkg")
    lines = [line.split() for line in invoke("info", "none.gpkg").stdout.splitlines()]
    assert ["objects", "0"] in lines
    assert ["classes", "no", "objects"] in lines


def test_info_counts_objects_without_a_class_or_a_scene(tmp_path, invoke):
    columns = {
        "label": ["car", "", None, "car"],
        "score": [0.5] * 4,
        "scene": ["a.tif", "", "", ""],
    }
    places = geopandas.points_from_xy(range(4), range(4))
    geopandas.GeoDataFrame(columns, geometry=places, crs=32633).to_file(tmp_path / "some.gpkg")
    lines = [line.split("  ") for line in invoke("info", "some.gpkg").stdout.splitlines()]
    lines = {first: last.strip() for first, *_, last in lines}
    assert lines["classes"] == "car 2, no class 2"
    assert lines["scenes"] == "no scene 3, a.tif 1"


@pytest.mark.parametrize(
    ("words", "format", "image"),
    [
        (("found.json", "coco"), "COCO results", "scene.tif"),
        (("found", "yolo"), "YOLO text", "scene"),
    ],
)
def test_info_describes_detections_in_pixels(words, format, image, invoke, make_scene, tiny_path):
    make_scene(epsg=32633)
    small = ("--chip-size", "64", "--overlap", "16", "--device", "cpu", "--score-threshold", "0.01")
    run = ("detect", "scene.tif", "-m", tiny_path, *small)
    invoke(*run, "-o", "found.gpkg")
    invoke(*run, "-o", words[0], "--format", words[1])
    about = json.loads(invoke("info", words[0], "--json").stdout)
    known = json.loads(invoke("info", "found.gpkg", "--json").stdout)
    assert about["format"] == format
    assert about["objects"] == known["objects"] > 0
    assert about["classes"] == known["classes"]
    assert about["scenes"] == {image: about["objects"]}
    assert about["scores"] == pytest.approx(known["scores"])
    assert geodet.info(words[0]).objects == about["objects"]
    lines = invoke("info", words[0]).stdout
    assert ("made by     unknown" in lines) == (format == "COCO results")


def test_info_names_the_thresholds_that_apply():
    about = load_description(find_model("thermal"))
    assert model_fields(about)["score threshold"] == about.score_threshold
    some = about.model_copy(update={"score_threshold": 0.39, "score_thresholds": {"Car": 0.333333}})
    assert model_fields(some)["score threshold"] == "Car 0.333333, others 0.39"
    own = dict.fromkeys(about.classes, 0.25)
    every = some.model_copy(update={"score_thresholds": own})
    expected = ", ".join(f"{name} 0.25" for name in about.classes)
    assert model_fields(every)["score threshold"] == expected
