import logging
from collections import Counter

import geopandas
import pytest
import shapely

from geodet.errors import VectorError
from geodet.tilesets.scene_labels import read_scene_labels, read_scored_objects

COUNT = 40


def save(path, **columns):
    frame = geopandas.GeoDataFrame(
        columns, geometry=[shapely.box(n, 0, n + 1, 1) for n in range(COUNT)], crs=32633
    )
    frame.to_file(path)
    return path


def species():
    return ["oak" if n % 4 else "elm" for n in range(COUNT)]


def test_the_attribute_of_the_class_and_the_others_are_named(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = save(tmp_path / "l.gpkg", label=species(), height=[1.5] * COUNT, owner=["x"] * COUNT)
    names = read_scene_labels(path, None).names
    assert Counter(names) == Counter(oak=30, elm=10)
    assert (
        "classes from the attribute 'label' (there are also height, owner): oak 30, elm 10"
        in caplog.text
    )


def test_an_attribute_with_few_values_is_proposed(tmp_path, caplog):
    path = save(
        tmp_path / "l.gpkg",
        species=species(),
        number=list(range(COUNT)),
        height=[n / 3 for n in range(COUNT)],
    )
    assert set(read_scene_labels(path, None).names) == {"object"}
    (message,) = [
        r.message
        for r in caplog.records
        if r.levelno == logging.WARNING and "--label-field" in r.message
    ]
    assert "every object is of the class 'object'" in message
    assert "species (2 values: elm, oak); the attributes are species, number, height" in message
    assert "number (" not in message
    assert "height (" not in message


@pytest.mark.parametrize("field", [None, "name"])
def test_nearly_as_many_classes_as_objects_are_refused(tmp_path, field):
    names = [f"tree no {n}" for n in range(COUNT)]
    path = save(tmp_path / "l.gpkg", name=names, species=["oak"] * COUNT)
    with pytest.raises(
        VectorError, match="40 objects have 40 classes in the attribute 'name'"
    ) as e:
        read_scene_labels(path, None, label_field=field)
    assert e.value.hint == (
        "species (1 value: oak); an empty label_field (--label-field '') takes all as one class"
    )
    assert set(read_scene_labels(path, None, label_field="species").names) == {"oak"}
    whole = read_scene_labels(path, None, label_field="", class_name="tree")
    assert set(whole.names) == {"tree"}


def test_detections_of_many_classes_are_read(tmp_path):
    names = [f"class {n}" for n in range(COUNT)]
    path = save(tmp_path / "l.gpkg", label=names, score=[0.5] * COUNT)
    assert list(read_scored_objects(path, None).objects.names) == names


def test_null_and_empty_classes_are_counted(tmp_path):
    values = [None, "", " ", *["oak"] * (COUNT - 3)]
    path = save(tmp_path / "l.gpkg", species=values)
    message = r"objects without a class .*'species': 3 \(1 NULL, 2 empty\), the first is number 1"
    with pytest.raises(VectorError, match=message):
        read_scene_labels(path, None, label_field="species")


def test_the_word_none_is_a_class_with_a_warning(tmp_path, caplog):
    path = save(tmp_path / "l.gpkg", label=["None", "None", *["oak"] * (COUNT - 2)])
    assert Counter(read_scene_labels(path, None).names) == {"None": 2, "oak": COUNT - 2}
    assert "2 objects are of the class 'None'" in caplog.text


def test_each_word_for_none_is_counted_by_itself(tmp_path, caplog):
    path = save(tmp_path / "l.gpkg", label=["nan", "None", "None", *["oak"] * (COUNT - 3)])
    read_scene_labels(path, None)
    assert "1 objects are of the class 'nan'" in caplog.text
    assert "2 objects are of the class 'None'" in caplog.text


@pytest.mark.parametrize("values", [["oak", None, " "], [7, None, None]])
def test_objects_without_a_class_are_shown(tmp_path, caplog, values):
    """Someone who has drawn them in QGIS looks for them."""
    classes = [*values, *values[:1] * (COUNT - 3)]
    path = save(tmp_path / "l.gpkg", label=classes, score=[0.5] * COUNT)
    with pytest.raises(VectorError, match="objects without a class"):
        read_scored_objects(path, None)
    names = read_scored_objects(path, None, is_shown=True).objects.names
    assert names == tuple("object" if n in (1, 2) else str(values[0]) for n in range(COUNT))
    assert "objects without a class in the attribute 'label': 2 (" in caplog.text
    assert "the first is number 2, shown as 'object'" in caplog.text


def test_an_unknown_attribute_suggests_the_nearest(tmp_path):
    path = save(tmp_path / "l.gpkg", species=species())
    with pytest.raises(VectorError, match="no attribute 'specis'") as caught:
        read_scene_labels(path, None, label_field="specis")
    assert caught.value.hint.startswith("did you mean 'species'?")


def test_a_class_that_is_a_list_is_refused(tmp_path):
    path = save(tmp_path / "l.gpkg", label=["oak"] * COUNT).with_suffix(".geojson")
    geopandas.read_file(tmp_path / "l.gpkg").to_file(path)
    path.write_text(path.read_text().replace('"label": "oak"', '"label": [1, 2]'))
    with pytest.raises(VectorError, match=r"the class of object 1 in the attribute 'label' is "):
        read_scene_labels(path, None)
