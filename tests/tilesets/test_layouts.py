import json

import pytest
from factories_tilesets import paint_image, write, write_coco, write_voc

from geodet.errors import TilesetError
from geodet.tilesets.image_lists import find_label_file, list_images
from geodet.tilesets.layouts import find_labels


def splits(labels):
    return {image.path.name: image.split for image in labels.images}


def test_the_layout_of_the_coco_data_set_is_recognised(tmp_path):
    for split in ("train", "val"):
        paint_image(tmp_path / f"{split}2017" / f"{split}.jpg")
        file = tmp_path / "annotations" / f"instances_{split}2017.json"
        write_coco(file, {f"{split}.jpg": [(0, 1, 1, 1, 1)]})
    labels = find_labels(tmp_path)
    assert splits(labels) == {"train.jpg": "train", "val.jpg": "val"}
    assert all(image.path.is_file() for image in labels.images)


def test_the_coco_layout_of_roboflow_is_recognised(tmp_path):
    for folder in ("train", "valid"):
        paint_image(tmp_path / folder / f"{folder}.jpg")
        coco = {f"{folder}.jpg": [(0, 1, 1, 1, 1)]}
        write_coco(tmp_path / folder / "_annotations.coco.json", coco)
    assert splits(find_labels(tmp_path)) == {"train.jpg": "train", "valid.jpg": "val"}


def test_one_coco_file_has_no_split(tmp_path):
    write(tmp_path / "notes.json", json.dumps({"by": "me"}))
    write_coco(tmp_path / "labels.json", {"a.png": [(0, 1, 1, 1, 1)]})
    assert splits(find_labels(tmp_path)) == {"a.png": None}


def test_a_csv_file_for_each_part_of_the_split_is_recognised(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / f"{split}.csv", f"image,x,y\n{split}.png,1,1\n")
    assert splits(find_labels(tmp_path)) == {"train.png": "train", "val.png": "val"}


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("names", ["[car, bus]", "{1: bus, 0: car}"])
def test_yolo_folders_are_recognised_in_either_nesting(tmp_path, nested, names):
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


def test_yolo_files_beside_the_images_are_recognised(tmp_path):
    paint_image(tmp_path / "a.png")
    paint_image(tmp_path / "b.png")
    write(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1")
    write(tmp_path / "classes.txt", "car\n")
    write(tmp_path / "README.txt", "Frames of a flight\n")
    labels = find_labels(tmp_path)
    assert [len(image.boxes) for image in labels.images] == [1, 0]
    (note,) = labels.notes
    assert "1 of 2 images have no label file" in note


def paint_yolo(folder, *names):
    for name in names:
        paint_image(folder / "images" / f"{name}.png")
        write(folder / "labels" / f"{name}.txt", "0 0.5 0.5 0.1 0.1")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels/s2/classes.txt", "elm\noak\n"),
        ("labels/s2/obj.names", "oak\nash\n"),
        ("data.yaml", "names: [elm, oak]\n"),
        ("data.yaml", "train: images/s1\nval: images/s2\nnames: [elm, oak]\n"),
        ("classes.txt", "elm\noak\n"),
    ],
)
def test_files_of_class_names_that_contradict_each_other_are_refused(tmp_path, file, text):
    paint_yolo(tmp_path, "s1/a", "s2/b")
    write(tmp_path / "labels" / "s1" / "classes.txt", "oak\nelm\n")
    write(tmp_path / file, text)
    with pytest.raises(TilesetError, match=r"class [01] is '.*' in .* and '.*' in ") as caught:
        find_labels(tmp_path)
    assert "correct or remove the wrong file" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["nc: 2\n", "names: [Oak, elm]\n", "names: [oak]\n", "names: [oak, elm, ash]\n"]
)
def test_files_of_class_names_that_agree_are_read(tmp_path, text):
    paint_yolo(tmp_path, "s1/a", "s2/b")
    for folder in ("s1", "s2"):
        write(tmp_path / "labels" / folder / "classes.txt", "oak\nelm\n")
    write(tmp_path / "data.yaml", text)
    assert find_labels(tmp_path).classes == ("oak", "elm")


def test_two_yaml_files_of_one_folder_may_have_other_classes(tmp_path):
    paint_yolo(tmp_path, "s1/a", "s2/b")
    write(tmp_path / "data.yaml", "names: [oak]\n")
    file = write(tmp_path / "fine.yaml", "train: images/s1\nval: images/s2\nnames: [elm]\n")
    assert find_labels(file).classes == ("elm",)


