import json
from pathlib import Path

import numpy as np
import pytest
from factories_tilesets import paint_frames
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodet.config import DataConfig
from geodet.errors import OutputError, TilesetError
from geodet.tilesets.coco_files import write_tileset
from geodet.tilesets.tileset import LabelledImage, Tileset, read_tileset

W, H = 64, 48


def box_lists(low, high):
    corner = st.tuples(st.floats(low, high - 2), st.floats(low, high - 2))
    side = st.tuples(st.floats(1, 30), st.floats(1, 30))
    boxes = st.builds(lambda c, s: [*c, c[0] + s[0], c[1] + s[1]], corner, side)
    return st.lists(boxes, min_size=1, max_size=4).map(lambda b: np.array(b, np.float64))


@given(boxes=box_lists(0, H), ignored=box_lists(0, 10), gsd=st.none() | st.floats(0.01, 10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_reading_gives_back_what_was_written(tmp_path, boxes, ignored, gsd):
    paths = paint_frames(tmp_path / "images", ["a.png", "b.png"])
    labels = np.arange(len(boxes)) % 2
    empty = np.zeros((0, 4))
    images = (
        LabelledImage(paths[0], W, H, boxes, labels, ignored, "here", "train", gsd),
        LabelledImage(paths[1], W, H, empty, labels[:0], empty, "there", "val", gsd),
    )
    write_tileset(Tileset(tmp_path, ("car", "bus"), images))
    tileset = read_tileset(tmp_path, DataConfig())
    assert tileset.classes == ("car", "bus")
    for read, written in zip(tileset.images, images, strict=True):
        np.testing.assert_allclose(read.boxes, written.boxes)
        np.testing.assert_allclose(read.ignored, written.ignored)
        np.testing.assert_array_equal(read.labels, written.labels)
        assert (read.path, read.place, read.split) == (written.path, written.place, written.split)
        assert read.gsd == written.gsd
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "train.json", "val.json"]


def test_written_files_are_coco(tmp_path):
    paths = paint_frames(tmp_path / "images", ["a.png"])
    boxes, crowd = np.array([[-4.0, 0, 6, 10]]), np.array([[1.0, 1, 2, 2]])
    image = LabelledImage(paths[0], W, H, boxes, np.array([1]), crowd, "p", "train", None)
    write_tileset(Tileset(tmp_path, ("car", "bus"), (image,)))
    content = json.loads((tmp_path / "train.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    assert content["images"] == [
        {"id": 1, "file_name": "images/a.png", "width": W, "height": H, "place": "p"}
    ]
    assert content["annotations"] == [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 2,
            "bbox": [0, 0, 6, 10],
            "area": 60,
            "iscrowd": 0,
            "whole_bbox": [-4, 0, 10, 10],
        },
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 1, 1, 1], "area": 1, "iscrowd": 1},
    ]
    assert json.loads((tmp_path / "val.json").read_text())["images"] == []


def test_images_elsewhere_cannot_be_written(tmp_path):
    empty = np.zeros((0, 4))
    image = LabelledImage(Path("/a.png"), W, H, empty, np.zeros(0, int), empty, "p", "train", None)
    with pytest.raises(TilesetError, match=r"a\.png does not lie in"):
        write_tileset(Tileset(tmp_path, ("car",), (image,)))
    with pytest.raises(OutputError, match="cannot write the labels"):
        write_tileset(Tileset(tmp_path / "gone", ("car",), ()))
