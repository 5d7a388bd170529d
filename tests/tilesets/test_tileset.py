import re
from collections import Counter

import numpy as np
import pytest
from factories_tilesets import (
    paint_frames,
    paint_geotiff,
    paint_image,
    shared_data,
    some_trees,
    write,
    write_coco,
    write_voc,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.tilesets.label_boxes import point_box_sides
from geodet.tilesets.tileset import read_tileset

POINTS = DataConfig(box_size_px=6)
W, H = 64, 48


def read_points(folder, rows, config=POINTS):
    write(folder / "points.csv", "image,x,y,label\n" + "\n".join(rows))
    return read_tileset(folder, config)


def coco_pair(folder, train, val=(), **options):
    """Write a COCO tileset of two frames, with the objects of each."""
    paint_frames(folder / "images", ["a.png", "b.png"])
    write_coco(folder / "train.json", {"a.png": list(train)}, **options)
    write_coco(folder / "val.json", {"b.png": list(val)}, **options)
    return folder


def name_splits(tileset):
    return {image.path.name: image.split for image in tileset.images}


def test_images_have_boxes_labels_and_sizes(tmp_path):
    tileset = read_tileset(coco_pair(tmp_path, [(1, 2, 3, 10, 20)]), DataConfig(gsd=0.5))
    (image,) = tileset.split("train")
    assert tileset.classes == ("car", "bus")
    assert (image.width, image.height, image.gsd) == (W, H, 0.5)
    np.testing.assert_array_equal(image.boxes, [[2, 3, 12, 23]])
    np.testing.assert_array_equal(image.labels, [1])
    assert image.boxes.dtype == np.float64
    assert image.labels.dtype == np.int64
    assert image.ignored.shape == (0, 4)
    assert tileset.split("val")[0].boxes.shape == (0, 4)


def test_yolo_shares_become_pixels(tmp_path):
    paint_frames(tmp_path, ["a.png", "b.png"])
    write(tmp_path / "a.txt", "0 0.5 0.5 0.25 0.5")
    write(tmp_path / "b.txt", "")
    write(tmp_path / "classes.txt", "car")
    tileset = read_tileset(tmp_path, DataConfig())
    np.testing.assert_array_equal(tileset.images[0].boxes, [[24, 12, 40, 36]])


def test_boxes_are_clipped_and_those_without_area_dropped(tmp_path, caplog):
    boxes = [(0, -5, -5, 10, 10), (0, 60, 40, 20, 20), (0, 3, 3, 0, 5), (0, W, 1, 4, 4)]
    tileset = read_tileset(coco_pair(tmp_path, boxes), DataConfig())
    np.testing.assert_array_equal(tileset.images[0].boxes, [[0, 0, 5, 5], [60, 40, W, H]])
    assert "2 boxes have no area inside of their image and are dropped" in caplog.text
    assert "train.json" in caplog.text


def test_ignored_classes_and_crowds_become_ignored_regions(tmp_path):
    crowd = {"image_id": 1, "category_id": 10, "bbox": [0, 0, 9, 9], "iscrowd": 1}
    objects = [
        {"image_id": 1, "category_id": 11, "bbox": [1, 1, 2, 2]},
        {"image_id": 1, "category_id": 12, "bbox": [3, 3, 2, 2]},
        crowd,
    ]
    coco_pair(tmp_path, [], classes=("car", "rest", "bus"))
    write_coco(tmp_path / "train.json", {"a.png": []}, ("car", "rest", "bus"), annotations=objects)
    tileset = read_tileset(tmp_path, DataConfig(ignore_classes=("rest",)))
    assert tileset.classes == ("car", "bus")
    np.testing.assert_array_equal(tileset.images[0].boxes, [[3, 3, 5, 5]])
    np.testing.assert_array_equal(tileset.images[0].labels, [1])
    np.testing.assert_array_equal(tileset.images[0].ignored, [[1, 1, 3, 3], [0, 0, 9, 9]])


@given(x=st.integers(0, W - 1), y=st.integers(0, H - 1), side=st.floats(0.1, 500))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_the_box_around_a_point_is_centred_on_it(tmp_path, x, y, side):
    paint_frames(tmp_path, ["a.png", "b.png"])
    tileset = read_points(tmp_path, [f"a.png,{x},{y},t", "b.png,,,"], DataConfig(box_size_px=side))
    (box,) = tileset.images[0].boxes
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, [x + 0.5, y + 0.5])
    np.testing.assert_allclose(box[2:] - box[:2], side)


