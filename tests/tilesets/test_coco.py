import pytest
from factories_tilesets import paint_image, write, write_coco

from geodet.errors import TilesetError
from geodet.tilesets.coco import read_coco
from geodet.tilesets.layouts import find_labels


def test_coco_boxes_become_corners(tmp_path):
    file = write_coco(tmp_path / "train.json", {"a.png": [(0, 1, 2, 3, 4), (1, 5, 5, 1, 1)]})
    labels = read_coco(file, [tmp_path])
    assert labels.classes == ("car", "bus")
    assert labels.images[0].boxes == [(1, 2, 4, 6), (5, 5, 6, 6)]
    assert labels.images[0].names == ["car", "bus"]
    assert labels.images[0].size == (64, 48)


def test_coco_crowds_are_ignored_regions(tmp_path):
    crowd = {"image_id": 1, "category_id": 10, "bbox": [0, 0, 5, 5], "iscrowd": 1}
    file = write_coco(tmp_path / "train.json", {"a.png": []}, annotations=[crowd])
    assert read_coco(file, [tmp_path]).images[0].ignored == [True]


def test_coco_groups_of_roboflow_are_no_classes(tmp_path):
    categories = [
        {"id": 0, "name": "traffic", "supercategory": "none"},
        {"id": 10, "name": "car", "supercategory": "traffic"},
        {"id": 11, "name": "bus", "supercategory": "traffic"},
    ]
    file = write_coco(tmp_path / "t.json", {"a.png": [(0, 1, 1, 1, 1)]}, categories=categories)
    assert read_coco(file, [tmp_path]).classes == ("car", "bus")


@pytest.mark.parametrize("name", ["images/a.png", "a.png"])
def test_coco_images_are_found_here_or_in_images(tmp_path, name):
    image = paint_image(tmp_path / "images" / "a.png")
    file = write_coco(tmp_path / "train.json", {name: [(0, 1, 1, 1, 1)]})
    write_coco(tmp_path / "val.json", {})
    assert find_labels(tmp_path).images[0].path == image
    assert find_labels(file).images[0].path == image


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "no list 'images', so it is not a COCO file"),
        ({"categories": [{"name": "car"}]}, "broken images or categories: KeyError"),
        ({"annotations": [{"image_id": 7, "category_id": 10}]}, "annotation 1: .*no image .* 7"),
        ({"annotations": [{"image_id": 1, "category_id": 3}]}, "annotation 1: .*no category .* 3"),
        (
            {"annotations": [{"image_id": 1, "category_id": 10, "bbox": [1, 2]}]},
            "annotation 1: broken: ValueError",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 10, "bbox": [1, 2, float("nan"), 3]}]},
            "annotation 1: the box .* is not finite",
        ),
        ({"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}, "share an id"),
    ],
)
def test_broken_coco_says_where(tmp_path, changes, message):
    file = write_coco(tmp_path / "train.json", {"a.png": []}, **changes)
    with pytest.raises(TilesetError, match=message):
        read_coco(file, [tmp_path])


def test_broken_json_names_the_file(tmp_path):
    with pytest.raises(TilesetError, match=r"train\.json: broken JSON"):
        read_coco(write(tmp_path / "train.json", "{"), [tmp_path])
