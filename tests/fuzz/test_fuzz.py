"""Whatever a document says, the outcome is a result, or an error with a hint."""

import copy
import sys

import fuzz_child
import fuzz_targets
import pytest
from fuzz_run import TARGETS, run_cases

CASES = 156  # six of each target; `make fuzz` runs 10,000
NO_TREES = ("setting", "header", "weights", "onnx")
"""Targets that change more than the values of a document."""


def test_crafted_documents_end_in_a_result_or_in_an_error_with_a_hint():
    """A case that fails is run again by ``tests/fuzz/fuzz_run.py --case TARGET:SEED``."""
    found = run_cases(TARGETS, 0, CASES)
    assert found.wrong == []
    assert found.codes.total() == CASES
    assert found.codes["0"] > CASES / 10
    assert found.codes["1"] > CASES / 3


def test_all_targets_are_run():
    assert set(TARGETS) == set(fuzz_targets.TARGETS)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in NO_TREES])
def test_the_unchanged_document_is_read(name, tmp_path, monkeypatch):
    for module in fuzz_targets.MODULES:
        monkeypatch.setattr(module, "mutate", lambda tree, _: copy.deepcopy(tree))
    monkeypatch.setattr(sys, "argv", [])
    arguments = fuzz_child.write_case(name, 0, tmp_path)
    assert fuzz_child.outcome(arguments) == ("", 0)


@pytest.mark.parametrize(
    ("raised", "said", "wrong"),
    [
        (SystemExit(0), "", ""),
        (SystemExit(1), "error: a\nhint: b", ""),
        (SystemExit(3), "error: a\nhint: b", ""),
        (SystemExit(1), "error: a", "no hint"),
        (SystemExit(1), f"error: {'a' * 5000}\nhint: b", "5015 characters"),
        (SystemExit(1), "", "exit code 1"),
        (SystemExit(2), "error: a\nhint: b", "exit code 2"),
        (KeyError("a"), "", "KeyError"),
        (RecursionError(), "", "RecursionError"),
        (MemoryError(), "", "MemoryError"),
    ],
)
def test_any_other_outcome_is_wrong(monkeypatch, raised, said, wrong):
    def run():
        print(said, file=sys.stderr)
        raise raised

    monkeypatch.setattr(fuzz_child, "run", run)
    monkeypatch.setattr(sys, "argv", [])
    report, _ = fuzz_child.outcome(["info"])
    assert (wrong in report) if wrong else report == ""


def test_a_case_is_the_same_each_time(tmp_path):
    texts = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        fuzz_child.write_case("coco", 7, folder)
        texts.append((folder / "labels.json").read_bytes())
    assert texts[0] == texts[1]
    fuzz_child.write_case("coco", 8, tmp_path / "a")
    assert (tmp_path / "a" / "labels.json").read_bytes() != texts[0]
