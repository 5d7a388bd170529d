"""A run that is interrupted goes on where it ended, and writes the rows of one that was not."""

import os
import re
import signal
import subprocess
import sys
import textwrap

import geopandas
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pretended_predictor import SMALL

from geodet.detection import window_plan
from geodet.detection.band_parts import BandPart
from geodet.detection.detect import DetectionRun, DetectOptions, detect_to_files
from geodet.detection.journal import discard_journal, journal_folder
from geodet.detection.predictor import Predictor
from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import WindowGrid
from geodet.models.checkpoint import load_checkpoint

WIDE = {"width": 450, "height": 300, "nodata": 0, "holes": [(200, 0, 330, 170)]}
THREE = SMALL.model_copy(update={"batch_size": 3, "join_fragments": True})


pytestmark = pytest.mark.usefixtures("bands_of_one_row")


@pytest.fixture
def seen(monkeypatch):
    """List the sizes of the batches that the network gets."""
    sizes, predict = [], Predictor.start

    def start(self, stacked):
        sizes.append(len(stacked.pixels))
        return predict(self, stacked)

    monkeypatch.setattr(Predictor, "start", start)
    return sizes


def run(scenes, output, model, config=THREE, **options):
    progress = options.pop("progress", lambda _: None)
    options = DetectOptions(device="cpu", **options)
    return detect_to_files(scenes, [output], model, config, options, progress=progress)


def rows(output):
    return geopandas.read_file(output, layer="detections")


class Interrupting:
    """Interrupts a run after so many batches."""

    def __init__(self, batches):
        self.left = batches

    def __call__(self, _):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def run_in_pieces(scenes, output, model, every, **options):
    """Interrupt a run again and again until it is complete; return how often."""
    for times in range(20):
        after = every + len(parts_of(output))  # finished bands are reported at once
        try:
            run(scenes, output, model, progress=Interrupting(after), **options)
        except KeyboardInterrupt:
            assert not output.exists()
        else:
            return times
    pytest.fail("it does not get anywhere")


def parts_of(output):
    return sorted(journal_folder(output).rglob("*.part"))


def test_a_run_interrupted_after_any_batch_writes_the_same_rows(
    make_scene, tiny_model, tmp_path, seen
):
    path = make_scene(width=200, height=260, nodata=0, holes=[(80, 0, 160, 100)])
    run([path], tmp_path / "whole.gpkg", tiny_model)
    whole, batches = rows(tmp_path / "whole.gpkg"), list(seen)
    assert len(whole) > 40
    assert len(batches) >= 8
    for after in range(1, len(batches) + 1):
        output = tmp_path / f"after{after}.gpkg"
        with pytest.raises(KeyboardInterrupt):
            run([path], output, tiny_model, progress=Interrupting(after))
        done, first = len(parts_of(output)), len(seen)
        report = run([path], output, tiny_model)
        assert rows(output).equals(whole)
        assert report.chips == 24
        assert report.detections == {"scene.tif": len(whole)}
        assert not journal_folder(output).exists()
        # what was finished is not computed again, and the rest in the same batches
        assert seen[first:] == (batches[-(len(seen) - first) :] if len(seen) > first else [])
        assert done == 0 or len(seen) - first < len(batches)


def test_a_run_interrupted_many_times_over_several_scenes_writes_the_same_rows(
    make_scene, tiny_model, tmp_path
):
    paths = [make_scene(name, width=200, height=220, seed=seed) for seed, name in enumerate("ab")]
    run(paths, tmp_path / "whole.gpkg", tiny_model)
    output = tmp_path / "pieces.gpkg"
    assert run_in_pieces(paths, output, tiny_model, every=5) > 2
    assert rows(output).equals(rows(tmp_path / "whole.gpkg"))


@pytest.mark.parametrize("harm", ["missing", "cut off", "changed", "empty"])
def test_a_part_that_is_not_intact_is_computed_again(make_scene, tiny_model, tmp_path, harm, seen):
    path, output = make_scene(**WIDE), tmp_path / "out.gpkg"
    run([path], tmp_path / "whole.gpkg", tiny_model)
    with pytest.raises(KeyboardInterrupt):
        run([path], output, tiny_model, progress=Interrupting(len(seen)))
    parts = parts_of(output)
    content = parts[2].read_bytes()
    harmed = {"cut off": content[:-9], "changed": content[:-9] + b"123456789", "empty": b""}
    if harm == "missing":
        parts[2].unlink()
    else:
        parts[2].write_bytes(harmed[harm])
    seen.clear()
    run([path], output, tiny_model)
    assert 0 < sum(seen) <= 10  # at most a row of windows
    assert rows(output).equals(rows(tmp_path / "whole.gpkg"))