def test_the_layout_of_the_voc_challenge_is_recognised(tmp_path):
    paint_image(tmp_path / "JPEGImages" / "a.jpg")
    write_voc(tmp_path / "Annotations" / "a.xml", [("car", 1, 2, 3, 4)])
    assert find_labels(tmp_path).images[0].boxes == [(1, 2, 3, 4)]


def test_the_image_table_adds_images_without_objects(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    paint_image(tmp_path / "images" / "b.png")
    write(tmp_path / "points.csv", "image,x,y\na.png,1,1\n")
    write(tmp_path / "images.csv", "image,fold,place\na.png,train,here\nb.png,val,\n")
    labels = find_labels(tmp_path)
    assert splits(labels) == {"a.png": "train", "b.png": "val"}
    assert [image.place for image in labels.images] == ["here", None]


def test_a_folder_of_annotations_is_found_once_in_any_case(tmp_path):
    """Where case does not matter, as on Windows and macOS, each spelling names the same folder."""
    paint_image(tmp_path / "images" / "a.png")
    write_coco(tmp_path / "ANNOTATIONS" / "labels.json", {"a.png": [(0, 1, 1, 4, 4)]})
    assert len(find_labels(tmp_path).images[0].boxes) == 1


def test_the_image_table_finds_images_that_coco_names_from_its_own_folder(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    write_coco(tmp_path / "annotations" / "labels.json", {"../images/a.png": [(0, 1, 1, 4, 4)]})
    write(tmp_path / "images.csv", "image,place\na.png,here\n")
    (image,) = find_labels(tmp_path).images
    assert (image.path, image.place) == (tmp_path / "images" / "a.png", "here")
    assert len(image.boxes) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no labels recognised: no images"),
        ({"a.png": None}, "no labels recognised: 1 images without labels"),
        ({"a.json": "{}", "b.json": "[]"}, "2 JSON files, none of them train.json"),
        ({"a.png": None, "a.txt": "0 .5 .5 .1 .1"}, "no file with the names of their classes"),
        (
            {"a.png": None, "a.txt": "0 .5 .5 .1 .1", "data.yaml": "nc: 2"},
            "data.yaml: cannot find the class names",
        ),
        (
            {"a.png": None, "a.txt": "0 .5 .5 .1 .1", "classes.txt": "car\ncar"},
            "are empty or repeated",
        ),
        ({"a.csv": "image,x,y\n", "b.csv": "image,x,y\n"}, "several label files: a.csv, b.csv"),
    ],
)
def test_an_unknown_layout_is_refused_with_what_the_folder_contains(tmp_path, files, message):
    for name, text in files.items():
        if text is None:
            paint_image(tmp_path / name)
        else:
            write(tmp_path / name, text)
    with pytest.raises(TilesetError, match=message):
        find_labels(tmp_path)


def test_label_files_of_several_formats_in_one_folder_are_named(tmp_path):
    paint_image(tmp_path / "a.png")
    write_coco(tmp_path / "labels.json", {"a.png": [(0, 1, 1, 4, 4)]})
    write(tmp_path / "annotations.xml", "<annotations></annotations>")
    told = r"several label files: labels\.json \(COCO\), annotations\.xml \(CVAT\)"
    with pytest.raises(TilesetError, match=told) as caught:
        find_labels(tmp_path)
    assert "give one of them" in caught.value.hint


@pytest.mark.parametrize("name", ["", "data.yaml"])
def test_a_list_of_images_without_label_files_says_where_one_is_expected(tmp_path, name):
    """Labels stand in place of a folder images, as Ultralytics reads them."""
    for part in ("train", "val"):
        paint_image(tmp_path / "pictures" / part / f"{part}.png")
        write(tmp_path / "labels" / part / f"{part}.txt", "0 .5 .5 .1 .1")
    write(tmp_path / "data.yaml", "train: pictures/train\nval: pictures/val\nnames: [tree]\n")
    told = r"data\.yaml lists 2 images, none of which has a label file, such as .*train\.png"
    with pytest.raises(TilesetError, match=told) as caught:
        find_labels(tmp_path / name)
    assert "images/" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone", "gone does not exist"), ("labels.doc", "is not a folder, a COCO JSON file")],
)
def test_a_path_that_is_no_tileset_is_refused(tmp_path, name, message):
    write(tmp_path / "labels.doc", "")
    with pytest.raises(TilesetError, match=message):
        find_labels(tmp_path / name)


