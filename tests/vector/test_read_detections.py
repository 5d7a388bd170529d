import numpy as np
import pytest
from factories_vectors import CLASSES, found, part, write

from geodet.errors import VectorError
from geodet.geometry.boxes import Detections
from geodet.vector import read_detections as read_detections_module
from geodet.vector.read_detections import iter_scene_detections, read_detections

SUFFIXES = [".gpkg", ".geojson", ".geojsonl", ".fgb", ".parquet", ".csv"]


@pytest.mark.parametrize("geometry", ["box", "centroid"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_written_is_read(tmp_path, suffix, geometry):
    path = write(tmp_path / f"found{suffix}", part(found(30)), geometry=geometry)
    read, expected = read_detections(path, CLASSES).ranked(), found(30).ranked()
    np.testing.assert_allclose(read.boxes, expected.boxes, rtol=0, atol=1e-11)
    np.testing.assert_allclose(read.scores, expected.scores, atol=6e-7)
    np.testing.assert_array_equal(read.labels, expected.labels)


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if "json" not in s])
def test_an_empty_file_reads_as_no_detections(tmp_path, suffix):
    path = write(tmp_path / f"found{suffix}", part(Detections.empty()))
    assert len(read_detections(path, CLASSES)) == 0


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.gpkg", "nothing", "cannot read detections from"),
        ("a.parquet", "nothing", "cannot read detections from"),
        ("a.csv", "label,score\ntree,1\n", r"a\.csv lacks the field x1_px"),
    ],
)
def test_files_of_other_programs_are_refused(tmp_path, name, content, match):
    (tmp_path / name).write_text(content)
    with pytest.raises(VectorError, match=match) as caught:
        read_detections(tmp_path / name, CLASSES)
    assert "geodet detect" in caught.value.hint


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(VectorError, match="cannot read detections from"):
        read_detections(tmp_path / "none.parquet", CLASSES)


def test_another_class_is_an_error(tmp_path):
    path = write(tmp_path / "found.gpkg", part(found(30)))
    with pytest.raises(VectorError, match="has the class palm, which is not one of tree") as caught:
        read_detections(path, ("tree", "pole"))
    assert caught.value.hint == "name the model that wrote it, with --model FILE"


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.csv", "a.parquet"])
def test_parts_of_rows_are_all_rows_with_their_scenes(tmp_path, monkeypatch, name):
    parts = [part(found(count, seed=count), scene=f"{count}.tif") for count in (5, 7)]
    write(tmp_path / name, *parts)
    monkeypatch.setattr(read_detections_module, "_ROWS", 4)
    rows = list(iter_scene_detections(tmp_path / name, CLASSES))
    assert name.endswith("parquet") or len(rows) > 2
    for one in parts:
        boxes = np.concatenate([some.boxes for scene, some in rows if scene == one.scene])
        given = one.detections.boxes
        np.testing.assert_allclose(boxes[np.lexsort(boxes.T)], given[np.lexsort(given.T)])
