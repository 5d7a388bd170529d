"""What ``geodet tile`` did to the classes is not done again when the tiles are read."""

import json
from collections import Counter

import geopandas as gpd
import pytest
import shapely
from factories_tilesets import NORTH_UP, paint_geotiff, write_coco

from geodet.config import DataConfig, TileConfig
from geodet.errors import TilesetError
from geodet.tilesets.tile import tile_scene
from geodet.tilesets.tileset import read_tileset

CHIPS = TileConfig(chip_size=32, block_size=32, val_fraction=0.25)
SWAP = {"car": "van", "van": "car"}
AGAIN = "geodet tile has applied this data.class_map"


def cut(folder, names="car van car tree", **data):
    """Cut a scene in which each of the chips shows one object of each name."""
    scene = paint_geotiff(folder / "s.tif", width=128, height=64)
    kinds = names.split()
    boxes = [
        (x + 2 + 7 * n, y + 9, x + 7 + 7 * n, y + 14)
        for x in range(0, 128, 32)
        for y in range(0, 64, 32)
        for n in range(len(kinds))
    ]
    shapes = [shapely.box(*(NORTH_UP @ box[:2]), *(NORTH_UP @ box[2:])) for box in boxes]
    frame = gpd.GeoDataFrame({"label": kinds * 8}, geometry=shapes, crs="EPSG:32610")
    frame.to_file(folder / "l.gpkg")
    config = DataConfig(**data)
    tile_scene(scene, folder / "l.gpkg", folder / "tiles", CHIPS, config, overwrite=True)
    return folder / "tiles"


def count(tiles, **data):
    tileset = read_tileset(tiles, DataConfig(**data))
    return Counter(tileset.classes[n] for image in tileset.images for n in image.labels)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (SWAP, {"van": 16, "car": 8, "tree": 8}),
        ({"car": "vehicle", "van": "vehicle"}, {"vehicle": 24, "tree": 8}),
        ({"car": "van"}, {"van": 24, "tree": 8}),
    ],
)
def test_tiles_are_read_with_the_map_that_they_were_cut_with(tmp_path, caplog, names, expected):
    caplog.set_level("INFO")
    tiles = cut(tmp_path, class_map=names)
    assert count(tiles) == expected
    assert AGAIN not in caplog.text
    assert count(tiles, class_map=names) == expected
    assert AGAIN in caplog.text


def test_another_map_names_the_classes_of_the_tiles(tmp_path):
    tiles = cut(tmp_path, class_map={"car": "vehicle", "van": "vehicle"})
    assert count(tiles, class_map={"vehicle": "thing"}) == {"thing": 24, "tree": 8}
    assert count(tiles, class_map={"tree": "car"}) == {"vehicle": 24, "car": 8}
    with pytest.raises(TilesetError, match="no class 'car', which"):
        count(tiles, class_map={"car": "vehicle"})


def test_a_map_that_repeats_a_part_of_the_first_one_is_refused(tmp_path):
    tiles = cut(tmp_path, class_map=SWAP)
    assert count(tiles) == {"van": 16, "car": 8, "tree": 8}
    with pytest.raises(TilesetError, match="has renamed 'car' to 'van' in these tiles"):
        count(tiles, class_map=SWAP | {"tree": "plant"})


def test_only_the_part_that_was_not_cut_with_the_map_is_renamed(tmp_path):
    tiles = cut(tmp_path, class_map=SWAP)
    content = json.loads((tiles / "val.json").read_text())
    chips = len(content["images"])
    assert 0 < chips < 8
    del content["info"]
    (tiles / "val.json").write_text(json.dumps(content))
    assert count(tiles, class_map=SWAP) == {"van": 16 - chips, "car": 8 + chips, "tree": 8}


def regions(tiles, **data):
    tileset = read_tileset(tiles, DataConfig(**data))
    named = [[tileset.classes[n] for n in image.labels] for image in tileset.images]
    boxes = [(i.path.name, i.boxes.tolist(), i.ignored.tolist()) for i in tileset.images]
    return list(zip(named, boxes, strict=True))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"ignore_classes": ("tree",)}, {"car": 16, "van": 8}),
        ({"one_class": "thing"}, {"thing": 32}),
        ({"ignore_classes": ("tree", "van"), "one_class": "thing"}, {"thing": 16}),
        ({"ignore_classes": ("car",), "class_map": SWAP}, {"van": 16, "tree": 8}),
    ],
)
def test_tiles_have_the_classes_that_are_learnt(tmp_path, data, expected):
    read_with = regions(cut(tmp_path), **data)
    tiles = cut(tmp_path, **data)
    assert count(tiles) == count(tiles, **data) == expected
    assert read_tileset(tiles, DataConfig()).classes == tuple(sorted(expected))
    assert regions(tiles) == regions(tiles, **data) == read_with


def test_objects_of_ignored_classes_are_in_no_number_of_the_report(tmp_path):
    cut(tmp_path)
    data = DataConfig(ignore_classes=("car",))
    report = tile_scene(tmp_path / "s.tif", tmp_path / "l.gpkg", tmp_path / "o", CHIPS, data)
    assert (report.objects_kept, report.objects_dropped) == (16, 0)


def test_a_chip_of_ignored_objects_counts_as_empty(tmp_path):
    cut(tmp_path, "car")
    frame = gpd.read_file(tmp_path / "l.gpkg")
    frame["label"] = ["car"] * 6 + ["van"] * 2
    frame.to_file(tmp_path / "l.gpkg")
    config = CHIPS.model_copy(update={"empty_share": 0})
    data = DataConfig(ignore_classes=("van",))
    report = tile_scene(tmp_path / "s.tif", tmp_path / "l.gpkg", tmp_path / "o", config, data)
    assert (report.train + report.val, report.skipped_empty) == (6, 2)


@pytest.mark.parametrize(
    ("ignored", "message"),
    [
        (("Tree",), r"l\.gpkg has no class 'Tree' to ignore"),
        (("car", "van", "tree"), r"l\.gpkg: the 32 labels in the scenes are of ignored classes"),
    ],
)
def test_classes_that_cannot_be_ignored_are_refused(tmp_path, ignored, message):
    with pytest.raises(TilesetError, match=message):
        cut(tmp_path, ignore_classes=ignored)
    assert not (tmp_path / "tiles").exists()


def test_only_classes_that_were_ignored_may_be_missing(tmp_path):
    tiles = cut(tmp_path, ignore_classes=("tree",))
    with pytest.raises(TilesetError, match="no class 'bush' to ignore"):
        count(tiles, ignore_classes=("tree", "bush"))
    assert count(tiles, ignore_classes=("tree", "van")) == {"car": 16}
    assert count(tiles, ignore_classes=("tree",), class_map={"van": "tree"}) == {"car": 16}


@pytest.mark.parametrize(
    "broken",
    [
        {"data.class_map": {"car": 1}},
        {"data.class_map": ["car"]},
        {"data.ignore_classes": [["car"]]},
        {"data.ignore_classes": 3},
    ],
)
def test_broken_settings_in_a_file_are_refused(tmp_path, broken):
    file = write_coco(tmp_path / "t.json", {"a.png": []}, info=broken)
    with pytest.raises(TilesetError, match=r"t\.json: info: (class_map|ignore_classes)"):
        read_tileset(file, DataConfig())
