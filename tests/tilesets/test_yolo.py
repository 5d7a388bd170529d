from pathlib import Path

import pytest
from factories_tilesets import paint_image, write

from geodet.errors import TilesetError
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.yolo import read_key_points, read_names, read_yolo

IMAGE = Path("a.png")


def yolo(tmp_path, text, names=("car", "bus")):
    return read_yolo([(IMAGE, write(tmp_path / "a.txt", text))], names, Path("classes.txt"))


def test_centres_become_corners(tmp_path):
    image = yolo(tmp_path, "1 0.5 0.5 0.25 0.5\n\n").images[0]
    assert image.frame == "shares"
    assert image.boxes == [(0.375, 0.25, 0.625, 0.75)]
    assert image.names == ["bus"]


def test_polygons_become_their_bounds(tmp_path):
    assert yolo(tmp_path, "0 0.1 0.2 0.5 0.1 0.3 0.6").images[0].boxes == [(0.1, 0.1, 0.5, 0.6)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"line 2: class 2 is not one of the 2 in classes\.txt"),
        ("-1 0.5 0.5 0.1 0.1", "line 2: class -1 is not one of"),
        ("0 0.5 0.5 0.1", "line 2: 3 numbers after the class"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "line 2: 7 numbers after the class"),
        ("0 0.5 half 0.1 0.1", "line 2: '0 0.5 half 0.1 0.1' is not a class index and numbers"),
        ("car 0.5 0.5 0.1 0.1", "line 2: 'car .*' is not a class index and numbers"),
        ("0 0.5 0.5 inf 0.1", "line 2: the box .* is not finite"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(tmp_path, line, message):
    with pytest.raises(TilesetError, match=message):
        yolo(tmp_path, f"0 0.5 0.5 0.1 0.1\n{line}\n")


@pytest.mark.parametrize("score", ["0.9", "1", "0.412345 17"])
def test_detections_with_scores_are_refused_as_labels(tmp_path, score):
    """What YOLO tools write with scores, and with the numbers of tracks."""
    with pytest.raises(TilesetError, match=r"a\.txt, line 2: .*a detection with a score") as caught:
        yolo(tmp_path, f"0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1 {score}\n")
    assert "without scores" in caught.value.hint


def test_a_triangle_at_the_edge_is_a_label(tmp_path):
    assert yolo(tmp_path, "0 0 0 0.5 0.5 0.5 1").images[0].boxes == [(0, 0, 0.5, 1)]


def test_an_image_without_a_file_has_no_objects(tmp_path):
    labels = read_yolo([(IMAGE, tmp_path / "none.txt")], ["car"], Path("classes.txt"))
    assert labels.images[0].boxes == []
    assert labels.classes == ("car",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "car\n\nlong truck \n"),
        ("obj.names", "car\nlong truck"),
        ("data.yaml", "names: [car, long truck]"),
        ("dataset.yaml", "names: {1: long truck, 0: car}"),
    ],
)
def test_class_names_are_read_from_the_first_folder_that_has_them(tmp_path, name, text):
    write(tmp_path / "near" / name, text)
    write(tmp_path / "far" / "classes.txt", "ship")
    folders = [tmp_path / "none", tmp_path / "near", tmp_path / "far"]
    assert read_names(folders, tmp_path) == (["car", "long truck"], tmp_path / "near" / name)


def pose(folder, line, shape, split=True):
    for name in ("a", "b"):
        paint_image(folder / "images" / f"{name}.png")
        write(folder / "labels" / f"{name}.txt", f"0 {line}\n")
    parts = "train: images/a.png\nval: images/b.png\n" if split else ""
    write(folder / "data.yaml", f"{parts}kpt_shape: {shape}\nnames: [car]\n")
    return folder


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("named_twice", [True, False])
@pytest.mark.parametrize(
    ("shape", "points"),
    [
        ("[4, 3]", "0.4 0.3 2 0.6 0.3 2 0.6 0.7 1 0 0 0"),
        ("[2, 2]", "0.4 0.3 0.6 0.3"),
        ("[1, 2]", "0.4 3"),  # as many numbers as a detection with a score and a track
    ],
)
def test_the_box_of_pose_labels_is_read_without_key_points(
    tmp_path, shape, points, split, named_twice
):
    pose(tmp_path, f"0.5 0.5 0.25 0.5 {points}", shape, split)
    if named_twice:
        write(tmp_path / "classes.txt", "car\n")
    for image in find_labels(tmp_path).images:
        assert (image.boxes, image.quads) == ([(0.375, 0.25, 0.625, 0.75)], [None])


@pytest.mark.parametrize("points", ["", "0.4 0.3 2", "0.4 0.3 2 0.6 0.3 2 0.9"])
def test_a_line_that_does_not_fit_the_key_points_is_refused(tmp_path, points):
    pose(tmp_path, f"0.5 0.5 0.25 0.5 {points}", "[2, 3]")
    count = 4 + len(points.split())
    message = rf"a\.txt, line 1: {count} numbers .* kpt_shape \[2, 3\] in .*data\.yaml needs 10\n"
    with pytest.raises(TilesetError, match=message) as caught:
        find_labels(tmp_path)
    assert "3 numbers for each of the 2 key points" in caught.value.hint


@pytest.mark.parametrize("shape", ["[4]", "4", "[4, 5]", "[0, 3]", "[a, 2]", "[1, 2, 3]"])
def test_a_broken_shape_of_key_points_is_refused(tmp_path, shape):
    pose(tmp_path, "0.5 0.5 0.25 0.5", shape)
    with pytest.raises(TilesetError, match=r"data\.yaml: kpt_shape .* is not a number of key"):
        find_labels(tmp_path)


@pytest.mark.parametrize("more", ["", "kpt_shape: null\n", "a: [\n"])
def test_labels_without_a_shape_of_key_points_have_none(tmp_path, more):
    file = write(tmp_path / "data.yaml", f"names: [car]\n{more}")
    assert read_key_points(file) is None
    assert read_key_points(tmp_path / "classes.txt") is None


def test_an_empty_line_among_the_names_is_warned_of(tmp_path, caplog):
    """Darknet and labelImg count it, others do not: the numbers below it are not certain."""
    write(tmp_path / "classes.txt", "car\n\nbus\n")
    assert read_names([tmp_path], tmp_path)[0] == ["car", "bus"]
    assert "classes.txt: line 2 is empty and counts as no class" in caplog.text


def test_empty_lines_below_the_names_are_not_warned_of(tmp_path, caplog):
    write(tmp_path / "classes.txt", "car\nbus\n\n \n")
    assert read_names([tmp_path], tmp_path)[0] == ["car", "bus"]
    assert not caplog.text


def test_a_class_written_as_a_float_is_its_number(tmp_path):
    """As NumPy and Ultralytics write and read them."""
    assert yolo(tmp_path, "1.000000e+00 0.5 0.5 0.1 0.1").images[0].names == ["bus"]
    for word in ("0.5", "nan", "inf"):
        with pytest.raises(TilesetError, match="is not a class index and numbers"):
            yolo(tmp_path, f"{word} 0.5 0.5 0.1 0.1")
