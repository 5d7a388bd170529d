import contextlib
import io
import json

import numpy as np
import pytest
from factories_vectors import CLASSES, NORTH_UP, UTM, found, litter, open_layer, part, write
from pycocotools.coco import COCO

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.tilesets.coco import read_coco
from geodet.tilesets.yolo import read_yolo
from geodet.vector.pixel_formats import check_yolo_names

WIDE = SceneDetections("wide.tif", GeoBox(2000, 500, NORTH_UP, UTM), found(7, 4))
TYPES = {"image_id": int, "category_id": int, "score": float, "file_name": str, "category": str}


def results(path):
    return json.loads(path.read_text(encoding="utf-8"))


def truth(tmp_path, names, annotations=()):
    content = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names, start=1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)],
        "annotations": list(annotations),
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_pycocotools_reads_the_results(tmp_path):
    first = part(found(5))
    path = write(tmp_path / "found.coco.json", first, WIDE)
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(truth(tmp_path, ["a.tif", "wide.tif"])).loadRes(str(path))
    for image, source in ((1, first), (2, WIDE)):
        found_ = read.loadAnns(read.getAnnIds(imgIds=[image]))
        boxes = np.array([a["bbox"] for a in found_])
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_allclose(boxes, source.detections.boxes, atol=1e-9)
        scores = [a["score"] for a in found_]
        np.testing.assert_allclose(scores, source.detections.scores, atol=5.1e-7)
        labels = [a["category_id"] - 1 for a in found_]
        assert labels == source.detections.labels.tolist()
        assert {a["file_name"] for a in found_} == {source.scene}
        assert [a["category"] for a in found_] == [CLASSES[label] for label in labels]


def test_geodet_reads_the_results_as_annotations(tmp_path):
    path = write(tmp_path / "found.coco.json", part(found(5)), WIDE)
    labels = read_coco(truth(tmp_path, ["a.tif", "wide.tif"], results(path)), [tmp_path])
    assert [len(image.boxes) for image in labels.images] == [5, 7]
    np.testing.assert_allclose(labels.images[1].boxes, WIDE.detections.boxes, atol=1e-9)


def test_values_have_the_types_of_coco(tmp_path):
    (first, *_) = results(write(tmp_path / "found.coco.json"))
    assert {key: type(first[key]) for key in TYPES} == TYPES
    assert [type(v) for v in first["bbox"]] == [float] * 4


def test_an_image_keeps_its_number(tmp_path):
    """Parts of scenes may take turns, and scenes without objects count."""
    with open_layer(tmp_path / "a.json", None, format="coco") as writer:
        for one in (part(found(2)), part(Detections.empty(), scene="b.tif"), WIDE, part(found(1))):
            writer.write(one)
    assert [r["image_id"] for r in results(tmp_path / "a.json")] == [1, 1, *[3] * 7, 1]


def test_scenes_of_one_name_have_two_numbers(tmp_path):
    other = SceneDetections("a.tif", GeoBox(9, 9, NORTH_UP, UTM), found(1))
    path = write(tmp_path / "found.coco.json", part(found(1)), other)
    assert [r["image_id"] for r in results(path)] == [1, 2]


def test_no_detections_are_an_empty_list(tmp_path):
    assert results(write(tmp_path / "found.coco.json", part(Detections.empty()))) == []


