"""Documents made to break a reader: an error with a hint, at once, and nothing is written."""

import time

import pytest
from cli_runner import invoke_fixture  # noqa: F401 - fixture
from factories_tilesets import paint_image, write, write_coco

BOX = (0, 1, 2, 9, 9)
BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


def coco(folder, old, new):
    """Write a COCO file with a part of its text replaced."""
    for name in "ab":
        paint_image(folder / f"{name}.png")
    path = write_coco(folder / "labels.json", {"a.png": [BOX], "b.png": [BOX]})
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return ["info", folder]


def yaml(folder, text):
    for name in "ab":
        paint_image(folder / "images" / f"{name}.png")
        write(folder / "labels" / f"{name}.txt", "0 0.5 0.5 0.1 0.1\n")
    write(folder / "data.yaml", text)
    return ["info", folder]


def cvat(folder, subset="train", rotation="0"):
    for name in "ab":
        paint_image(folder / f"{name}.png")
    shape = f"<box label='tree' xtl='1' ytl='2' xbr='9' ybr='9' rotation='{rotation}'/>"
    image = f"<image name='a.png' width='64' height='48' subset='{subset}'>{shape}</image>"
    write(folder / "annotations.xml", f"<annotations>{image}</annotations>")
    return ["info", folder]


def table(folder, header):
    for name in "ab":
        paint_image(folder / f"{name}.png")
    write(folder / "labels.csv", f"{header},x,z\na.png,1,2\n")
    return ["info", folder]


def scene_list(folder, line):
    write(folder / "scenes.txt", f"{line}\n")
    return ["detect", f"@{folder / 'scenes.txt'}", "-o", folder / "out.gpkg"]


def toml(folder, text):
    return ["config", "--config", write(folder / "a.toml", text)]


CASES = {
    "a file name of 5,000 characters": lambda f: coco(f, "a.png", "a" * 5000),
    "a file name with NUL": lambda f: coco(f, "a.png", "a\\u0000.png"),
    "a file name with half a character": lambda f: coco(f, "a.png", "\\ud800.png"),
    "an infinite id": lambda f: coco(f, '"images": [{"id": 1', '"images": [{"id": Infinity'),
    "an infinite width": lambda f: coco(f, '"width": 64', '"width": Infinity'),
    "a width that is no number": lambda f: coco(f, '"width": 64', '"width": NaN'),
    "an infinite box": lambda f: coco(f, "[1, 2, 9, 9]", "[1, 2, Infinity, 9]"),
    "a box beyond any image": lambda f: coco(f, "[1, 2, 9, 9]", "[1, 2, 1e300, 9]"),
    "an id of 5,000 digits": lambda f: coco(
        f, '"images": [{"id": 1', f'"images": [{{"id": {"9" * 5000}'
    ),
    "a side of 400 digits": lambda f: coco(f, "[1, 2, 9, 9]", f"[1, 2, {'9' * 400}, 9]"),
    "JSON of 100,000 levels": lambda f: coco(f, "[1, 2, 9, 9]", "[" * 100_000 + "]" * 100_000),
    "an annotation that is a list": lambda f: coco(f, '"annotations": [', '"annotations": [[],'),
    "a subset of 5,000 characters": lambda f: cvat(f, subset="a" * 5000),
    "an infinite rotation": lambda f: cvat(f, rotation="1e999"),
    "a column of 5,000 characters": lambda f: table(f, "a" * 5000),
    "a list of scenes with a name of 300 characters": lambda f: scene_list(f, "a" * 300),
    "a list of scenes with a name of 5,000 characters": lambda f: scene_list(f, "a/" * 2500),
    "a list of scenes with NUL": lambda f: scene_list(f, "a\0.tif"),
    "a list of scenes with NUL in a name of GDAL": lambda f: scene_list(f, "/vsizip/a\0.zip"),
    "a list of scenes with a home of nobody": lambda f: scene_list(f, "~no-such-user/a.tif"),
    "YAML of 20,000 levels": lambda f: yaml(f, "names: " + "[" * 20_000 + "]" * 20_000),
    "a bomb of aliases": lambda f: yaml(f, f"{BOMB}names: *a11\n"),
    "names that contain themselves": lambda f: yaml(f, "names: &a [*a]\n"),
    "names with a number of 5,000 digits": lambda f: yaml(f, f"names: {{{'9' * 5000}: tree}}\n"),
    "TOML of 5,000 levels": lambda f: toml(f, "a = " + "[" * 5000 + "]" * 5000),
    "TOML with a key of 5,000 parts": lambda f: toml(f, ".".join("a" * 5000) + " = 1"),
    "TOML with a number of 5,000 digits": lambda f: toml(f, "[detect]\nchip_size = " + "9" * 5000),
    "TOML with a number of 5,000 hexadecimal digits": lambda f: toml(f, "a = 0x" + "f" * 5000),
}


@pytest.mark.parametrize("name", CASES)
def test_crafted_documents_are_refused_with_a_hint(name, invoke, tmp_path):
    arguments = CASES[name](tmp_path)
    before = sorted(tmp_path.rglob("*"))
    start = time.process_time()
    done = invoke(*arguments, code=1)
    assert time.process_time() - start < 10
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert len(done.stderr) < 1000
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_exist_is_passed_over(invoke, tmp_path):
    text = f"path: {'a' * 5000}\ntrain: images\nval: images\nnames: [tree]\n"
    assert "classes" in invoke(*yaml(tmp_path, text)).stdout
