"""The tileset's own split, in all the forms in which programs write it."""

import json
import logging
from collections import Counter

import pytest
from factories_tilesets import paint_image, write, write_coco, write_voc
from PIL import Image

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.tileset import read_tileset

BOX = "0 0.5 0.5 0.2 0.2\n"
PLAN = {"a": "val", "b": "train", "c": "train", "d": "test"}
"""What every form says; image a has one object, b two and so on."""


def paint_yolo(folder, plan=PLAN, images="images", labels="labels"):
    for count, name in enumerate(plan, start=1):
        paint_image(folder / images.format(plan[name]) / f"{name}.png")
        write(folder / labels.format(plan[name]) / f"{name}.txt", BOX * count)


def parts(tileset):
    return {image.path.stem: image.split for image in tileset.images}


def listed(part):
    return [name for name, split in PLAN.items() if split == part]


def lists(folder, line="./images/{}.png"):
    for part in ("train", "val", "test"):
        lines = (line.format(name) for name in listed(part))
        write(folder / f"{part}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "line",
    [
        "./images/{}.png",
        "images/{}.png",
        "data/images/{}.png",
        "/content/set/images/{}.png",
        "images\\{}.png",
    ],
)
def test_lists_of_files_split_yolo(tmp_path, line):
    paint_yolo(tmp_path)
    lists(tmp_path, line)
    write(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\ntest: test.txt\nnames: [tree]\n")
    tileset = read_tileset(tmp_path, DataConfig())
    assert parts(tileset) == PLAN
    assert [len(image.boxes) for image in tileset.images] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "entries",
    [
        "path: .\ntrain: images/train\nval: images/val\ntest: images/test\n",
        "train: ../images/train\nval: ../images/val\ntest: ../images/test\n",
        "path: /content/set\ntrain: images/train\nvalid: images/val\ntest: images/test\n",
        "train: [images/train]\nval: [images/val]\ntest: [images/test]\n",
        "train: images/train/*.png\nval: images/va?/*.png\ntest: images/t[e]st/*\n",
        "train: [images/train/b.png, images/train/c.png]\nval: images/val\ntest: images/test/*\n",
    ],
)
@pytest.mark.parametrize("name", ["data.yaml", "trees.yml"])
def test_folders_and_patterns_split_yolo(tmp_path, entries, name):
    paint_yolo(tmp_path, images="images/{}", labels="labels/{}")
    file = write(tmp_path / name, entries + "names: {0: tree}\n")
    for path in (tmp_path, file):
        assert parts(read_tileset(path, DataConfig())) == PLAN


def test_a_yaml_outside_of_its_images_splits_them(tmp_path):
    paint_yolo(tmp_path / "far", images="images/{}", labels="labels/{}")
    file = write(
        tmp_path / "here" / "set.yaml",
        "path: ../far\ntrain: images/train\nval: images/val\ntest: images/test\nnames: [tree]\n",
    )
    with pytest.raises(TilesetError, match="far/images/train is outside of the tileset"):
        read_tileset(file, DataConfig())
    tileset = read_tileset(file, DataConfig(allow_outside=True))
    assert parts(tileset) == PLAN
    counts = {image.path.stem: len(image.boxes) for image in tileset.images}
    assert counts == {"a": 1, "b": 2, "c": 3, "d": 4}


@pytest.mark.parametrize("first", ["images/train", "near/images"])
def test_folders_of_a_yaml_have_their_labels_beside_them(tmp_path, first):
    """As Ultralytics finds them: the last folder ``images`` becomes ``labels``."""
    for images, count in ((first, 1), ("extra/images", 2)):
        paint_image(tmp_path / images / f"{count}.png")
        write(tmp_path / images.replace("images", "labels") / f"{count}.txt", BOX * count)
    write(tmp_path / "data.yaml", f"train: {first}\nval: extra/images\nnames: [tree]\n")
    counts = {image.split: len(image.boxes) for image in find_labels(tmp_path).images}
    assert counts == {"train": 1, "val": 2}


def test_an_export_of_roboflow_is_split_by_its_folders(tmp_path):
    words = {"train": "train", "val": "valid", "test": "test"}
    plan = {name: words[part] for name, part in PLAN.items()}
    paint_yolo(tmp_path, plan, images="{}/images", labels="{}/labels")
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: ['tree']\n"
    write(tmp_path / "data.yaml", text)
    assert parts(read_tileset(tmp_path, DataConfig())) == PLAN
    write(tmp_path / "data.yaml", "names: ['tree']\n")  # the folders alone
    assert parts(read_tileset(tmp_path, DataConfig())) == PLAN