def test_a_label_file_without_an_image_is_refused(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    for name in ("a", "b", "c"):
        write_voc(tmp_path / "annotations" / f"{name}.xml", [("car", 1, 2, 3, 4)])
    with pytest.raises(TilesetError, match=r"2 label files have no image, such as .*b\.xml"):
        find_labels(tmp_path)


@pytest.mark.parametrize("labels", ["labels", "images"])
def test_a_label_file_in_a_folder_without_images_is_refused(tmp_path, labels):
    paint_image(tmp_path / "images" / "s1" / "a.png")
    write(tmp_path / "classes.txt", "car\n")
    for name in ("s1/a", "s2/deep/c"):
        write(tmp_path / labels / f"{name}.txt", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(TilesetError, match=r"1 label files have no image, .*s2/deep/c\.txt"):
        find_labels(tmp_path)


def test_label_files_of_a_linked_folder_have_images(tmp_path):
    for name in ("s1/a", "s2/b"):
        paint_image(tmp_path / "images" / f"{name}.png")
    for name in ("s1/a", "far/b"):
        write(tmp_path / "labels" / f"{name}.txt", "0 0.5 0.5 0.1 0.1")
    (tmp_path / "labels" / "s2").symlink_to("far")
    write(tmp_path / "classes.txt", "car\n")
    assert [len(image.boxes) for image in find_labels(tmp_path).images] == [1, 1]


def test_images_below_the_images_folder_are_listed_in_natural_order(tmp_path):
    names = ["images/2.png", "images/10.TIF", "images/deep/1.jpg"]
    for name in [*names, "preview.png", "images/notes.txt"]:
        write(tmp_path / name, "")
    (tmp_path / "images" / "folder.png").mkdir()
    assert list_images(tmp_path) == [tmp_path / name for name in names]


def test_linked_folders_are_listed_once_and_not_in_circles(tmp_path):
    images = tmp_path / "images"
    for name in ("images/b/1.png", "far/2.png"):
        write(tmp_path / name, "")
    for name, target in {"a": images / "b", "round": images, "z": tmp_path / "far"}.items():
        (images / name).symlink_to(target)
    (images / "b" / "up").symlink_to(tmp_path)
    (images / "gone").symlink_to(tmp_path / "gone")
    assert list_images(tmp_path) == [images / "b" / "1.png", images / "z" / "2.png"]


def test_without_an_images_folder_those_of_the_folder_are_listed(tmp_path):
    for name in ("a.png", "b.jpeg", "deep/c.png"):
        write(tmp_path / name, "")
    assert list_images(tmp_path) == [tmp_path / "a.png", tmp_path / "b.jpeg"]


def test_a_label_file_is_found_in_its_folder_or_beside_its_image(tmp_path):
    image = tmp_path / "images" / "train" / "a.png"
    beside, there = image.with_suffix(".txt"), tmp_path / "labels" / "train" / "a.txt"
    assert find_label_file(image, tmp_path, ("labels",), ".txt") == beside  # none is there
    write(beside, "")
    assert find_label_file(image, tmp_path, ("labels",), ".txt") == beside
    write(there, "")
    assert find_label_file(image, tmp_path, ("labels",), ".txt") == there
    there.unlink()
    beside.unlink()
    assert find_label_file(image, tmp_path, ("labels",), ".txt") == there  # where it should be


@pytest.mark.parametrize("place", ["{part}/images", "{part}", "images/{part}"])
def test_a_file_for_each_part_finds_its_images(tmp_path, place):
    for part in ("train", "val"):
        paint_image(tmp_path / place.format(part=part) / "1.png")
        write_coco(tmp_path / f"{part}.json", {"1.png": [(0, 1, 2, 8, 7)]})
    labels = find_labels(tmp_path)
    found = [(i.path.relative_to(tmp_path).as_posix(), i.split) for i in labels.images]
    assert found == [(f"{place.format(part=part)}/1.png", part) for part in ("train", "val")]


def test_voc_files_may_lie_in_a_folder_of_labels(tmp_path):
    for place, count in (("x", 1), ("y", 2)):
        paint_image(tmp_path / "images" / place / "1.png")
        write_voc(tmp_path / "labels" / place / "1.xml", [("car", 1, 2, 9, 9)] * count)
    labels = find_labels(tmp_path)
    assert labels.layout == "Pascal VOC"
    assert [len(image.boxes) for image in labels.images] == [1, 2]


def test_folders_of_images_may_have_the_year_in_their_name(tmp_path):
    for part in ("train2017", "val2017"):
        paint_image(tmp_path / "images" / part / f"{part}.png")
        write(tmp_path / "labels" / part / f"{part}.txt", "0 0.5 0.5 0.1 0.1\n")
    write(tmp_path / "classes.txt", "car\n")
    labels = find_labels(tmp_path)
    assert splits(labels) == {"train2017.png": "train", "val2017.png": "val"}
    assert labels.split_source == "the folders train2017, val2017"