def test_geodet_reads_yolo_text(tmp_path):
    first = part(found(5))
    folder = write(tmp_path / "found", first, WIDE, format="yolo", metadata={"model": "é"})
    names = (folder / "classes.txt").read_text(encoding="utf-8").split()
    assert names == list(CLASSES)
    assert json.loads((folder / "geodet.json").read_text(encoding="utf-8")) == {
        "model": "é",
        "files": ["classes.txt", "a.txt", "wide.txt"],
    }
    for source in (first, WIDE):
        file = folder / source.scene.replace(".tif", ".txt")
        lines = [line.rsplit(" ", 1) for line in file.read_text(encoding="utf-8").splitlines()]
        file.write_text("".join(f"{label}\n" for label, _ in lines), encoding="utf-8")
        scores = [float(score) for _, score in lines]
        np.testing.assert_allclose(scores, source.detections.scores, atol=5.1e-7)
        (image,) = read_yolo(
            [(tmp_path / source.scene, file)], names, folder / "classes.txt"
        ).images
        sides = np.array([source.geobox.width, source.geobox.height] * 2)
        np.testing.assert_allclose(image.boxes * sides, source.detections.boxes, atol=1e-9)
        assert image.names == [CLASSES[label] for label in source.detections.labels]


def test_parts_of_several_scenes_may_alternate(tmp_path):
    empty = part(Detections.empty(), scene="none.tif")
    folder = write(tmp_path / "y", part(found(2)), WIDE, empty, part(found(3, 1)), format="yolo")
    counts = {file.name: len(file.read_text().splitlines()) for file in folder.glob("*.txt")}
    assert counts == {"a.txt": 5, "wide.txt": 7, "none.txt": 0, "classes.txt": 2}


@pytest.mark.parametrize("name", ["a.png", "classes.tif"])
def test_two_scenes_do_not_share_a_file(tmp_path, name):
    with pytest.raises(OutputError, match=r"\.txt would hold detections of .* and something else"):
        write(tmp_path / "y", part(), part(scene=name), format="yolo")
    assert not list(tmp_path.iterdir())


def test_names_are_checked_before_there_is_anything_to_write(tmp_path):
    check_yolo_names(tmp_path / "y", ["a.tif", "b/a2.tif", "a.b.tif"])
    with pytest.raises(
        OutputError, match=r"y/a\.txt would hold detections of b/a\.png and something else"
    ):
        check_yolo_names(tmp_path / "y", ["a.tif", "b/a.png"])
    with pytest.raises(OutputError, match=r"classes\.txt would hold detections of classes\.jpg"):
        check_yolo_names(tmp_path / "y", ["classes.jpg"])


def test_metadata_added_at_the_end_are_in_the_folder(tmp_path):
    with open_layer(tmp_path / "y", metadata={"model": "m"}, format="yolo") as writer:
        writer.write(part())
        writer.annotate({"scenes left out": "b.tif"})
    about = results(tmp_path / "y" / "geodet.json")
    assert about == {"model": "m", "scenes left out": "b.tif", "files": ["classes.txt", "a.txt"]}


def test_only_a_folder_that_geodet_wrote_is_replaced(tmp_path):
    folder = write(tmp_path / "y", part(), WIDE, format="yolo")
    with pytest.raises(OutputError, match="is not empty"):
        write(folder, format="yolo")
    write(folder, format="yolo", overwrite=True)
    assert sorted(f.name for f in folder.iterdir()) == ["a.txt", "classes.txt", "geodet.json"]
    (folder / "geodet.json").unlink()  # now it looks like anybody's labels
    with pytest.raises(OutputError, match="holds more than an earlier output"):
        write(folder, format="yolo", overwrite=True)
    assert len(list(folder.iterdir())) == 2
    assert not litter(tmp_path)


def test_a_folder_with_another_file_is_not_replaced(tmp_path):
    folder = write(tmp_path / "y", format="yolo")
    (folder / "notes.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"holds more than an earlier output: notes\.txt"):
        write(folder, format="yolo", overwrite=True)
    assert (folder / "notes.txt").read_text() == "dear"


@pytest.mark.parametrize("about", ["[]", "{}", "no", '{"files": 3}'])
def test_a_folder_without_a_list_of_its_files_is_not_replaced(tmp_path, about):
    folder = write(tmp_path / "y", format="yolo")
    (folder / "geodet.json").write_text(about)
    with pytest.raises(OutputError, match="holds more than an earlier output"):
        write(folder, format="yolo", overwrite=True)