def test_box_sizes_in_metres_follow_the_gsd_of_the_image(tmp_path):
    paint_geotiff(tmp_path / "a.tif")
    paint_geotiff(tmp_path / "b.tif", column=5000)
    config = DataConfig(box_size_m=4.0, gsd=7.0)
    image = read_points(tmp_path, ["a.tif,9,9,t", "b.tif,9,9,t"], config).images[0]
    assert image.gsd == pytest.approx(0.5, rel=1e-3)
    np.testing.assert_allclose(image.boxes, [[5.5, 5.5, 13.5, 13.5]], atol=0.01)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            {},
            "a.png: the labels are points, and no box size is set",
            r"data\.box_size_m .*data\.box_size_px",
        ),
        ({"box_size_m": 1, "box_size_px": 1}, "two box sizes are set", "set one of"),
        ({"box_size_m": 1}, "the metres per pixel are unknown", r"set data\.gsd"),
    ],
)
def test_points_need_one_box_size(options, message, hint):
    with pytest.raises(TilesetError, match=message) as caught:
        point_box_sides(DataConfig(**options), None, "a.png")
    assert re.search(hint, caught.value.hint)


def test_labels_without_a_class_get_the_configured_one(tmp_path):
    paint_frames(tmp_path, ["a.png", "b.png"])
    write(tmp_path / "points.csv", "image,x,y\na.png,1,1\nb.png,2,2\n")
    assert read_tileset(tmp_path, POINTS).classes == ("object",)
    tileset = read_tileset(tmp_path, DataConfig(box_size_px=6, class_name="tree"))
    assert tileset.classes == ("tree",)
    assert [image.labels.tolist() for image in tileset.images] == [[0], [0]]


def test_the_folds_and_places_of_the_tileset_are_used(tmp_path, caplog):
    paint_frames(tmp_path, ["a.png", "b.png", "c.png"])
    table = "image,fold,place\na.png,val,p\nb.png,train,q\nc.png,train,p\n"
    write(tmp_path / "images.csv", table)
    config = DataConfig(box_size_px=6, val=("c*",))
    tileset = read_points(tmp_path, ["a.png,1,1,t", "b.png,1,1,t"], config)
    assert name_splits(tileset) == {"a.png": "val", "b.png": "train", "c.png": "train"}
    assert [image.place for image in tileset.images] == ["p", "q", "p"]
    assert "has its own split: data.val is not used" in caplog.text
    assert "1 locations are in both train and val, such as p" in caplog.text


def test_incomplete_folds_are_refused(tmp_path):
    paint_frames(tmp_path, ["a.png", "b.png"])
    write(tmp_path / "images.csv", "image,fold\na.png,train\n")
    with pytest.raises(TilesetError, match=r"1 of 2 images have no fold, such as .*b\.png"):
        read_points(tmp_path, ["a.png,1,1,t", "b.png,1,1,t"])


def test_images_without_folds_are_split_by_name(tmp_path):
    paint_frames(tmp_path, ["a.png", "b.png"])
    config = DataConfig(box_size_px=6, val=("a*",))
    tileset = read_points(tmp_path, ["a.png,1,1,t", "b.png,1,1,t"], config)
    assert name_splits(tileset) == {"a.png": "val", "b.png": "train"}


