"""The command line of compare-runs, and of info for a run."""

import csv
import json

import pytest
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from factories_models import write_tileset

from geodet.config import Config
from geodet.training.run_about import write_run_about


@pytest.fixture
def runs(tmp_path):
    """Write two runs, of which the second has no epoch yet."""
    for name, rate in (("a", 1e-3), ("b", 3e-4)):
        folder = tmp_path / f"{name}.run"
        folder.mkdir()
        write_run_about(folder, Config.model_validate({"train": {"learning_rate": rate}}))
    log = "run,epoch,loss,chips_per_second,f1,ap,val_loss\na,1,2.0,8.0,0.25,0.1,2.5\n"
    (tmp_path / "a.run" / "log.csv").write_text(log)
    return ("a.run", "b.run")


def test_a_table_is_printed_or_written(invoke, runs, tmp_path):
    told = json.loads(invoke("compare-runs", *runs, "--json").stdout)
    assert [one["train.learning_rate"] for one in told] == ["0.001", "0.0003"]
    assert [one["best F1"] for one in told] == ["0.250", ""]
    assert "0.250" in invoke("compare-runs", *runs).stdout
    latex = invoke("compare-runs", *runs, "--format", "latex", "--plot", "p.svg").stdout
    assert latex.startswith(r"\begin{tabular}")
    assert latex.endswith("\\end{tabular}\n")
    assert (tmp_path / "p.svg").exists()
    assert invoke("compare-runs", *runs, "-o", "runs.csv").stdout == "runs.csv\n"
    with (tmp_path / "runs.csv").open(newline="") as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["a", "b"]
    assert "exists already" in invoke("compare-runs", *runs, "-o", "runs.csv", code=1).stderr


def test_what_is_no_run_is_an_error(invoke, tmp_path):
    (tmp_path / "tiles").mkdir()
    assert "tiles is not a training run" in invoke("compare-runs", "tiles", code=1).stderr


@pytest.mark.usefixtures("runs")
def test_info_prints_a_run(invoke):
    told = invoke("info", "a.run").stdout
    assert "validation loss  2.5" in told
    assert json.loads(invoke("info", "a.run", "--json").stdout)["rows"][0]["ap"] == 0.1
    assert "chips/s" in told
    assert "chips/s" not in invoke("info", "b.run").stdout  # before its first epoch ends


def test_a_series_that_is_interrupted_says_how_it_goes_on(invoke, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("geodet.training.run_series.run_series", interrupt)
    write_tileset(tmp_path / "tiles")
    words = ("train", "--data", "tiles", "-o", "a.safetensors", "--seeds", "2")
    assert "run the same command without --overwrite to continue" in invoke(*words, code=130).stderr


def test_a_dry_run_of_several_trainings_is_refused(invoke, tmp_path):
    (tmp_path / "tiles").mkdir()
    done = invoke("train", "--data", "tiles", "--dry-run", "--seeds", "2", code=2)
    assert "cannot be used with --seeds and --sweep" in done.stderr
