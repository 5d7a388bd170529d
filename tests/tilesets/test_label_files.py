"""One file of labels for all scenes, one for each, and a folder of them."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from hypothesis import given
from hypothesis import strategies as st
from test_tile_areas import CHIPS, TOP, UTM, WEST, paint, spread
from test_tile_areas import label as draw

from geodet.config import DataConfig, TileConfig
from geodet.errors import TilesetError
from geodet.tilesets.label_files import pair_labels
from geodet.tilesets.tile import tile_scene
from geodet.tilesets.tileset import read_tileset

EAST = WEST + 1000


def write(path, boxes, kinds, west=WEST):
    x1, y1, x2, y2 = np.array(boxes, np.float64).reshape(-1, 4).T
    shapes = shapely.box(west + x1 / 2, TOP - y2 / 2, west + x2 / 2, TOP - y1 / 2)
    gpd.GeoDataFrame({"label": list(kinds)}, geometry=shapes, crs=UTM).to_file(path)
    return path


@pytest.fixture
def flights(tmp_path):
    """Provide two scenes, the labels of each, and those of both in one file."""
    scenes = [paint(tmp_path / "a.tif"), paint(tmp_path / "b.tif", west=EAST)]
    boxes = spread()
    half = len(boxes) // 2
    (tmp_path / "labels").mkdir()
    each = [
        write(tmp_path / "labels" / "a.gpkg", boxes[:half], ["oak"] * half),
        write(tmp_path / "labels" / "b.geojson", boxes[half:], ["elm"] * half, west=EAST),
    ]
    frames = [gpd.read_file(file).to_crs(UTM) for file in each]
    both = tmp_path / "both.gpkg"
    gpd.pd.concat(frames).to_file(both)
    return scenes, each, both


def cut(scenes, labels, output):
    return tile_scene(scenes, labels, output, TileConfig(**CHIPS), DataConfig())


def contents(folder):
    tileset = read_tileset(folder, DataConfig())
    return tileset.classes, [
        (i.path.name, i.split, i.place, i.boxes.round(4).tolist(), i.labels.tolist())
        for i in tileset.images
    ]


def test_a_file_for_each_scene_gives_the_chips_of_one_file_for_all(flights, tmp_path):
    scenes, each, both = flights
    whole = cut(scenes, both, tmp_path / "one")
    assert cut(scenes, each, tmp_path / "each") == whole
    assert cut(scenes, each[0].parent, tmp_path / "folder") == whole
    assert whole.objects_kept > 100
    expected = contents(tmp_path / "one")
    assert expected[0] == ("elm", "oak")
    assert contents(tmp_path / "each") == contents(tmp_path / "folder") == expected


def as_dataset(folder, files):
    """Write the labels of files as detect writes what it found, by scene."""
    folder.mkdir()
    for file in files:
        gpd.read_file(file).to_crs(UTM).to_parquet(folder / f"scene-{file.stem}.parquet")
    return folder


def test_a_dataset_gives_the_chips_of_one_file_for_all(flights, tmp_path):
    scenes, each, both = flights
    whole = cut(scenes, both, tmp_path / "one")
    dataset = as_dataset(tmp_path / "found", each)
    assert cut(scenes, dataset, tmp_path / "dataset") == whole
    assert contents(tmp_path / "dataset") == contents(tmp_path / "one")


def test_a_folder_of_files_with_the_names_of_scenes_is_no_dataset(flights, tmp_path):
    dataset = as_dataset(tmp_path / "found", flights[1])
    paths = pair_labels(dataset, ["scene-b.tif", "scene-a.tif"])
    assert [path.name for path in paths] == ["scene-b.parquet", "scene-a.parquet"]
    with pytest.raises(TilesetError, match=r"no vector file for c\.tif"):
        pair_labels(dataset, ["scene-a.tif", "c.tif"])


def test_the_files_belong_to_the_scenes_in_their_order(flights, tmp_path):
    scenes, each, _ = flights
    with pytest.raises(
        TilesetError, match=r"none of the \d+ labels in .*b.geojson lies in .*a.tif"
    ):
        cut(scenes, each[::-1], tmp_path / "out")


def test_a_scene_may_have_an_empty_file(flights, tmp_path):
    scenes, each, _ = flights
    empty = write(tmp_path / "none.gpkg", [], [])
    report = cut(scenes, [each[0], empty], tmp_path / "out")
    assert report.classes == ("oak",)
    names = {image.path.name[0] for image in read_tileset(tmp_path / "out", DataConfig()).images}
    assert names == {"a", "b"}


def test_files_without_any_object_are_refused(flights, tmp_path):
    scenes, *_ = flights
    empty = [write(tmp_path / name, [], []) for name in ("n.gpkg", "m.gpkg")]
    with pytest.raises(TilesetError, match="the 2 files of labels have no labels"):
        cut(scenes, empty, tmp_path / "out")


@given(st.integers(2, 5), st.integers(1, 6))
def test_as_many_files_as_scenes_or_one(files, scenes):
    labels = [Path(f"{n}.gpkg") for n in range(files)]
    paths = [f"{n}.tif" for n in range(scenes)]
    assert pair_labels(labels[0], paths) == (labels[0],) * scenes
    if files == scenes:
        assert pair_labels(labels, paths) == tuple(labels)
    else:
        with pytest.raises(TilesetError, match=f"{files} files of labels are given for {scenes}"):
            pair_labels(labels, paths)


def test_a_folder_without_or_with_two_files_of_a_scene_is_refused(flights, tmp_path):
    scenes, each, _ = flights
    folder = each[0].parent
    (tmp_path / "labels" / "a.csv").write_text("x,y\n")
    with pytest.raises(TilesetError, match=r"several vector files for .*a\.tif: a\.csv, a\.gpkg"):
        pair_labels(folder, [str(scenes[0])])
    with pytest.raises(TilesetError, match=r"no vector file for .*c\.tif"):
        pair_labels(folder, [str(tmp_path / "c.tif")])


def test_labels_are_repeated_on_the_command_line(flights, tmp_path, invoke):
    scenes, each, both = flights
    settings = [f"tile.{key}={value}" for key, value in CHIPS.items()]
    options = [part for text in settings for part in ("--set", text)]
    labels = [part for file in each for part in ("--labels", file)]
    invoke("tile", *scenes, *labels, "-o", tmp_path / "each", *options)
    invoke("tile", *scenes, "--labels", both, "-o", tmp_path / "one", *options)
    assert contents(tmp_path / "each") == contents(tmp_path / "one")
    drawn = draw(tmp_path / "c.gpkg", spread())
    message = invoke(
        "tile", *scenes, *labels, "--labels", drawn, "-o", tmp_path / "three", code=1
    ).stderr
    assert "3 files of labels are given for 2 scenes" in message


def test_a_folder_of_labels_is_not_left_by_a_link(tmp_path, flights):
    scenes, _ = flights[:2]
    far = (tmp_path / "labels" / "a.gpkg").rename(tmp_path / "far.gpkg")
    (tmp_path / "labels" / "a.gpkg").symlink_to(far)
    with pytest.raises(TilesetError, match=r"a\.gpkg is outside of the tileset .*: it leads to"):
        pair_labels(tmp_path / "labels", list(map(str, scenes)))
    paths = pair_labels(tmp_path / "labels", list(map(str, scenes)), allow_outside=True)
    assert [path.name for path in paths] == ["a.gpkg", "b.geojson"]


def test_a_dataset_is_not_left_by_a_link(tmp_path, flights):
    scenes, each, _ = flights
    dataset = as_dataset(tmp_path / "found", each)
    far = (dataset / "scene-b.parquet").rename(tmp_path / "far.parquet")
    (dataset / "scene-b.parquet").symlink_to(far)
    with pytest.raises(TilesetError, match=r"scene-b\.parquet is outside of the tileset"):
        pair_labels(dataset, list(map(str, scenes)))
    paths = pair_labels(dataset, list(map(str, scenes)), allow_outside=True)
    assert paths == (dataset, dataset)