def test_overlapping_images_are_in_the_same_part_of_the_split(tmp_path):
    rows = []
    for pair in range(6):
        for part in range(2):
            name = f"{pair}_{part}.tif"
            paint_geotiff(tmp_path / name, column=1000 * pair + 30 * part)
            rows.append(f"{name},5,5,t")
    tileset = read_points(tmp_path, rows)
    places = [{i.place for i in tileset.split(split)} for split in ("train", "val")]
    assert not places[0] & places[1]
    assert len(tileset.split("val")) == 2
    assert name_splits(tileset) == name_splits(read_points(tmp_path, rows))


def test_images_that_all_touch_cannot_be_split(tmp_path):
    for part in range(3):
        paint_geotiff(tmp_path / f"{part}.tif", column=W * part)
    with pytest.raises(TilesetError, match="no split is possible"):
        read_points(tmp_path, [f"{part}.tif,5,5,t" for part in range(3)])


def test_missing_images_are_named_and_counted(tmp_path):
    paint_image(tmp_path / "a.png")
    with pytest.raises(TilesetError, match=r"2 of 3 images are missing, such as .*b\.png"):
        read_points(tmp_path, [f"{name}.png,1,1,t" for name in "abc"])


def test_unreadable_images_are_named(tmp_path):
    paint_image(tmp_path / "a.png")
    write(tmp_path / "b.png", "not a picture")
    with pytest.raises(TilesetError, match=r"b\.png cannot be read as an image"):
        read_points(tmp_path, ["a.png,1,1,t", "b.png,1,1,t"])


@pytest.mark.parametrize("x", [W, -2])
def test_points_outside_of_the_image_are_refused(tmp_path, x):
    paint_frames(tmp_path, ["a.png", "b.png"])
    with pytest.raises(TilesetError, match=r"points\.csv, line 3: the t at .* outside of b\.png"):
        read_points(tmp_path, ["a.png,1,1,t", f"b.png,{x},1,t"])


def test_boxes_outside_of_the_image_are_refused(tmp_path):
    coco_pair(tmp_path, [(0, 1, 1, 2, 2), (1, 70, 1, 5, 5)])
    message = r"train\.json, annotation 2: the bus at \[70.*\] is outside of a\.png, 64 x 48 px"
    with pytest.raises(TilesetError, match=message):
        read_tileset(tmp_path, DataConfig())


def test_labels_for_an_image_of_another_size_are_refused(tmp_path):
    paint_frames(tmp_path / "images", ["a.png", "b.png"])
    for name in "ab":
        write_voc(tmp_path / "annotations" / f"{name}.xml", [("car", 1, 1, 5, 5)], size=(32, 24))
    with pytest.raises(TilesetError, match=r"is 64 x 48 px, but its labels are for 32 x 24"):
        read_tileset(tmp_path, DataConfig())


def test_classes_of_validation_images_alone_are_named(tmp_path, caplog):
    read_tileset(coco_pair(tmp_path, [(0, 1, 1, 9, 9)], [(0, 2, 2, 9, 9)]), DataConfig())
    assert "not learnt" not in caplog.text
    write_coco(tmp_path / "val.json", {"b.png": [(0, 2, 2, 9, 9), (1, 3, 3, 9, 9)]})
    read_tileset(tmp_path, DataConfig())
    assert "no training image has an object of class 'bus', but validation" in caplog.text


def test_training_images_without_objects_are_refused(tmp_path):
    with pytest.raises(TilesetError, match="has no objects in its 1 training images"):
        read_tileset(coco_pair(tmp_path, [], [(0, 1, 1, 2, 2)]), DataConfig())


def test_a_tileset_without_images_is_refused(tmp_path):
    write_coco(tmp_path / "train.json", {})
    write_coco(tmp_path / "val.json", {})
    with pytest.raises(TilesetError, match="no images"):
        read_tileset(tmp_path, DataConfig())


def test_a_tileset_without_validation_images_is_reported(tmp_path, caplog):
    paint_image(tmp_path / "a.png")
    write_coco(tmp_path / "train.json", {"a.png": [(0, 1, 1, 2, 2)]})
    write_coco(tmp_path / "val.json", {})
    assert read_tileset(tmp_path, DataConfig()).split("val") == ()
    assert "no validation images" in caplog.text


