import itertools
import json
from pathlib import Path

import numpy as np
import pycocotools.mask
import pytest
from factories_tilesets import paint_frames, paint_image, write, write_coco
from full_disk import largest_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from geodet.config import DataConfig
from geodet.errors import OutputError, TilesetError
from geodet.files.outputs import replace_folder
from geodet.tilesets.coco import read_coco, write_tileset
from geodet.tilesets.coco_shapes import annotation_box, mask_box
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.tileset import read_tileset

W, H = 64, 48


def test_boxes_become_corners(tmp_path):
    file = write_coco(tmp_path / "train.json", {"a.png": [(0, 1, 2, 3, 4), (1, 5, 5, 1, 1)]})
    labels = read_coco(file, [tmp_path])
    assert labels.classes == ("car", "bus")
    assert labels.images[0].boxes == [(1, 2, 4, 6), (5, 5, 6, 6)]
    assert labels.images[0].names == ["car", "bus"]
    assert labels.images[0].size == (64, 48)


def test_crowds_become_ignored_regions(tmp_path):
    crowd = {"image_id": 1, "category_id": 10, "bbox": [0, 0, 5, 5], "iscrowd": 1}
    file = write_coco(tmp_path / "train.json", {"a.png": []}, annotations=[crowd])
    assert read_coco(file, [tmp_path]).images[0].ignored == [True]


def test_the_group_category_of_roboflow_is_not_a_class(tmp_path):
    categories = [
        {"id": 0, "name": "traffic", "supercategory": "none"},
        {"id": 10, "name": "car", "supercategory": "traffic"},
        {"id": 11, "name": "bus", "supercategory": "traffic"},
    ]
    file = write_coco(tmp_path / "t.json", {"a.png": [(0, 1, 1, 1, 1)]}, categories=categories)
    assert read_coco(file, [tmp_path]).classes == ("car", "bus")


def test_a_class_without_objects_may_be_its_own_group(tmp_path):
    categories = [
        {"id": 10, "name": "car", "supercategory": "car"},
        {"id": 11, "name": "bus", "supercategory": "bus"},
        {"id": 12, "name": "road", "supercategory": "road"},
        {"id": 13, "name": "lane", "supercategory": "road"},
    ]
    file = write_coco(tmp_path / "t.json", {"a.png": [(0, 1, 1, 1, 1)]}, categories=categories)
    assert read_coco(file, [tmp_path]).classes == ("car", "bus", "lane")


@pytest.mark.parametrize("name", ["images/a.png", "a.png"])
def test_images_are_found_beside_the_file_or_in_images(tmp_path, name):
    image = paint_image(tmp_path / "images" / "a.png")
    file = write_coco(tmp_path / "train.json", {name: [(0, 1, 1, 1, 1)]})
    write_coco(tmp_path / "val.json", {})
    assert find_labels(tmp_path).images[0].path == image
    assert find_labels(file).images[0].path == image


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "no list 'images', so it is not a COCO file"),
        ({"categories": [{"name": "car"}]}, "category 1: it has no id"),
        ({"annotations": [{"image_id": 7, "category_id": 10}]}, "annotation 1: .*no image .* 7"),
        ({"annotations": [{"image_id": 1, "category_id": 3}]}, "annotation 1: .*no category .* 3"),
        (
            {"annotations": [{"image_id": 1, "category_id": 10, "bbox": [1, 2]}]},
            r"annotation 1: bbox \[1, 2\] is not x, y, width, height",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 10, "bbox": [1, 2, float("nan"), 3]}]},
            "annotation 1: bbox .* is not four finite numbers",
        ),
        (
            {"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]},
            "two images share an id: a and b have the id 1",
        ),
        (
            {"categories": [{"id": 1, "name": "car"}, {"id": 1, "name": "tree"}]},
            "the categories 'car' and 'tree' share the id 1",
        ),
        ({"images": [{"id": 1}]}, "image 1: it has no file_name"),
        (
            {"images": [{"id": 1, "file_name": "a", "width": "w", "height": 3}]},
            "image 1: 'w' is not a finite number",
        ),
        ({"annotations": [{"image_id": 1, "category_id": 10}]}, "neither bbox nor segmentation"),
        ({"annotations": [{"category_id": 10}]}, "annotation 1: it has no image_id"),
        ({"annotations": [7]}, "annotation 1: "),
        (
            {"annotations": [{"image_id": 1, "category_id": 10, "segmentation": [[1, 2, 3]]}]},
            "annotation 1: a polygon has 3 values",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 10, "segmentation": {"size": [2, 2]}}]},
            "annotation 1: the run lengths are broken",
        ),
    ],
)
def test_a_broken_file_is_refused_with_the_place_in_it(tmp_path, changes, message):
    file = write_coco(tmp_path / "train.json", {"a.png": []}, **changes)
    with pytest.raises(TilesetError, match=message):
        read_coco(file, [tmp_path])