@pytest.fixture
def unfinished(make_scene, tiny_model, tmp_path):
    """Return the scene and the output of a run that was interrupted."""
    path, output = make_scene(**WIDE), tmp_path / "out.gpkg"
    with pytest.raises(KeyboardInterrupt):
        run([path], output, tiny_model, progress=Interrupting(8))
    assert parts_of(output)
    return path, output


def test_another_setting_is_refused_by_name_and_value(unfinished, tiny_model):
    path, output = unfinished
    other = THREE.model_copy(update={"score_threshold": 0.9})
    message = r"an unfinished run.* detect\.score_threshold was None and is 0\.9\n"
    with pytest.raises(OutputError, match=message) as caught:
        run([path], output, tiny_model, other)
    assert caught.value.path == journal_folder(output)
    assert "--restart" in caught.value.hint
    assert parts_of(output)


def test_another_model_scene_or_area_is_refused(unfinished, tiny_model, make_model, make_scene):
    path, output = unfinished
    with pytest.raises(OutputError, match="differs from this one: model"):
        run([path], output, load_checkpoint(make_model("other.safetensors", classes=("palm",))))
    with pytest.raises(OutputError, match=r"differs from this one: bounds was None and is \(1, 2,"):
        run([path], output, tiny_model, bounds=(1, 2, 9e6, 9e6))
    with pytest.raises(OutputError, match="scenes was 1 and is 2; scene 2 is new"):
        run([path, make_scene("b.tif")], output, tiny_model)
    with pytest.raises(OutputError, match="differs from this one: scene 1"):
        run([make_scene("b.tif")], output, tiny_model)
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 10**9))
    with pytest.raises(OutputError, match="differs from this one: scene 1 has changed"):
        run([path], output, tiny_model)


def test_readers_and_formats_may_change(unfinished, tiny_model, tmp_path):
    path, output = unfinished
    run([path], tmp_path / "whole.gpkg", tiny_model, geometry="centroid")
    more = THREE.model_copy(update={"workers": 4})
    run([path], output, tiny_model, more, geometry="centroid")
    assert rows(output).equals(rows(tmp_path / "whole.gpkg"))


def test_windows_do_not_change_with_the_free_memory(make_scene, tiny_model, tmp_path, monkeypatch):
    path, output = make_scene(width=150, height=250), tmp_path / "out.gpkg"
    config = SMALL.model_copy(update={"chip_size": None, "overlap": None})
    monkeypatch.setattr(window_plan, "_memory", lambda _: 1.0)
    run([path], tmp_path / "whole.gpkg", tiny_model, config)
    with pytest.raises(KeyboardInterrupt):
        run([path], output, tiny_model, config, progress=Interrupting(40))
    assert parts_of(output)
    monkeypatch.setattr(window_plan, "_memory", lambda _: 1e12)
    run([path], output, tiny_model, config)
    assert rows(output).equals(rows(tmp_path / "whole.gpkg"))


def test_restart_begins_anew_and_discard_removes(unfinished, tiny_model, seen):
    path, output = unfinished
    other = THREE.model_copy(update={"score_threshold": 0.9})
    with pytest.raises(KeyboardInterrupt):
        run([path], output, tiny_model, other, restart=True, progress=Interrupting(8))
    assert discard_journal(output)
    assert not journal_folder(output).exists()
    assert not discard_journal(output)


def test_a_folder_of_that_name_with_other_files_is_left_alone(make_scene, tiny_model, tmp_path):
    folder = journal_folder(tmp_path / "out.gpkg")
    folder.mkdir()
    (folder / "thesis.docx").write_text("years of work")
    for remove in (
        lambda: run([make_scene()], tmp_path / "out.gpkg", tiny_model),
        lambda: run([make_scene()], tmp_path / "out.gpkg", tiny_model, restart=True),
        lambda: discard_journal(tmp_path / "out.gpkg"),
    ):
        with pytest.raises(OutputError, match=r"out\.gpkg\.partial contains thesis\.docx"):
            remove()
    assert (folder / "thesis.docx").exists()


