import xml.dom.minidom
from collections import Counter

import numpy as np
import pytest
from factories_tilesets import (
    NORTH_UP,
    paint_geotiff,
    paint_image,
    shared_data,
    some_trees,
    write,
    write_coco,
)

from geodet.errors import TilesetError
from geodet.tilesets.tileset_summary import summarise_tileset


def test_a_tileset_is_counted(tmp_path, caplog):
    boxes = {
        "train": [(0, 1, 1, 4, 9), (0, 5, 5, 8, 8), (1, 9, 9, 2, 2)],
        "val": [(0, 3, 3, 12, 12)],
    }
    for number, split in enumerate(("train", "val")):
        paint_geotiff(tmp_path / f"{split}.tif", column=500 * number)
        write_coco(
            tmp_path / f"{split}.json", {f"{split}.tif": boxes[split]}, ("car", "bus", "van")
        )
    paint_geotiff(tmp_path / "empty.tif", column=2000)
    write_coco(tmp_path / "test.json", {"empty.tif": []}, ("car", "bus", "van"))
    summary = summarise_tileset(tmp_path)
    assert (summary.layout, summary.split) == ("COCO", "train.json, val.json, test.json")
    assert summary.images == {"train": 1, "val": 1, "test": 1}
    assert summary.objects == {"train": 3, "val": 1, "test": 0}
    assert summary.classes == {"car": 3, "bus": 1, "van": 0}
    assert (summary.empty, summary.ignored, summary.image_sizes) == (1, 0, ((64, 48), (64, 48)))
    sides = np.array([6, 8, 2, 12])
    np.testing.assert_allclose(summary.sides_px, np.quantile(sides, [0.1, 0.5, 0.9]))
    np.testing.assert_allclose(
        summary.sides_m, np.quantile(sides * NORTH_UP.a, [0.1, 0.5, 0.9]), rtol=1e-3
    )
    assert "1 of 4 objects are smaller than 3 px" in summary.warnings
    assert "no object is of the class 'van'" in summary.warnings
    assert caplog.text == ""


def test_validation_images_without_an_object_are_warned_of(tmp_path):
    for number, (split, boxes) in enumerate({"train": [(0, 1, 1, 8, 8)], "val": []}.items()):
        paint_geotiff(tmp_path / f"{split}.tif", column=5000 * number)
        write_coco(tmp_path / f"{split}.json", {f"{split}.tif": boxes}, ("car",))
    (warning,) = [one for one in summarise_tileset(tmp_path).warnings if "validation" in one]
    assert warning.endswith("has no objects in its 1 validation images")


def test_points_have_no_sizes(tmp_path):
    paint_image(tmp_path / "a.png")
    write(tmp_path / "p.csv", "image,x,y\na.png,3,4\na.png,3,4\n")
    summary = summarise_tileset(tmp_path)
    assert summary.are_points
    assert (summary.sides_px, summary.sides_m, summary.gsd) == (None, None, None)
    assert summary.images == {"all": 1}
    assert "objects that have the box of another object of their image: 1" in summary.warnings


def test_a_folder_without_labels_is_refused(tmp_path):
    paint_image(tmp_path / "a.png")
    with pytest.raises(TilesetError, match="1 images without labels"):
        summarise_tileset(tmp_path)


def test_the_counts_of_real_data_are_those_of_their_files(tmp_path):
    data = shared_data("")
    if not data.is_dir():
        pytest.skip(f"the real data is not at {data}")
    folder, images, rows = some_trees(tmp_path / "trees", lambda n, _: n % 12 == 0)
    folds = Counter(row["fold"] for row in images)
    trees = summarise_tileset(folder)
    assert trees.images == {"train": folds["train"], "val": folds["val"], "test": 0}
    assert sum(trees.objects.values()) == len(rows)
    names = (data / "vehicles" / "classes.txt").read_text(encoding="utf-8").split()
    files = [f for f in (data / "vehicles").glob("*.txt") if f.with_suffix(".png").exists()]
    rows = [line.split()[0] for f in files for line in f.read_text().splitlines() if line.strip()]
    counted = Counter(names[int(number)] for number in rows)
    vehicles = summarise_tileset(data / "vehicles")
    assert (vehicles.images, vehicles.objects) == ({"all": len(files)}, {"all": len(rows)})
    assert vehicles.classes == {name: counted[name] for name in names}
    thermal = summarise_tileset(data / "thermal")
    written = 0
    for part in ("train", "val"):
        files = list((data / "thermal" / part).rglob("*.xml"))
        found = [xml.dom.minidom.parse(str(f)).getElementsByTagName("object") for f in files]
        assert thermal.images[part] == len(files)
        assert sum(map(len, found)) >= thermal.objects[part]  # less the difficult and the empty
        written += sum(map(len, found))
    assert sum(thermal.objects.values()) + thermal.ignored == written


def test_pixels_of_several_types_are_warned_of(tmp_path):
    write(tmp_path / "classes.txt", "tree\n")
    for number, dtype in enumerate(["uint8", "uint16"]):
        path = paint_geotiff(tmp_path / f"{number}.tif", column=500 * number, dtype=dtype)
        write(path.with_suffix(".txt"), "0 0.5 0.5 0.2 0.2\n" * 20)
    (warning,) = [one for one in summarise_tileset(tmp_path).warnings if "pixels of" in one]
    assert f"uint8, such as {tmp_path / '0.tif'}, others uint16, such as" in warning
