import json
from pathlib import Path

import pytest
from tilesets import paint_image, write, write_coco, write_voc

from geodet.errors import TilesetError
from geodet.tilesets.formats import ImageLabels, read_coco, read_voc, read_yolo
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.tables import read_csv, read_image_table

IMAGE = Path("a.png")


def yolo(tmp_path, text, names=("car", "bus")):
    return read_yolo([(IMAGE, write(tmp_path / "a.txt", text))], names, Path("classes.txt"))


def voc(tmp_path, *objects, **options):
    return read_voc([(IMAGE, write_voc(tmp_path / "a.xml", objects, **options))]).images[0]


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


def test_yolo_centres_become_corners(tmp_path):
    image = yolo(tmp_path, "1 0.5 0.5 0.25 0.5\n\n").images[0]
    assert image.frame == "shares"
    assert image.boxes == [(0.375, 0.25, 0.625, 0.75)]
    assert image.names == ["bus"]


def test_yolo_polygons_count_by_their_bounds(tmp_path):
    assert yolo(tmp_path, "0 0.1 0.2 0.5 0.1 0.3 0.6").images[0].boxes == [(0.1, 0.1, 0.5, 0.6)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"line 2: class 2 is not one of the 2 in classes\.txt"),
        ("-1 0.5 0.5 0.1 0.1", "line 2: class -1 is not one of"),
        ("0 0.5 0.5 0.1", "line 2: 3 numbers after the class"),
        ("0 0.5 0.5 0.1 0.1 0.9", "line 2: 5 numbers after the class"),
        ("0 0.5 half 0.1 0.1", "line 2: could not convert"),
        ("car 0.5 0.5 0.1 0.1", "line 2: invalid literal"),
        ("0 0.5 0.5 inf 0.1", "line 2: the box .* is not finite"),
    ],
)
def test_broken_yolo_says_where(tmp_path, line, message):
    with pytest.raises(TilesetError, match=message):
        yolo(tmp_path, f"0 0.5 0.5 0.1 0.1\n{line}\n")


def test_voc_corners_are_edges_counted_from_zero(tmp_path):
    image = voc(tmp_path, ("car", 0, 0, 64, 48))
    assert image.boxes == [(0, 0, 64, 48)]
    assert image.size == (64, 48)


def test_voc_difficult_objects_are_ignored(tmp_path):
    text = write_voc(tmp_path / "a.xml", [("car", 0, 0, 4, 8)]).read_text()
    file = write(tmp_path / "a.xml", text.replace("<bnd", "<difficult>1</difficult><bnd"))
    assert read_voc([(IMAGE, file)]).images[0].ignored == [True]


def test_voc_without_a_size_is_fine(tmp_path):
    assert voc(tmp_path, ("car", 1, 2, 3, 4), size=(0, 0)).size is None


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([("car", 1, 1, 2, 2), ("", 1, 1, 2, 2)], "object 2: no class"),
        ([("car", 1, 1, "", 2)], "object 1: could not convert"),
        ([("car", 1, 1, "nan", 2)], "object 1: the box .* is not finite"),
    ],
)
def test_broken_voc_says_where(tmp_path, objects, message):
    with pytest.raises(TilesetError, match=message):
        voc(tmp_path, *objects)


def test_broken_xml_names_the_file(tmp_path):
    with pytest.raises(TilesetError, match=r"a\.xml: broken XML"):
        read_voc([(IMAGE, write(tmp_path / "a.xml", "<annotation>"))])


def test_binary_labels_name_the_file(tmp_path):
    (tmp_path / "a.xml").write_bytes(b"\xff\xfe\x00<annotation>")
    with pytest.raises(TilesetError, match=r"a\.xml: cannot be read"):
        read_voc([(IMAGE, tmp_path / "a.xml")])