def test_broken_json_is_refused_with_its_file(tmp_path):
    with pytest.raises(TilesetError, match=r"train\.json: broken JSON"):
        read_coco(write(tmp_path / "train.json", "{"), [tmp_path])


def box_lists(low, high):
    corner = st.tuples(st.floats(low, high - 2), st.floats(low, high - 2))
    side = st.tuples(st.floats(1, 30), st.floats(1, 30))
    boxes = st.builds(lambda c, s: [*c, c[0] + s[0], c[1] + s[1]], corner, side)
    return st.lists(boxes, min_size=1, max_size=4).map(lambda b: np.array(b, np.float64))


@given(boxes=box_lists(0, H), ignored=box_lists(0, 10), gsd=st.none() | st.floats(0.01, 10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_labels_survive_writing_and_reading(tmp_path, boxes, ignored, gsd):
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


def test_written_files_have_the_keys_of_coco(tmp_path):
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


def test_an_image_outside_of_the_folder_cannot_be_written(tmp_path):
    empty = np.zeros((0, 4))
    image = LabelledImage(Path("/a.png"), W, H, empty, np.zeros(0, int), empty, "p", "train", None)
    with pytest.raises(TilesetError, match=r"a\.png is not below"):
        write_tileset(Tileset(tmp_path, ("car",), (image,)))


def test_labels_that_cannot_be_written_name_the_tileset(tmp_path):
    with (
        largest_file(10),
        pytest.raises(OutputError, match=r"cannot write .*out: .*too large") as caught,
        replace_folder(tmp_path / "out") as folder,
    ):
        write_tileset(Tileset(folder, ("car",), ()))
    assert ".geodet-" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ids", [(1, 2), ("1", "2"), ("b2c4-11", "77aa-22"), (1.0, 2.0)])
def test_ids_are_numbers_or_text(tmp_path, ids):
    images = [{"id": ids[n], "file_name": f"{'ab'[n]}.png"} for n in range(2)]
    annotations = [
        {"image_id": ids[n], "category_id": ids[n], "bbox": [1 + n, 2, 3, 4]} for n in range(2)
    ]
    categories = [{"id": ids[n], "name": ("car", "bus")[n]} for n in range(2)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    labels = read_coco(write(tmp_path / "t.json", json.dumps(content)), [tmp_path])
    assert [image.boxes for image in labels.images] == [[(1, 2, 4, 6)], [(2, 2, 5, 6)]]
    assert [image.names for image in labels.images] == [["car"], ["bus"]]


def read_shapes(folder, *shapes):
    """Read annotations of one image and class, each with these keys."""
    entries = [{"image_id": 1, "category_id": 10} | shape for shape in shapes]
    file = write_coco(folder / "train.json", {"a.png": []}, annotations=entries)
    return read_coco(file, [folder])


@pytest.mark.parametrize("empty", [{}, {"bbox": []}, {"bbox": None}])
@pytest.mark.parametrize("nested", [True, False])
def test_an_object_without_a_box_has_the_bounds_of_its_polygons(tmp_path, empty, nested):
    ring = [10, 10, 40, 10, 40, 40]
    shape = {"segmentation": [ring, [5, 20, 8, 20, 8, 30]] if nested else ring}
    (image,) = read_shapes(tmp_path, shape | empty).images
    assert image.boxes == [(5 if nested else 10, 10, 40, 40)]


def test_a_bbox_elsewhere_than_its_segmentation_is_reported(tmp_path):
    ring = [[10, 20, 16, 20, 16, 32, 10, 32]]
    boxes = ([10, 20, 6, 12], [9, 19, 9, 14], [10, 20, 16, 32], [20, 10, 12, 6], [0, 0, 0, 0])
    labels = read_shapes(tmp_path, *({"bbox": box, "segmentation": ring} for box in boxes))
    assert labels.notes == [
        f"{tmp_path / 'train.json'}: the bbox is elsewhere than the segmentation in 2 of the first"
        " 5 annotations, such as number 3: a bbox is x, y, width, height"
    ]


def test_an_object_with_an_empty_box_and_no_segmentation_is_left_out(tmp_path):
    labels = read_shapes(
        tmp_path, {"bbox": [1, 1, 2, 2]}, {"bbox": []}, {"bbox": [], "segmentation": []}
    )
    assert labels.images[0].boxes == [(1, 1, 3, 3)]
    assert "2 annotations have an empty bbox" in labels.notes[0]
    assert labels.notes[0].endswith("the first is number 2")


@given(
    st.integers(1, 12).flatmap(
        lambda rows: st.lists(
            st.lists(st.booleans(), min_size=rows, max_size=rows), min_size=1, max_size=12
        )
    )
)
def test_the_box_of_run_lengths_is_that_of_pycocotools(columns):
    pixels = np.asfortranarray(np.array(columns, np.uint8).T)
    packed = pycocotools.mask.encode(pixels)
    counts = [0] if pixels.T.flat[0] else []
    flat = pixels.T.ravel()
    counts += [len(list(group)) for _, group in itertools.groupby(flat.tolist())]
    expected = pycocotools.mask.toBbox(packed).tolist()
    for runs in (packed["counts"].decode(), counts):
        box = mask_box({"size": list(pixels.shape), "counts": runs})
        if not pixels.any():
            assert box is None
        else:
            x, y, width, height = expected
            assert box == (x, y, x + width, y + height)


def test_crowds_have_the_box_of_their_run_lengths(tmp_path):
    pixels = np.zeros((48, 64), np.uint8, order="F")
    pixels[10:20, 30:33] = 1
    packed = pycocotools.mask.encode(pixels)
    mask = {"size": [48, 64], "counts": packed["counts"].decode()}
    (image,) = read_shapes(tmp_path, {"segmentation": mask, "iscrowd": 1}).images
    assert (image.boxes, image.ignored) == ([(30, 10, 33, 20)], [True])


def test_the_boxes_are_those_of_pycocotools(tmp_path):
    rows = {"a.png": [(0, 1, 2, 3.5, 4), (1, 5, 5, 1, 1)], "b.png": [(1, 9, 9, 9, 9)], "c.png": []}
    file = write_coco(tmp_path / "train.json", rows)
    content = json.loads(file.read_text())
    for number, entry in enumerate(content["annotations"], start=1):
        entry["id"] = number
    file.write_text(json.dumps(content))
    oracle = COCO(str(file))
    labels = read_coco(file, [tmp_path])
    for image in labels.images:
        (key,) = [k for k, v in oracle.imgs.items() if v["file_name"] == image.path.name]
        found = oracle.loadAnns(oracle.getAnnIds([key]))
        assert [oracle.cats[a["category_id"]]["name"] for a in found] == image.names
        boxes = [a["bbox"] for a in found]
        assert [(x, y, x + w, y + h) for x, y, w, h in boxes] == image.boxes


@pytest.mark.parametrize("bbox", [[0, 0, 0, 0], [], None])
def test_a_box_that_nobody_filled_gives_way_to_the_outline(bbox):
    entry = {"bbox": bbox, "segmentation": [[1, 2, 5, 2, 5, 8, 1, 8]]}
    assert annotation_box(entry) == (1, 2, 5, 8)
    assert annotation_box({"bbox": [0, 0, 0, 0]}) == (0, 0, 0, 0)


@pytest.mark.parametrize("size", [[64, 48], [24, 32]])
def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path, size):
    """Its run lengths go down each column; with width and height in turn they mean other pixels."""
    mask = {"size": size, "counts": [100, 5]}
    file = write_coco(tmp_path / "a.json", {"a.png": [(0, 0, 0, 0, 0)]})
    content = json.loads(file.read_text())
    content["annotations"][0]["segmentation"] = mask
    file.write_text(json.dumps(content))
    with pytest.raises(
        TilesetError, match=r"annotation 1: the mask has .*, and its image has 48 x 64"
    ):
        read_coco(file, [tmp_path])
    content["annotations"][0]["bbox"] = [1, 2, 3, 4]  # then nobody needs the mask
    file.write_text(json.dumps(content))
    assert read_coco(file, [tmp_path]).images[0].boxes == [(1, 2, 4, 6)]