def test_the_lists_of_cvat_split_yolo(tmp_path):
    paint_yolo(tmp_path, images="obj_train_data", labels="obj_train_data")
    lists(tmp_path, "data/obj_train_data/{}.png")
    write(tmp_path / "obj.names", "tree\n")
    entries = [f"{part} = data/{part}.txt" for part in ("train", "test")] + ["valid = data/val.txt"]
    write(
        tmp_path / "obj.data", "classes = 1\n" + "\n".join(entries) + "\nnames = data/obj.names\n"
    )
    tileset = read_tileset(tmp_path, DataConfig())
    assert parts(tileset) == PLAN
    assert tileset.classes == ("tree",)


@pytest.mark.parametrize("entry", ["trees.names", "data/trees.names", "/content/set/trees.names"])
def test_obj_data_gives_the_file_of_class_names(tmp_path, entry):
    paint_yolo(tmp_path, images="obj_train_data", labels="obj_train_data")
    lists(tmp_path, "data/obj_train_data/{}.png")
    write(tmp_path / "obj.data", f"train = train.txt\nvalid = val.txt\nnames = {entry}\n")
    with pytest.raises(TilesetError, match="no file with the names of their classes"):
        find_labels(tmp_path)
    write(tmp_path / "trees.names", "oak\n")
    assert find_labels(tmp_path).classes == ("oak",)


@pytest.mark.parametrize("line", ["{}", "{} 1", "{}.png"])
def test_image_sets_split_voc(tmp_path, line):
    for name in PLAN:
        paint_image(tmp_path / "JPEGImages" / f"{name}.png")
        write_voc(tmp_path / "Annotations" / f"{name}.xml", [("tree", 1, 2, 3, 4)])
    for part in ("train", "val", "test"):
        lines = (line.format(name) for name in listed(part))
        write(tmp_path / "ImageSets" / "Main" / f"{part}.txt", "\n".join(lines))
    write(tmp_path / "ImageSets" / "Main" / "tree_train.txt", "a -1\n")
    write(tmp_path / "ImageSets" / "Main" / "trainval.txt", "a\nb\nc\n")
    assert parts(read_tileset(tmp_path, DataConfig())) == PLAN


def test_a_name_in_image_sets_without_an_image_is_refused(tmp_path):
    for name in "ab":
        paint_image(tmp_path / f"{name}.png")
        write_voc(tmp_path / f"{name}.xml", [("tree", 1, 2, 3, 4)])
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "a\nz\n")
    with pytest.raises(TilesetError, match=r"train\.txt, line 2: there is no image z"):
        find_labels(tmp_path)


def coco_of(names):
    return {f"{name}.png": [(0, 1, 1, 4, 4)] for name in names}


@pytest.mark.parametrize("name", ["instances_{}.json", "instances_{}2017.json", "{}.json"])
@pytest.mark.parametrize("capital", [False, True])
def test_a_coco_file_for_each_part_splits(tmp_path, name, capital):
    for part in ("train", "val", "test"):
        for image in listed(part):
            paint_image(tmp_path / "images" / f"{image}.png")
        word = part.capitalize() if capital else part
        write_coco(tmp_path / "annotations" / name.format(word), coco_of(listed(part)))
    tileset = read_tileset(tmp_path, DataConfig())
    assert parts(tileset) == PLAN


def test_the_key_split_of_coco_splits(tmp_path):
    for name in PLAN:
        paint_image(tmp_path / f"{name}.png")
    file = write_coco(tmp_path / "labels.json", coco_of(PLAN))
    content = json.loads(file.read_text())
    for entry in content["images"]:
        entry["split"] = PLAN[entry["file_name"][0]]
    file.write_text(json.dumps(content))
    assert parts(read_tileset(tmp_path, DataConfig())) == PLAN