@pytest.mark.parametrize("is_new", [True, False])
def test_a_run_that_dies_between_appending_and_its_end_does_not_append_again(
    make_scene, tiny_model, tmp_path, monkeypatch, is_new
):
    output = tmp_path / "out.gpkg"
    if not is_new:
        run([make_scene("far.tif", origin=(700_000, 4_500_000))], output, tiny_model)
    path = make_scene(**WIDE)

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DetectionRun, "_end_journal", die)
        with pytest.raises(KeyboardInterrupt):
            run([path], output, tiny_model, append=True)
    whole = rows(output)
    assert len(whole) > 100
    assert parts_of(output)
    run([path], output, tiny_model, append=True)
    assert rows(output).equals(whole)
    assert not journal_folder(output).exists()


boxes = st.lists(st.tuples(*[st.floats(0, 1e6, allow_subnormal=False)] * 4), max_size=5)


@given(boxes, st.integers(0, 9), st.integers(0, 10**9))
def test_a_part_comes_back_as_it_was(boxes, empty, capped):
    count = len(boxes)
    found = Detections(boxes, np.linspace(0, 1, count), np.arange(count))
    part = BandPart(found, np.eye(4, dtype=bool)[np.arange(count) % 4], empty, capped)
    back = BandPart.from_bytes(part.to_bytes())
    np.testing.assert_array_equal(back.detections.boxes, found.boxes)
    np.testing.assert_array_equal(back.detections.scores, found.scores)
    np.testing.assert_array_equal(back.detections.labels, found.labels)
    np.testing.assert_array_equal(back.cut, part.cut)
    assert (back.empty, back.capped) == (empty, capped)


@given(st.data())
def test_bands_are_whole_rows_of_the_wanted_windows(data):
    grid = WindowGrid(data.draw(st.integers(1, 900)), data.draw(st.integers(1, 900)), 64, 16)
    wanted = sorted(data.draw(st.sets(st.integers(0, len(grid) - 1))))
    bands = window_plan.list_bands(grid, data.draw(st.integers(1, 9)), wanted)
    assert [index for band in bands for index in band] == wanted
    assert all(bands)
    rows = [{index // grid.columns for index in band} for band in bands]
    assert sum(map(len, rows)) == len(set().union(*rows))


CHILD = """
    import logging, sys, torch
    from geodet.config import DetectConfig
    from geodet.detection import window_plan
    from geodet.detection.detect import DetectionRun, DetectOptions, detect_to_files
    from geodet.models.checkpoint import load_checkpoint
    from pathlib import Path

    torch.set_num_threads(1)  # as in the tests: the last bits of scores depend on it
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("geodet").setLevel(logging.DEBUG)
    window_plan._BAND_PIXELS, window_plan._BAND_BATCHES = 1, 0
    config = DetectConfig(chip_size=64, overlap=16, precision="float32", batch_size=3)
    scene, output, model = sys.argv[1:]
    detect_to_files([scene], [Path(output)], load_checkpoint(Path(model)), config,
                    DetectOptions(device="cpu"))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_run_that_is_killed_goes_on_and_computes_no_finished_band_twice(
    make_scene, make_model, tmp_path
):
    path, model, output = make_scene(width=300, height=300), make_model(), tmp_path / "out.gpkg"
    arguments = [sys.executable, "-c", textwrap.dedent(CHILD), str(path)]
    begun, finished = [], []
    for lines in (8, None):  # of the log, after which it is killed
        child = subprocess.Popen(
            [*arguments, str(output), str(model)], stderr=subprocess.PIPE, text=True
        )
        with child:
            for number, line in enumerate(child.stderr):
                if band := re.search(r"band (\d+) is computed", line):
                    begun.append(int(band[1]))
                    assert begun[-1] not in finished
                elif band := re.search(r"band (\d+) is finished", line):
                    finished.append(int(band[1]))
                if number == lines:
                    child.send_signal(signal.SIGKILL)
        killed = lines is not None
        assert child.wait(60) == (-signal.SIGKILL if killed else 0)
        assert output.exists() != killed
    assert sorted(finished) == sorted(set(begun)) == list(range(6))
    whole = tmp_path / "whole.gpkg"
    run([path], whole, load_checkpoint(model), SMALL.model_copy(update={"batch_size": 3}))
    assert rows(output).equals(rows(whole))
    assert not journal_folder(output).exists()
