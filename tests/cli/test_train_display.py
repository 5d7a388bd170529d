"""The display of a training run, and its end by a signal."""

import io
import os
import signal
import subprocess
import sys

import pytest
import rich.console
import tomli_w
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from factories_models import architecture, write_tileset

from geodet.config import Config
from geodet.training.run_folder import load_state
from geodet.training.train import EpochReport, StepReport
from geodet_cli import train_display
from geodet_cli.train_display import _LiveTable
from geodet_cli.train_display import train_display as display

FIGURES = {
    "loss": 0.5,
    "classification_loss": 0.25,
    "box_loss": 0.125,
    "gradient_norm": 3.0,
    "learning_rate": 0.001,
    "chips_per_second": 12.0,
    "skipped_steps": 0.0,
}
VALIDATED = FIGURES | {"f1": 0.75, "precision": 0.7, "recall": 0.8, "score_threshold": 0.32}


def step(epoch, number, *, epochs=12, steps=4):
    return StepReport(epoch, epochs, number, steps, 0.875, 0.001, 12.5)


def drawn(table):
    console = rich.console.Console(file=io.StringIO(), width=140)
    console.print(table._render())
    return console.file.getvalue()


def test_the_table_shows_the_latest_epochs_and_two_bars():
    table = _LiveTable(rich.console.Console(file=io.StringIO(), width=140))
    table.step(step(1, 1))
    text = drawn(table)
    assert "epoch 1" in text
    assert "1/4" in text
    assert "1/48" in text
    assert "loss 0.8750  12.5 chips/s" in text
    for epoch in range(1, 11):
        table.step(step(epoch, 4))
        table.epoch(EpochReport(epoch, 12, VALIDATED if epoch == 10 else FIGURES))
    lines = drawn(table).splitlines()
    assert lines[0].split()[:3] == ["epoch", "loss", "classification"]
    assert [line.split()[0] for line in lines[1:9]] == [str(n) for n in range(3, 11)]
    assert lines[8].split()[-4:] == ["0.750", "0.700", "0.800", "0.32"]
    assert "validation" in lines[9]
    assert "40/48" in lines[10]


def test_the_bar_of_a_resumed_run_starts_further_on():
    table = _LiveTable(rich.console.Console(file=io.StringIO(), width=140))
    table.step(step(11, 1))
    assert "41/48" in drawn(table)
    assert table._bars.tasks[1].speed is None  # what was done before says nothing of the speed


def test_without_a_terminal_lines_are_printed(capsys, monkeypatch):
    with display(quiet=False) as shown:
        shown.step(step(1, 1))
        shown.epoch(EpochReport(1, 12, FIGURES | {"f1": -1.0}))
        monkeypatch.setattr(train_display, "_EVERY", 0.0)
        shown.step(step(2, 3))
        shown.epoch(EpochReport(2, 12, VALIDATED))
    first, between, second = capsys.readouterr().err.splitlines()
    assert first.startswith("epoch 1/12  loss 0.5000  classification 0.2500")
    assert "F1" not in first
    assert between == "epoch 2/12  step 3/4  loss 0.8750  chips/s 12.5"
    assert second.endswith("F1 0.750  precision 0.700  recall 0.800  threshold 0.32")


@pytest.mark.parametrize(("quiet", "rank"), [(True, "0"), (False, "1")])
def test_quiet_and_other_processes_print_nothing(capsys, monkeypatch, quiet, rank):
    monkeypatch.setenv("RANK", rank)
    with display(quiet=quiet) as shown:
        shown.step(step(1, 1))
        shown.epoch(EpochReport(1, 12, FIGURES))
    assert capsys.readouterr().err == ""


@pytest.fixture(name="settings")
def settings_fixture(tmp_path):
    """Write a tileset, and return options that make its training short."""
    write_tileset(tmp_path / "data", train=2, val=1)
    model = architecture((2, 2), 2, anchor_sizes=(12.0,)).model_dump(mode="json")
    known = {key: value for key, value in model.items() if value is not None}
    settings = {"batch_size": 2, "chip_size": 64, "precision": "float32"}
    text = tomli_w.dumps({"train": settings, "model": known})
    (tmp_path / "tiny.toml").write_text(text)
    return "train", "--data", "data", "-o", "a.safetensors", "--config", "tiny.toml"


def test_a_run_prints_lines_and_one_result(invoke, settings):
    done = invoke(*settings, "--epochs", 2, "--device", "cpu")
    assert "epoch 2/2  loss" in done.stderr
    assert done.stdout.startswith("a.safetensors: best F1")
    early = invoke(*settings, "--device", "cpu", "--overwrite", "--set", "train.patience=1", "-q")
    assert "stopped early after" in early.stdout
    elsewhere = [word.replace("a.safetensors", "b.safetensors") for word in settings]
    invoke(*elsewhere, "--init", "a.safetensors", "--epochs", 1, "--device", "cpu")
    assert '"init": "a.safetensors"' in (invoke.folder / "b.run" / "run.json").read_text()
    refused = invoke(*elsewhere, "--init", "none", "--overwrite", code=1)
    assert "unknown model 'none'" in refused.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("name", "code", "workers"), [("SIGINT", 130, 0), ("SIGINT", 130, 1), ("SIGTERM", 143, 1)]
)
def test_a_run_that_is_told_to_end_keeps_the_state(tmp_path, settings, name, code, workers):
    command = [sys.executable, "-m", "geodet", *settings]
    command += ["--epochs", "9999", "--device", "cpu", "--workers", str(workers)]
    # A shell's background job ignores Ctrl-C, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            break
    # To the workers as well, as a terminal and a scheduler send it.
    os.killpg(process.pid, getattr(signal, name))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "a.safetensors holds the best epoch so far; --resume continues" in errors
    assert "Traceback" not in errors
    state = load_state(tmp_path / "a.run" / "state.pt")
    assert state["counts"]["epoch"] >= 2
    names = {path.name.partition(".tfevents")[0] for path in (tmp_path / "a.run").iterdir()}
    assert names == {"best.safetensors", "events.out", "log.csv", "run.json", "state.pt"}
    assert Config.model_validate_json(state["config"]).train.epochs == 9999