def test_csv_points_stand_in_the_middle_of_their_pixel(tmp_path):
    file = write(tmp_path / "p.csv", "image,x,y\na.png,3,7\nb.png,,\na.png,0,0\n")
    labels = read_csv(file, [tmp_path])
    assert [(i.path.name, i.boxes) for i in labels.images] == [
        ("a.png", [(3.5, 7.5, 3.5, 7.5), (0.5, 0.5, 0.5, 0.5)]),
        ("b.png", []),
    ]
    assert labels.images[0].frame == "centres"
    assert labels.images[0].names == [None, None]
    assert labels.images[0].numbers == [2, 4]


def test_csv_corners_keep_their_columns_in_any_order(tmp_path):
    rows = "label,xmin,ymin,xmax,ymax,image_path,score\ntree,1,2,3,4,a.tif,0.5\n,0,0,0,0,b.tif,\n"
    labels = read_csv(write(tmp_path / "t.csv", rows), [tmp_path])
    assert [(i.path.name, i.boxes, i.names) for i in labels.images] == [
        ("a.tif", [(1, 2, 3, 4)], ["tree"]),
        ("b.tif", [], []),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x,y\na.png,3\n", "line 2: 2 cells under 3 columns"),
        ("image,x,y\na.png,1,1\na.png,3,up\n", "line 3: could not convert"),
        ("image,x,y,label\na.png,1,1,\n", "line 2: no class"),
        ("image,x,y\na.png,1,\n", "line 2: could not convert"),
    ],
)
def test_broken_csv_says_where(tmp_path, text, message):
    with pytest.raises(TilesetError, match=message):
        read_csv(write(tmp_path / "p.csv", text), [tmp_path])


def test_csv_of_anything_else_is_not_read(tmp_path):
    assert read_csv(write(tmp_path / "p.csv", "a,b\n1,2\n"), [tmp_path]) is None
    with pytest.raises(TilesetError, match="unknown columns a,b"):
        find_labels(tmp_path / "p.csv")
    with pytest.raises(TilesetError, match=r"no labels recognised: p\.csv with the columns a,b"):
        find_labels(tmp_path)