@pytest.mark.parametrize("has_test", [False, True])
def test_without_a_validation_part_some_of_the_training_images_validate(tmp_path, has_test, caplog):
    caplog.set_level(logging.INFO)
    names = "abcdefgh"
    plan = dict.fromkeys(names, "train") | ({"x": "test", "y": "test"} if has_test else {})
    paint_yolo(tmp_path, plan, images="{}/images", labels="{}/labels")
    write(tmp_path / "classes.txt", "tree\n")
    tileset = read_tileset(tmp_path, DataConfig(val_fraction=0.25))
    assert Counter(parts(tileset).values()) == Counter(train=6, val=2, test=2 * has_test)
    assert {name for name, part in parts(tileset).items() if part == "test"} == plan.keys() - {
        *names
    }
    first = caplog.messages[0]
    assert first.endswith(
        f"validation chosen by location: 6 train, 2 val, {2 * has_test} test images"
    )
    assert "split of the folder" in first


def test_the_first_message_says_which_split_is_used_and_how_many_images_each_part_has(
    tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    paint_yolo(tmp_path)
    paint_image(tmp_path / "images" / "e.png")
    lists(tmp_path)
    write(tmp_path / "val.txt", "images/a.png\nimages/e.png\n")
    write(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\ntest: test.txt\nnames: [tree]\n")
    read_tileset(tmp_path, DataConfig())
    first, *rest = caplog.messages
    assert first == f"{tmp_path}: split of data.yaml: 2 train, 2 val, 1 test images"
    assert any("1 of 5 images have no label file" in message for message in rest)


def test_a_tileset_without_a_split_says_so_first(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    paint_yolo(tmp_path)
    write(tmp_path / "classes.txt", "tree\n")
    read_tileset(tmp_path, DataConfig())
    first = (
        f"{tmp_path}: no split of its own, validation chosen by location: 3 train, 1 val, 0 test"
    )
    assert caplog.messages[0].startswith(first)
    caplog.clear()
    assert len(read_tileset(tmp_path, DataConfig(), part="all").split("all")) == 4
    assert caplog.messages == [f"{tmp_path}: all 4 images"]


def test_labelled_images_in_no_list_are_said_to_be_left_out(tmp_path, caplog):
    paint_yolo(tmp_path)
    paint_image(tmp_path / "images" / "e.png")  # has no label file
    lists(tmp_path)
    write(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\nnames: [tree]\n")
    assert set(parts(read_tileset(tmp_path, DataConfig()))) == {"a", "b", "c"}
    assert "in none of its parts and are not used: 1, such as d.png" in caplog.text


def test_label_files_without_an_image_beside_those_of_a_yaml_are_said_to_be_left_out(tmp_path):
    paint_yolo(tmp_path)
    for name in ("notes", "x"):
        write(tmp_path / "labels" / f"{name}.txt", BOX if name == "x" else "seen from the west\n")
    paint_image(tmp_path / "images" / "x.png").rename(tmp_path / "images" / "x.raw")
    write(tmp_path / "data.yaml", "train: images/[bc].png\nval: images/a.png\nnames: [tree]\n")
    first, second = find_labels(tmp_path).notes
    assert "not used: 1, such as d.png" in first
    assert f"have no image and are not used: 1, such as {tmp_path / 'labels' / 'x.txt'}" in second
    write(tmp_path / "train.txt", "images/x.raw\n")
    write(tmp_path / "data.yaml", "train: train.txt\nval: images/a.png\nnames: [tree]\n")
    assert {image.path.name for image in find_labels(tmp_path).images} == {"a.png", "x.raw"}


@pytest.mark.parametrize("name", ["b.gif", "b.PPM", "b.jfif", "b.img"])
def test_images_of_rarer_endings_are_listed(tmp_path, name):
    paint_yolo(tmp_path, {"a": "val"})
    formats = {".jfif": "JPEG", ".img": "PNG"}  # GDAL reads what is in a file
    picture = Image.new("L", (64, 48))
    picture.save(tmp_path / "images" / name, formats.get(name[1:]))
    write(tmp_path / "labels" / "b.txt", BOX)
    write(tmp_path / "data.yaml", "val: images\nnames: [tree]\n")
    images = read_tileset(tmp_path, DataConfig(), part="all").images
    assert [(image.path.name, image.width) for image in images] == [("a.png", 64), (name, 64)]


def test_a_tileset_may_be_named_by_way_of_another_folder(tmp_path):
    """An image has one path in data.yaml and in images.csv, however the folder is typed."""
    tiles = tmp_path / "tiles"
    (tmp_path / "other").mkdir()
    paint_yolo(tiles, images="images/{}", labels="labels/{}")
    write(tiles / "data.yaml", "train: images/train\nval: ./images/val\nnames: [tree]\n")
    rows = [f"images/{PLAN[name]}/{name}.png,here" for name in "abc"]
    write(tiles / "images.csv", "\n".join(["image,place", *rows]) + "\n")
    typed = tmp_path / "other" / ".." / "tiles"
    images = read_tileset(typed, DataConfig()).images
    assert {image.path.stem: image.split for image in images} == {
        "a": "val",
        "b": "train",
        "c": "train",
    }
    assert all(image.path.is_relative_to(typed) for image in images)


def test_an_entry_of_the_yaml_that_does_not_exist_is_refused(tmp_path):
    paint_yolo(tmp_path, images="images/{}", labels="labels/{}")
    file = write(tmp_path / "data.yaml", "train: images/train\nval: images/gone\nnames: [tree]\n")
    with pytest.raises(TilesetError, match="val: 'images/gone' does not exist") as caught:
        read_tileset(tmp_path, DataConfig())
    assert caught.value.path == file


def test_a_line_of_a_list_that_does_not_exist_is_refused(tmp_path):
    paint_yolo(tmp_path)
    lists(tmp_path)
    write(tmp_path / "train.txt", "images/b.png\nimages/z.png\n")
    write(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\nnames: [tree]\n")
    with pytest.raises(
        TilesetError, match=r"train\.txt, line 2: there is no image 'images/z\.png'"
    ):
        read_tileset(tmp_path, DataConfig())


def test_a_missing_test_part_is_left_out_with_a_warning(tmp_path, caplog):
    paint_yolo(tmp_path, images="images/{}", labels="labels/{}")
    entries = "train: images/train\nval: images/val\ntest: images/gone\nnames: [tree]\n"
    write(tmp_path / "data.yaml", entries)
    assert Counter(parts(read_tileset(tmp_path, DataConfig())).values()) == Counter(train=2, val=1)
    assert "test: 'images/gone' does not exist and is left out" in caplog.text


def test_a_yaml_with_the_paths_of_another_machine_gives_only_the_names(tmp_path):
    paint_yolo(tmp_path)
    write(tmp_path / "data.yaml", "train: /far/away\nval: /far/off\nnames: [tree]\n")
    assert {image.split for image in find_labels(tmp_path).images} == {None}


def test_the_same_images_for_training_and_validation_are_split_anew(tmp_path, caplog):
    paint_yolo(tmp_path)
    write(tmp_path / "data.yaml", "train: images\nval: images\nnames: [tree]\n")
    tileset = read_tileset(tmp_path, DataConfig())
    assert Counter(parts(tileset).values()) == Counter(train=3, val=1)
    assert "val has the images of train, and is not used" in caplog.text


def test_an_image_in_two_parts_is_refused(tmp_path):
    paint_yolo(tmp_path)
    lists(tmp_path)
    write(tmp_path / "val.txt", "images/a.png\nimages/b.png\n")
    write(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\nnames: [tree]\n")
    with pytest.raises(TilesetError, match=r"b\.png is in train and in val"):
        read_tileset(tmp_path, DataConfig())


def test_a_fold_of_the_image_table_may_be_test(tmp_path):
    for name in PLAN:
        paint_image(tmp_path / f"{name}.png")
    write(tmp_path / "points.csv", "image,x,y\n" + "".join(f"{n}.png,3,3\n" for n in PLAN))
    rows = "".join(f"{name}.png,{part}\n" for name, part in PLAN.items())
    write(tmp_path / "images.csv", "image,fold\n" + rows)
    assert parts(read_tileset(tmp_path, DataConfig(box_size_px=4))) == PLAN


def paint_folds(folder, folds):
    for name in dict(folds):
        paint_image(folder / f"{name}.png")
    write(folder / "points.csv", "image,x,y\n" + "".join(f"{n}.png,3,3\n" for n, _ in folds))
    write(folder / "images.csv", "image,fold\n" + "".join(f"{n}.png,{f}\n" for n, f in folds))


def test_without_a_fold_for_validation_some_of_the_training_images_validate(tmp_path):
    paint_folds(tmp_path, [*((name, "train") for name in "abcd"), ("e", "test")])
    tileset = read_tileset(tmp_path, DataConfig(box_size_px=4, val_fraction=0.25))
    assert parts(tileset) == {**dict.fromkeys("abc", "train"), "d": "val", "e": "test"}


def test_an_image_in_two_folds_is_refused(tmp_path):
    paint_folds(tmp_path, [("a", "train"), ("b", "val"), ("a", "train"), ("a", "val")])
    with pytest.raises(TilesetError, match=r"images\.csv: .*a\.png is in train and in val"):
        find_labels(tmp_path)


def test_a_folder_named_test_beside_images_with_labels_is_not_the_tileset(tmp_path):
    paint_yolo(tmp_path, images="", labels="")
    write(tmp_path / "classes.txt", "tree\n")
    paint_image(tmp_path / "test" / "other.png")
    assert {image.path.stem for image in find_labels(tmp_path).images} == PLAN.keys()


@pytest.mark.parametrize("place", ["imagesets/main", "ImageSets/Segmentation", "ImageSets", "."])
def test_lists_of_images_split_wherever_programs_put_them(tmp_path, place):
    for name in PLAN:
        paint_image(tmp_path / "JPEGImages" / f"{name}.png")
        write_voc(tmp_path / "Annotations" / f"{name}.xml", [("tree", 1, 2, 3, 4)])
    for part in ("train", "val", "test"):
        write(tmp_path / place / f"{part}.txt", "\n".join(listed(part)))
    assert parts(read_tileset(tmp_path, DataConfig())) == PLAN


def test_other_texts_beside_the_labels_are_no_lists(tmp_path):
    for name in PLAN:
        paint_image(tmp_path / f"{name}.png")
        write_voc(tmp_path / f"{name}.xml", [("tree", 1, 2, 3, 4)])
    for part in ("train", "val"):
        write(tmp_path / f"{part}.txt", "notes on this part\n")
    assert not any(image.split for image in find_labels(tmp_path).images)


NESTED = {"siteA/1": "train", "siteA/2": "val", "siteB/1": "val", "siteB/2": "train"}
"""Images of the same names in two folders."""


@pytest.mark.parametrize("line", ["images/{}.png", "/content/set/images/{}.png", "{}", "{} 1"])
def test_lists_beside_the_labels_tell_folders_apart(tmp_path, line, caplog):
    caplog.set_level(logging.INFO)
    for name in NESTED:
        paint_image(tmp_path / "images" / f"{name}.png")
        write(tmp_path / "labels" / f"{name}.txt", BOX)
    write(tmp_path / "classes.txt", "tree\n")
    for part in ("train", "val"):
        lines = (line.format(name) for name, split in NESTED.items() if split == part)
        write(tmp_path / f"{part}.txt", "\n".join(lines))
    tileset = read_tileset(tmp_path, DataConfig())
    assert {
        image.path.relative_to(tmp_path / "images").with_suffix("").as_posix(): image.split
        for image in tileset.images
    } == NESTED
    first = f"{tmp_path}: split of train.txt, val.txt: 2 train, 2 val, 0 test images"
    assert caplog.messages[0] == first


def test_a_name_of_several_images_in_image_sets_is_refused(tmp_path):
    for name in NESTED:
        paint_image(tmp_path / "JPEGImages" / f"{name}.png")
        write_voc(tmp_path / "Annotations" / f"{name}.xml", [("tree", 1, 2, 3, 4)])
    file = write(tmp_path / "ImageSets" / "Main" / "train.txt", "siteA/1\n2\n")
    with pytest.raises(TilesetError, match=r"train\.txt, line 2: 2 images are called 2"):
        find_labels(tmp_path)
    write(file, "siteA/1\nsiteB/2\n")
    kept = [image.path for image in find_labels(tmp_path).images]
    assert kept == [tmp_path / "JPEGImages" / f"{name}.png" for name in ("siteA/1", "siteB/2")]


def test_a_whole_path_in_a_list_means_its_image_and_not_one_further_below(tmp_path):
    names = ("images/a", "images/b", "images/old/images/a")
    for name in names:
        paint_image(tmp_path / f"{name}.png")
        write_voc(tmp_path / f"{name}.xml", [("tree", 1, 2, 3, 4)])
    write(tmp_path / "train.txt", "images/a.png\n")
    write(tmp_path / "val.txt", "images/b.png\n")
    kept = [image.path for image in find_labels(tmp_path).images]
    assert kept == [tmp_path / f"{name}.png" for name in names[:2]]
