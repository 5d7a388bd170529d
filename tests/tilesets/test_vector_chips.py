"""Chips with one vector file of labels: which attribute has the class."""

import geopandas as gpd
import pytest
import shapely

import geodet
from geodet.config import DataConfig
from geodet.errors import TilesetError, VectorError
from geodet.tilesets.tileset import read_tileset
from geodet.tilesets.tileset_summary import summarise_tileset


@pytest.fixture
def chips(make_scene, tmp_path):
    folder = tmp_path / "tiles"
    (folder / "images").mkdir(parents=True)
    for number in range(2):
        origin = (500_000.0 + 500 * number, 4_500_000.0)
        make_scene(f"tiles/images/{number}.tif", origin=origin)
    boxes = [
        shapely.box(x, 4_499_980, x + 6, 4_499_986) for x in (500_010, 500_020, 500_510, 500_530)
    ]
    about = {"species": ["oak", "elm", "oak", "elm"]}
    gpd.GeoDataFrame(about, geometry=boxes, crs=32633).to_file(folder / "labels.gpkg")
    return folder


@pytest.mark.parametrize(
    ("field", "classes"), [(None, ("object",)), ("species", ("elm", "oak")), ("", ("object",))]
)
def test_the_attribute_with_the_class_may_be_named(chips, field, classes):
    tileset = read_tileset(chips, DataConfig(val=("1.tif",), label_field=field))
    assert tuple(sorted(tileset.classes)) == classes
    assert sum(len(image.boxes) for image in tileset.images) == 4


@pytest.mark.parametrize("end", [".geojson", ".shp", ".fgb", ".kml", ".gml"])
def test_labels_beside_chips_may_be_in_any_vector_format(chips, end):
    frame = gpd.read_file(chips / "labels.gpkg").rename(columns={"species": "Name"})
    (chips / "labels.gpkg").unlink()
    frame = frame.to_crs(4326) if end in (".geojson", ".kml") else frame
    frame.to_file(chips / f"labels{end}", driver={".kml": "KML", ".gml": "GML"}.get(end))
    tileset = read_tileset(chips, DataConfig(val=("1.tif",)))
    assert [len(image.boxes) for image in tileset.images] == [2, 2]
    assert tileset.classes == ("elm", "oak")


def test_objects_without_a_class_get_the_name_that_is_set(chips):
    config = DataConfig(val=("1.tif",), class_name="tree")
    assert read_tileset(chips, config).classes == ("tree",)


def test_other_labels_have_no_attribute(tmp_path, make_scene):
    (tmp_path / "images").mkdir()
    make_scene("images/a.tif")
    (tmp_path / "images" / "a.txt").write_text("0 0.5 0.5 0.1 0.1")
    (tmp_path / "images" / "classes.txt").write_text("tree")
    with pytest.raises(TilesetError, match="labels in YOLO have no attributes") as caught:
        read_tileset(tmp_path / "images", DataConfig(label_field="species"), part="all")
    assert "data.label_field" in caught.value.hint


def test_a_summary_says_once_what_looks_wrong(chips, caplog):
    summary = summarise_tileset(chips)
    said = [one for one in summary.warnings if "no attribute label" in one]
    assert len(said) == 1
    assert "no attribute label" not in caplog.text


def test_evaluating_reads_the_attribute_that_is_named(chips, make_model):
    model = make_model("tiny.safetensors")
    with pytest.raises(VectorError, match="no attribute 'sort'"):
        geodet.evaluate(model, chips, label_field="sort", split="all")
