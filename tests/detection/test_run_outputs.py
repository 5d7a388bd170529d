"""An output that cannot be written takes no other with it."""

import geopandas
import pytest
from pretended_predictor import SMALL

from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.journal import journal_folder
from geodet.detection.predictor import Predictor
from geodet.errors import OutputError
from geodet.vector.csv_format import CsvWriter
from geodet.vector.gdal_formats import GeoJsonWriter

OPTIONS = DetectOptions(device="cpu")


pytestmark = pytest.mark.usefixtures("bands_of_one_row")


def fail(*_):
    raise OSError("no space")


@pytest.fixture
def broken(monkeypatch):
    """Return a function that breaks a step of the writers of GeoJSON and CSV."""

    def break_step(step):
        patch = pytest.MonkeyPatch()
        for kind in (GeoJsonWriter, CsvWriter):
            patch.setattr(kind, step, fail)
        return patch.undo

    return break_step


@pytest.mark.parametrize("step", ["_add", "_complete"])
@pytest.mark.parametrize("place", [0, 1])
def test_the_others_are_complete_and_it_is_written_later_from_what_was_found(
    make_scene, tiny_model, tmp_path, monkeypatch, broken, step, place
):
    scene, good, bad = make_scene(), tmp_path / "good.gpkg", tmp_path / "bad.geojson"
    outputs = [good]
    outputs.insert(place, bad)
    mend = broken(step)
    with pytest.raises(
        OutputError, match=r"1 of 2 outputs could not be written, and .*good"
    ) as told:
        detect_to_files([scene], outputs, tiny_model, SMALL, OPTIONS)
    mend()
    assert f"-o {bad} alone: it continues from the detections" in told.value.hint
    assert list(told.value.failed) == [bad]
    assert told.value.report.outputs == (good,)
    assert not bad.exists()
    found = geopandas.read_file(good, layer="detections")
    assert len(found) == sum(told.value.report.detections.values()) > 0
    assert [path.name for path in tmp_path.glob("*.partial")] == [journal_folder(bad).name]

    monkeypatch.setattr(Predictor, "start", fail)  # nothing is computed again
    detect_to_files([scene], [bad], tiny_model, SMALL, OPTIONS)
    assert len(geopandas.read_file(bad)) == len(found)
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".geodet*"))


def test_if_none_can_be_written_the_first_error_is_raised(make_scene, tiny_model, tmp_path, broken):
    outputs = [tmp_path / "bad.geojson", tmp_path / "bad.csv"]
    mend = broken("_complete")
    with pytest.raises(OutputError, match=r"cannot write .*bad\.csv: no space") as told:
        detect_to_files([make_scene()], outputs, tiny_model, SMALL, OPTIONS)
    mend()
    assert told.value.report is None
    assert [path.name for path in tmp_path.glob("*.partial")] == ["bad.geojson.partial"]
    detect_to_files([tmp_path / "scene.tif"], outputs, tiny_model, SMALL, OPTIONS)
    assert all(output.exists() for output in outputs)
