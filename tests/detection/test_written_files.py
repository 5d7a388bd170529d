"""A run that is interrupted while its files appear goes on, and replaces its own files alone."""

import os
import shutil

import geopandas
import pytest
from pretended_predictor import SMALL

from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.journal import journal_folder
from geodet.detection.predictor import Predictor
from geodet.detection.written_files import note_written, read_written
from geodet.errors import OutputError
from geodet.files import pending

pytestmark = pytest.mark.usefixtures("bands_of_one_row")

OUTPUTS = ("a.gpkg", "a.geojson", "b.shp")


def run(scene, folder, model, names=OUTPUTS, **options):
    outputs = [folder / name for name in names]
    return detect_to_files([scene], outputs, model, SMALL, DetectOptions(device="cpu", **options))


def rows(path):
    return geopandas.read_file(path, layer="detections" if path.suffix == ".gpkg" else 0)


def beside(folder):
    """Return options with every other file that a run can write."""
    about = {"preview": "seen.png", "report": "page.html", "image_counts": "counts.csv"}
    return {name: folder / path for name, path in about.items()} | {"style": True}


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that interrupts runs when so many outputs have appeared."""

    def after(count):
        patch, left = pytest.MonkeyPatch(), [count]
        for kind in (pending.PendingFile, pending.PendingFolder):
            patch.setattr(kind, "commit", _ending(kind.commit, left))
        return patch.undo

    return after


def _ending(commit, left):
    def put(self):
        commit(self)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    return put


def test_a_run_interrupted_after_any_of_its_files_goes_on_without_searching_again(
    make_scene, tiny_model, tmp_path, monkeypatch, interrupt
):
    scene, whole, folder = make_scene(), tmp_path / "whole", tmp_path / "out"
    whole.mkdir()
    run(scene, whole, tiny_model, **beside(whole))
    files = {path.name for path in whole.iterdir()}
    assert {"seen.png", "page.html", "counts.csv", "a.qml"} < files
    start, ended = Predictor.start, 0
    for count in range(1, 99):
        folder.mkdir()
        monkeypatch.setattr(Predictor, "start", start)
        stop = interrupt(count)
        try:
            run(scene, folder, tiny_model, **beside(folder))
        except KeyboardInterrupt:
            ended += 1
        else:
            break
        finally:
            stop()
        monkeypatch.setattr(Predictor, "start", None)  # nothing is searched again
        run(scene, folder, tiny_model, **beside(folder))
        assert {path.name for path in folder.iterdir()} == files
        for name in OUTPUTS:
            assert rows(folder / name).equals(rows(whole / name))
        shutil.rmtree(folder)
    assert ended == 7  # the Shapefile is moved otherwise


def test_a_folder_of_pictures_is_drawn_to_its_end(
    make_scene, tiny_model, tmp_path, monkeypatch, interrupt
):
    scene, looks = make_scene(width=2500, height=100), tmp_path / "looks"
    stop = interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        run(scene, tmp_path, tiny_model, ["a.gpkg"], preview=looks)
    stop()
    assert len(list(looks.iterdir())) == 1
    monkeypatch.setattr(Predictor, "start", None)
    run(scene, tmp_path, tiny_model, ["a.gpkg"], preview=looks)
    assert len(list(looks.iterdir())) == 2


@pytest.fixture
def unfinished(make_scene, tiny_model, tmp_path, interrupt):
    """Return the scene and the first output of a run that was interrupted when it appeared."""
    scene, stop = make_scene(), interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        run(scene, tmp_path, tiny_model)
    stop()
    return scene, tmp_path / "a.gpkg"


def test_a_file_that_another_program_has_changed_since_is_not_replaced(
    unfinished, tiny_model, tmp_path
):
    scene, output = unfinished
    os.utime(output, ns=(1, 1))
    with pytest.raises(OutputError, match=r"a\.gpkg exists already"):
        run(scene, tmp_path, tiny_model)
    assert journal_folder(output).exists()
    run(scene, tmp_path, tiny_model, overwrite=True)


def test_a_run_that_begins_anew_replaces_no_file(unfinished, tiny_model, tmp_path):
    scene, output = unfinished
    with pytest.raises(OutputError, match=r"a\.gpkg exists already"):
        run(scene, tmp_path, tiny_model, restart=True)
    assert journal_folder(output).exists()


def test_another_geometry_is_written_to_all_outputs(unfinished, tiny_model, tmp_path):
    scene, output = unfinished
    run(scene, tmp_path, tiny_model, geometry="centroid")
    assert set(rows(output).geom_type) == {"Point"}


# What is noted


def put(journal, place, text, *, dies=False):
    temporary = place.with_name("new")
    temporary.write_text(text)
    note_written(journal, temporary, place)
    if not dies:
        temporary.replace(place)


def test_a_file_is_known_as_it_was_written_last_and_before(tmp_path):
    place, other = tmp_path / "a.csv", tmp_path / "b.csv"
    put(tmp_path, place, "one")
    assert read_written(tmp_path).includes(place)
    put(tmp_path, place, "three", dies=True)  # before it is moved to its place
    assert read_written(tmp_path).includes(place)
    put(tmp_path, place, "three")
    assert read_written(tmp_path).includes(place)
    place.write_text("theirs, longer")
    assert not read_written(tmp_path).includes(place)
    other.write_text("theirs")
    assert not read_written(tmp_path).includes(other)


def test_a_note_that_is_cut_off_does_not_count(tmp_path):
    put(tmp_path, tmp_path / "a.csv", "one")
    with (tmp_path / "plan.json.files").open("a") as notes:
        notes.write('["/half')
    assert read_written(tmp_path).includes(tmp_path / "a.csv")
    assert not read_written(tmp_path / "none").identities


def test_a_folder_is_known_by_what_is_in_it(tmp_path):
    journal, place = tmp_path / "journal", tmp_path / "tiles"
    journal.mkdir()
    place.mkdir()
    (place / "a.txt").write_text("1")
    note_written(journal, place, place)
    assert read_written(journal).includes(place)
    assert not read_written(journal).includes_all_in(place)
    (place / "b.txt").write_text("theirs")
    assert not read_written(journal).includes(place)
