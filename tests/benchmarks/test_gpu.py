"""The benchmarks for a GPU that is there for minutes, tried out where there is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import geodet

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks" / "gpu"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


def run(results, *options):
    command = [sys.executable, str(FOLDER / "run.py"), "--device", "cpu", "--tiny"]
    return subprocess.run(
        [*command, "--results", str(results), *options], capture_output=True, text=True, check=False
    )


def test_steps_are_measured_once_and_written_down(tmp_path):
    done = run(tmp_path, "--only", "merging", "whole")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert {name: result["outcome"] for name, result in results.items()} == dict.fromkeys(
        ("whole", "merging"), "done"
    )
    (row,) = results["whole"]["rows"]
    assert row["objects"] > 50
    assert 0 < row["relative to the network alone"] < 1.5
    assert "10^6 candidates" in (tmp_path / "table.txt").read_text()

    again = run(tmp_path, "--only", "merging")
    assert again.returncode == 0
    assert "begins" not in again.stdout  # all is there
    assert json.loads((tmp_path / "results.json").read_text()) == results


def test_a_step_that_fails_costs_only_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    code = (
        "import sys, json; from pathlib import Path; from harness import *\n"
        "steps = [Step('bad', '', 'json', 'nothing', 9), Step('hangs', '', 'time', 'sleep', 9)]\n"
        "book = Book(Path(sys.argv[1]), None)\n"
        "run_steps(steps, Setting('cpu', False, Path(sys.argv[1]), None), book, seconds=60)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [results[name]["outcome"] for name in ("bad", "hangs")] == ["failed", "failed"]
    assert "nothing" in results["bad"]["error"]
