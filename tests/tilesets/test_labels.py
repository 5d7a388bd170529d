from pathlib import Path, PureWindowsPath

import pytest
from factories_tilesets import write

from geodet.errors import TilesetError
from geodet.tilesets.label_documents import find_image, join_path, read_text
from geodet.tilesets.parsed_labels import ParsedImage, parse_box


def test_an_object_without_a_class_is_refused():
    with pytest.raises(TilesetError, match="here 3: the object has no class"):
        ParsedImage(Path("a.png"), "here ").add((0, 0, 1, 1), "", 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_box_that_is_not_finite_is_refused(value):
    image = ParsedImage(Path("a.png"), "here ")
    with pytest.raises(TilesetError, match=r"here 3: the box .* is not finite"):
        image.add((0, value, 1, 1), None, 3)
    assert (image.boxes, image.names, image.numbers, image.ignored) == ([], [], [], [])


def test_a_path_with_a_drive_is_absolute_on_windows():
    folder = PureWindowsPath("D:/set/labels")
    assert join_path(folder, "C:/x/1.png") == PureWindowsPath("C:/x/1.png")
    assert join_path(folder, "../images/1.png") == PureWindowsPath("D:/set/images/1.png")


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf0 1")
    assert read_text(tmp_path / "a.txt") == "0 1"


@pytest.mark.parametrize("values", [["1", "2", "3"], ["1"] * 5, ["1", "2", "3", ""]])
def test_a_box_without_four_numbers_is_refused(values):
    with pytest.raises(TilesetError, match="line 7: "):
        parse_box(values, "line 7")


def test_an_image_is_found_in_the_first_folder_that_has_it(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for folder in folders[1:]:
        write(folder / "deep" / "x.png", "")
    assert find_image(" deep\\x.png", folders) == tmp_path / "b" / "deep" / "x.png"
    assert find_image("y.png", folders) == tmp_path / "a" / "y.png"


@pytest.mark.parametrize("folder", ["set/annotations", "far/../set/annotations", "../annotations"])
@pytest.mark.parametrize("name", ["../images/a.png", ".././images/b/../a.png"])
def test_an_image_has_one_path_whichever_folder_it_is_named_from(folder, name):
    folder = Path(folder)
    assert find_image(name, [folder]) == folder.parent / "images" / "a.png"


def test_folders_without_a_name_are_not_left_out():
    assert find_image("../../a.png", [Path("set")]) == Path("../a.png")
    assert find_image("../a.png", [Path("..")]) == Path("../../a.png")
