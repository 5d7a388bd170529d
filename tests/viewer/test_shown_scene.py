"""What the map shows of files."""

import json

import numpy as np
import pytest

from geodet.errors import VectorError
from geodet.raster.scene import Scene
from geodet.vector.palette import class_colour
from geodet.viewer.shown_scene import read_shown_scene


def test_objects_have_the_classes_and_colours_of_a_preview(shown):
    layer = shown.layers["objects"]
    assert layer.classes == ("palm", "tree")
    assert layer.colours == (class_colour(0), class_colour(1))
    assert layer.describe(1)["attributes"]["note"] == "b"
    np.testing.assert_allclose(layer.describe(0)["box_px"], [10, 10, 20, 22], atol=1e-6)


def test_errors_are_one_layer_of_three_kinds(shown):
    layer = shown.layers["errors"]
    assert layer.classes == ("false positive", "miss", "true positive")
    assert layer.counts(0, None, np.ones(3, bool)).by_class == [1, 1, 2]
    kinds = [layer.describe(row)["label"] for row in range(4)]
    assert kinds == ["false positive", "miss", "true positive", "true positive"]
    assert layer.describe(1)["score"] is None
    assert layer.describe(0)["score"] == 0.25


def test_the_page_is_told_of_the_scene_and_its_layers(shown):
    about = json.loads(json.dumps(shown.describe(), allow_nan=False))
    assert about["scene"]["width"] == 96
    assert about["scene"]["gsd"] == pytest.approx(0.6, rel=1e-3)
    assert about["frame"]["own_grid"] == ""
    assert [layer["name"] for layer in about["layers"]] == ["objects", "errors"]
    assert about["layers"][0]["count"] == 4
    assert about["layers"][0]["classes"][1] == {"name": "tree", "colour": "#56b4e9"}
    mesh = np.array(about["frame"]["mesh"])
    np.testing.assert_allclose(shown.frame.to_pixels(mesh[-1, -1]), [96, 80], atol=1e-4)


def test_a_photograph_is_shown_in_its_own_pixels(make_scene, tmp_path):
    path = make_scene("photo.jpg", epsg=None)
    (tmp_path / "found.csv").write_text(
        'label,score,geometry\na,0.5,"POLYGON ((10 -30, 20 -30, 20 -10, 10 -10, 10 -30))"\n'
    )
    with Scene(path) as scene:
        found = read_shown_scene(scene, tmp_path / "found.csv")
    assert found.describe()["frame"]["own_grid"] == "the scene has no CRS"
    np.testing.assert_allclose(found.layers["objects"].describe(0)["box_px"], [10, 10, 20, 30])


@pytest.mark.parametrize("score", ["", "score,"])
def test_objects_without_scores_show_none(make_scene, tmp_path, score):
    value = score and "0.5,"
    ring = '"POLYGON ((10 -30, 20 -30, 20 -10, 10 -10, 10 -30))"'
    (tmp_path / "found.csv").write_text(f"label,{score}geometry\na,{value}{ring}\n")
    with Scene(make_scene("photo.jpg", epsg=None)) as scene:
        found = read_shown_scene(scene, tmp_path / "found.csv")
    (layer,) = found.describe()["layers"]
    assert layer["has_scores"] == bool(score)
    assert found.layers["objects"].describe(0)["score"] == (0.5 if score else None)


def test_a_scene_alone_has_no_layers(make_scene):
    with Scene(make_scene()) as scene:
        assert read_shown_scene(scene, None).describe()["layers"] == []


def test_a_file_without_errors_is_refused(shown_files):
    path, objects, _ = shown_files
    with Scene(path) as scene, pytest.raises(VectorError, match="none of the layers"):
        read_shown_scene(scene, objects, objects)
