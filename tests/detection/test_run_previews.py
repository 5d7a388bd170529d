import csv

import numpy as np
import pytest
from factories_photographs import nadir_pose, write_photograph
from PIL import Image
from pretended_predictor import SMALL

from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.errors import ConfigError, OutputError
from geodet.files.pending import PendingFile


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "flight"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    about = {"lonlat": (15.25, -45.5), "time": "2024:05:01 10:20:30", "film": 24}
    return [
        write_photograph(folder / "a.jpg", pixels, xmp=nadir_pose(70), **about),
        write_photograph(folder / "b.jpg", np.full_like(pixels, 60)),
    ]


def run(scenes, output, model, config=SMALL, **options):
    chosen = DetectOptions(device="cpu", **options)
    return detect_to_files(list(map(str, scenes)), [output], model, config, chosen)


def sizes(folder):
    found = {}
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            found[path.name] = image.size
    return found


def test_a_folder_has_a_picture_of_each(photographs, tiny_model, tmp_path):
    run(photographs, tmp_path / "out.gpkg", tiny_model, preview=tmp_path / "looks")
    assert sizes(tmp_path / "looks") == {"a.jpg": (160, 120), "b.jpg": (160, 120)}


def test_a_folder_may_have_a_dot_in_its_name(photographs, tiny_model, tmp_path):
    run(photographs, tmp_path / "out.gpkg", tiny_model, preview=f"{tmp_path}/looks.v2/")
    assert set(sizes(tmp_path / "looks.v2")) == {"a.jpg", "b.jpg"}


def test_pictures_without_objects_may_be_left_out(photographs, tiny_model, tmp_path):
    options = {"preview_format": "webp", "only_with_objects": True}
    preview = tmp_path / "looks"
    report = run(photographs, tmp_path / "out.gpkg", tiny_model, preview=preview, **options)
    found = {name for name, count in report.detections.items() if count}
    assert set(sizes(preview)) == {name.replace("jpg", "webp") for name in found}


def test_a_scene_on_the_ground_is_tiled(make_scene, tiny_model, tmp_path):
    scene = make_scene(width=2500, height=100)
    run([scene], tmp_path / "out.gpkg", tiny_model, preview=tmp_path / "looks")
    assert sizes(tmp_path / "looks") == {
        "scene_0_0.jpg": (2048, 100),
        "scene_2048_0.jpg": (452, 100),
    }


def test_several_scenes_are_one_overview(make_scene, tiny_model, tmp_path):
    scenes = [make_scene("a.tif"), make_scene("b.tif", origin=(500_100, 4_500_000))]
    run(scenes, tmp_path / "out.gpkg", tiny_model, preview=tmp_path / "both.png")
    with Image.open(tmp_path / "both.png") as image:
        assert image.width >= 96 + 100 / 0.6


def test_photographs_are_one_sheet(photographs, tiny_model, tmp_path):
    run(photographs, tmp_path / "out.gpkg", tiny_model, preview=tmp_path / "both.png")
    with Image.open(tmp_path / "both.png") as image:
        assert image.width >= 320


def test_the_table_of_counts(photographs, tiny_model, tmp_path):
    path = tmp_path / "counts.csv"
    report = run(photographs, tmp_path / "found" / "*.gpkg", tiny_model, image_counts=path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["scene"]: int(row["objects"]) for row in rows} == report.detections
    assert (rows[0]["longitude"], rows[0]["latitude"]) == ("15.25", "-45.5")
    assert rows[0]["time"] == "2024-05-01T10:20:30"
    assert rows[0]["gsd_from"] == "relative altitude"
    assert rows[1]["longitude"] == ""


def test_counts_of_georeferenced_scenes(make_scene, tiny_model, tmp_path):
    path = tmp_path / "counts.csv"
    run([make_scene()], tmp_path / "out.gpkg", tiny_model, image_counts=path)
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["longitude"]) == pytest.approx(15.0, abs=0.01)
    assert float(row["gsd_m"]) == pytest.approx(0.6, rel=0.01)
    assert row["gsd_from"] == "georeference"


def test_what_would_fail_at_the_end_is_refused(photographs, tiny_model, tmp_path):
    with pytest.raises(OutputError, match=r"flight is not empty"):
        run(photographs, tmp_path / "out.gpkg", tiny_model, preview=tmp_path / "flight")
    with pytest.raises(OutputError, match="cannot tell the format"):
        run(photographs, tmp_path / "out.gpkg", tiny_model, image_counts=tmp_path / "a.txt")
    with pytest.raises(
        ConfigError, match="--only-with-objects is given without a folder of pictures"
    ):
        run(photographs, tmp_path / "out.gpkg", tiny_model, only_with_objects=True)
    assert not (tmp_path / "out.gpkg").exists()


@pytest.mark.parametrize("what", ["preview", "report"])
def test_a_picture_that_cannot_be_written_leaves_the_detections(
    make_scene, tiny_model, tmp_path, monkeypatch, what
):
    scene, target = make_scene(), tmp_path / "late" / f"it.{'png' if what == 'preview' else 'html'}"
    target.parent.mkdir()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geodet.files.outputs.PendingFile.commit", fail_for(target, fail))
    with pytest.raises(OutputError, match="No space left") as caught:
        run([scene], tmp_path / "out.gpkg", tiny_model, **{what: target})
    assert f"the detections are complete in {tmp_path / 'out.gpkg'}" in caught.value.hint
    assert (tmp_path / "out.gpkg").exists()
    assert not target.exists()


def fail_for(target, fail):
    """Return a commit that fails for one file alone."""
    commit = PendingFile.commit
    return lambda self: fail() if self.path == target else commit(self)
