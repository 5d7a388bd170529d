"""The plan of a journal: read back as it was written, and nothing else taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.detection.journal import Journal, SceneJournal, journal_folder
from geodet.detection.journal_plan import PLAN_NAME, JournalPlan, read_plan
from geodet.errors import OutputError

FINGERPRINT = {"scenes": "1", "scene 1": "a.tif"}
PLAN = {"layout": 3, "run": "ab", "fingerprint": FINGERPRINT, "unreadable": ["scene 1"]}
WRONG = {
    "a list": [],
    "a number": 3,
    "null": None,
    "another layout": {**PLAN, "layout": 2},
    "no layout": {"run": "ab", "fingerprint": FINGERPRINT},
    "a run that is a number": {**PLAN, "run": 7},
    "a fingerprint that is a list": {**PLAN, "fingerprint": [["scenes", "1"]]},
    "an empty fingerprint": {**PLAN, "fingerprint": {}},
    "a fingerprint of numbers": {**PLAN, "fingerprint": {"scenes": 1}},
    "unreadable scenes as a text": {**PLAN, "unreadable": "scene 1"},
    "unreadable scenes as numbers": {**PLAN, "unreadable": [1]},
    "unreadable scenes as lists": {**PLAN, "unreadable": [["scene 1"]]},
}
texts = st.text(max_size=9)


@given(texts, st.dictionaries(texts, texts, min_size=1), st.frozensets(texts))
def test_a_plan_comes_back_as_it_was(tmp_path_factory, run, fingerprint, unreadable):
    folder = tmp_path_factory.mktemp("journal")
    JournalPlan(run, fingerprint, unreadable).write(folder)
    assert read_plan(folder) == JournalPlan(run, fingerprint, unreadable)


@pytest.fixture
def unfinished(tmp_path):
    """Write the journal of a run that ended with one part."""
    journal = Journal(tmp_path / "out.gpkg", FINGERPRINT)
    (journal.folder / "0000").mkdir()
    (journal.folder / "0000" / "000000.part").touch()
    return journal


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_plan_is_refused_and_never_changed(unfinished, tmp_path, what):
    path, content = unfinished.folder / PLAN_NAME, json.dumps(WRONG[what])
    path.write_text(content)
    assert read_plan(unfinished.folder) is None
    with pytest.raises(OutputError, match="its plan cannot be read by this version of geodet"):
        Journal(tmp_path / "out.gpkg", FINGERPRINT)
    unfinished.note_unreadable(0)
    assert path.read_text() == content


def test_a_scene_noted_as_unreadable_may_change(unfinished, tmp_path):
    mended = {**FINGERPRINT, "scene 1": "mended.tif"}
    with pytest.raises(OutputError, match=r"scene 1 was a\.tif and is mended\.tif"):
        Journal(tmp_path / "out.gpkg", mended)
    unfinished.note_unreadable(0)
    assert Journal(tmp_path / "out.gpkg", mended).run == unfinished.run
    assert read_plan(unfinished.folder).fingerprint == mended


@pytest.mark.parametrize("content", [[], 3, None, {"size": "many"}, {"size": []}, {"size": 0.5}])
def test_windows_that_make_no_sense_are_chosen_anew(tmp_path, content):
    folder = journal_folder(tmp_path / "out.gpkg") / "0000"
    folder.mkdir(parents=True)
    (folder / "windows.json").write_text(json.dumps(content))
    assert SceneJournal(folder).choose_windows({"size": 64}) == {"size": 64}
    assert SceneJournal(folder).choose_windows({"size": 96}) == {"size": 64}