def test_image_table_reads_places_and_folds(tmp_path):
    text = "image,city,place,fold\na.png,Chico,west,train\nb.png,Chico,,validation\nc.png,,,\n"
    images = read_image_table(write(tmp_path / "images.csv", text), [tmp_path])
    assert [(i.place, i.split) for i in images] == [("west", "train"), (None, "val"), (None, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [("name\na.png\n", "no column 'image' among name"), ("image,fold\na,3\n", "line 2: fold '3'")],
)
def test_broken_image_table_says_where(tmp_path, text, message):
    with pytest.raises(TilesetError, match=message):
        read_image_table(write(tmp_path / "images.csv", text), [tmp_path])


def splits(labels):
    return {image.path.name: image.split for image in labels.images}


def test_official_coco_layout(tmp_path):
    for split in ("train", "val"):
        paint_image(tmp_path / f"{split}2017" / f"{split}.jpg")
        file = tmp_path / "annotations" / f"instances_{split}2017.json"
        write_coco(file, {f"{split}.jpg": [(0, 1, 1, 1, 1)]})
    labels = find_labels(tmp_path)
    assert splits(labels) == {"train.jpg": "train", "val.jpg": "val"}
    assert all(image.path.is_file() for image in labels.images)


def test_roboflow_coco_layout(tmp_path):
    for folder in ("train", "valid"):
        paint_image(tmp_path / folder / f"{folder}.jpg")
        coco = {f"{folder}.jpg": [(0, 1, 1, 1, 1)]}
        write_coco(tmp_path / folder / "_annotations.coco.json", coco)
    assert splits(find_labels(tmp_path)) == {"train.jpg": "train", "valid.jpg": "val"}


def test_one_coco_file_has_no_split(tmp_path):
    write(tmp_path / "notes.json", json.dumps({"by": "me"}))
    write_coco(tmp_path / "labels.json", {"a.png": [(0, 1, 1, 1, 1)]})
    assert splits(find_labels(tmp_path)) == {"a.png": None}


def test_csv_for_each_split(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / f"{split}.csv", f"image,x,y\n{split}.png,1,1\n")
    assert splits(find_labels(tmp_path)) == {"train.png": "train", "val.png": "val"}


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("names", ["[car, bus]", "{1: bus, 0: car}"])
def test_yolo_layouts(tmp_path, nested, names):
    for split in ("train", "val"):
        images, labels = (
            tmp_path / (f"{kind}/{split}" if nested else f"{split}/{kind}")
            for kind in ("images", "labels")
        )
        paint_image(images / f"{split}.png")
        write(labels / f"{split}.txt", "1 0.5 0.5 0.1 0.1")
    write(tmp_path / "data.yaml", f"names: {names}\n")
    labels = find_labels(tmp_path)
    assert splits(labels) == {"train.png": "train", "val.png": "val"}
    assert labels.classes == ("car", "bus")
    assert [image.names for image in labels.images] == [["bus"], ["bus"]]


def test_yolo_beside_the_images(tmp_path, caplog):
    paint_image(tmp_path / "a.png")
    paint_image(tmp_path / "b.png")
    write(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1")
    write(tmp_path / "classes.txt", "car\n")
    write(tmp_path / "README.txt", "Frames of a flight\n")
    assert [len(image.boxes) for image in find_labels(tmp_path).images] == [1, 0]
    assert "1 of 2 images have no label file" in caplog.text


def test_voc_of_the_challenge(tmp_path):
    paint_image(tmp_path / "JPEGImages" / "a.jpg")
    write_voc(tmp_path / "Annotations" / "a.xml", [("car", 1, 2, 3, 4)])
    assert find_labels(tmp_path).images[0].boxes == [(1, 2, 3, 4)]


def test_label_without_an_image(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    for name in ("a", "b", "c"):
        write_voc(tmp_path / "annotations" / f"{name}.xml", [("car", 1, 2, 3, 4)])
    with pytest.raises(TilesetError, match=r"2 label files have no image, such as .*b\.xml"):
        find_labels(tmp_path)


def test_image_table_adds_images_without_objects(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    paint_image(tmp_path / "images" / "b.png")
    write(tmp_path / "points.csv", "image,x,y\na.png,1,1\n")
    write(tmp_path / "images.csv", "image,fold,place\na.png,train,here\nb.png,val,\n")
    labels = find_labels(tmp_path)
    assert splits(labels) == {"a.png": "train", "b.png": "val"}
    assert [image.place for image in labels.images] == ["here", None]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no labels recognised: no images"),
        ({"a.png": None}, "no labels recognised: 1 images without labels"),
        ({"a.json": "{}", "b.json": "[]"}, "2 JSON files, none of them train.json"),
        ({"a.png": None, "a.txt": "0 .5 .5 .1 .1"}, "without the names of their classes"),
        (
            {"a.png": None, "a.txt": "0 .5 .5 .1 .1", "data.yaml": "nc: 2"},
            "data.yaml: cannot find the class names",
        ),
        (
            {"a.png": None, "a.txt": "0 .5 .5 .1 .1", "classes.txt": "car\ncar"},
            "are empty or repeat themselves",
        ),
        ({"a.csv": "image,x,y\n", "b.csv": "image,x,y\n"}, "several label files: a.csv, b.csv"),
    ],
)
def test_unknown_layouts_say_what_is_there(tmp_path, files, message):
    for name, text in files.items():
        if text is None:
            paint_image(tmp_path / name)
        else:
            write(tmp_path / name, text)
    with pytest.raises(TilesetError, match=message):
        find_labels(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone", "gone does not exist"), ("labels.doc", "is not a folder, a COCO JSON file")],
)
def test_unknown_paths(tmp_path, name, message):
    write(tmp_path / "labels.doc", "")
    with pytest.raises(TilesetError, match=message):
        find_labels(tmp_path / name)


def test_objects_need_a_class():
    with pytest.raises(TilesetError, match="here 3: no class"):
        ImageLabels(IMAGE, "here ").add((0, 0, 1, 1), "", 3)
