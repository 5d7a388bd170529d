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


@pytest.mark.parametrize("broken", ["{car=van}", {"car": 1}, ["car"]])
def test_a_map_in_a_file_that_is_none_is_refused(tmp_path, broken):
    file = write_coco(tmp_path / "t.json", {"a.png": []}, info={"data.class_map": broken})
    with pytest.raises(TilesetError, match=r"data\.class_map of info is .*, which is no map"):
        read_tileset(file, DataConfig())