def test_an_image_in_both_files_is_refused(tmp_path):
    coco_pair(tmp_path, [(0, 1, 1, 2, 2)])
    write_coco(tmp_path / "val.json", {"a.png": []})
    with pytest.raises(TilesetError, match=r"a\.png is listed twice"):
        read_tileset(tmp_path, DataConfig())


def test_all_classes_but_ignored_ones_can_become_one(tmp_path):
    objects = [(0, 1, 1, 2, 2), (1, 5, 5, 2, 2), (2, 9, 9, 2, 2)]
    coco_pair(tmp_path, objects, classes=("car", "bus", "tram"))
    config = DataConfig(one_class="vehicle", ignore_classes=("tram",))
    tileset = read_tileset(tmp_path, config)
    assert tileset.classes == ("vehicle",)
    np.testing.assert_array_equal(tileset.images[0].labels, [0, 0])
    np.testing.assert_array_equal(tileset.images[0].boxes, [[1, 1, 3, 3], [5, 5, 7, 7]])
    np.testing.assert_array_equal(tileset.images[0].ignored, [[9, 9, 11, 11]])


def test_classes_to_ignore_must_exist(tmp_path):
    with pytest.raises(TilesetError, match="no class 'Car' to ignore") as caught:
        read_tileset(coco_pair(tmp_path, []), DataConfig(ignore_classes=("Car",)))
    assert caught.value.hint == "data.ignore_classes may name car, bus"


def read_shared(name, **options):
    if not shared_data(name).is_dir():
        pytest.skip(f"no real data at {shared_data(name)}")
    return read_tileset(shared_data(name), DataConfig(**options))


def count(tileset, split):
    images = tileset.split(split)
    objects = Counter(tileset.classes[label] for image in images for label in image.labels)
    return len(images), dict(objects), sum(len(image.ignored) for image in images)


def test_points_of_the_shared_trees_are_split_as_their_table_says(tmp_path, caplog):
    if not shared_data("urban-trees").is_dir():
        pytest.skip(f"no real data at {shared_data('urban-trees')}")
    folder, image_rows, tree_rows = some_trees(tmp_path / "trees", lambda n, _: n % 6 == 0)
    tileset = read_tileset(folder, DataConfig(box_size_m=7.2))
    folds = {row["image"]: row["fold"] for row in image_rows}
    images = Counter(folds.values())
    trees = Counter(folds[row["image"]] for row in tree_rows)
    for split in ("train", "val"):
        assert count(tileset, split) == (images[split], {"object": trees[split]}, 0)
    assert not caplog.text
    boxes = np.concatenate([image.boxes for image in tileset.images])
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], 12, rtol=0.01)
    assert all(image.gsd == pytest.approx(0.6, rel=0.01) for image in tileset.images)


def test_yolo_labels_of_the_shared_vehicles_are_split_by_scene():
    tileset = read_shared("vehicles", val=("MOS7*", "MOS8*", "MOS9*"), gsd=0.13)
    assert tileset.classes == ("car", "truck", "bus", "minibus", "cyclist")
    assert count(tileset, "train") == (25, {"car": 1311, "bus": 25, "minibus": 2}, 0)
    assert count(tileset, "val") == (20, {"car": 509}, 0)


def test_voc_labels_of_the_shared_thermal_frames_keep_regions_to_ignore():
    tileset = read_shared("thermal", ignore_classes=("DontCare",))
    assert tileset.classes == ("Bicycle", "Car", "OtherVehicle", "Person")
    train = {"Person": 2022, "Car": 1389, "Bicycle": 1080, "OtherVehicle": 27}
    assert count(tileset, "train") == (500, train, 40)
    val = {"Person": 290, "Car": 173, "Bicycle": 122, "OtherVehicle": 3}
    assert count(tileset, "val") == (80, val, 5)
