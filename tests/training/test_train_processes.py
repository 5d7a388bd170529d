"""Trainings in processes of their own: killed, or several at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from factories_training import (
    configured,
    read_log,
    read_state,
    small_fixture,  # noqa: F401 - a fixture
)
from safetensors.torch import load_file

from geodet.training.train import run_training

_SCRIPT = """
import sys, time, torch
from pathlib import Path
from geodet.config import Config
from geodet.training.train import run_training

torch.set_num_threads(int(sys.argv[4]))
config = Config.model_validate_json(Path(sys.argv[1]).read_text())

def step(report):
    if sys.argv[5:] == [f"{report.epoch}.{report.step}"]:
        print("here", flush=True)
        time.sleep(600)

run_training(Path(sys.argv[2]), Path(sys.argv[3]), config, device="cpu", step_progress=step)
print("finished")
"""


def run_script(folder, config, data, output, *, threads, launcher=(), stop=()):
    """Start a training in a process of its own, which halts after a step such as 2.1."""
    (folder / "script.py").write_text(_SCRIPT)
    (folder / "config.json").write_text(config.model_dump_json())
    files = [folder / "script.py", folder / "config.json", data, output, threads]
    return subprocess.Popen(
        [sys.executable, *launcher, *map(str, files), *stop],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )


def assert_same_weights(output, other, **tolerance):
    found, wanted = read_state(output), read_state(other)
    for part in ("network", "averaged"):
        for key, value in wanted[part].items():
            torch.testing.assert_close(found[part][key], value, **tolerance)


def test_a_killed_run_ends_like_an_uninterrupted_one(small, tmp_path):
    config = configured(epochs=3)
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    run_training(small, whole, config, device="cpu")
    with run_script(
        tmp_path, config, small, killed, threads=torch.get_num_threads(), stop=["2.1"]
    ) as process:
        assert process.stdout.readline() == "here\n"
        process.kill()
    assert process.returncode != 0
    assert read_state(killed)["counts"]["epoch"] == 1
    run_training(small, killed, config, device="cpu", resume=True)
    assert_same_weights(killed, whole, rtol=0, atol=1e-6)
    assert [row["loss"] for row in read_log(killed)] == [row["loss"] for row in read_log(whole)]


def test_two_processes_train_the_model_of_one(small, tmp_path):
    """Three images make four chips an epoch: each step takes one to each process."""
    config = configured(epochs=2, optimizer="sgd", learning_rate=1e-3)  # rounding grows with it
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with run_script(tmp_path, config, small, two, threads=1, launcher=launcher) as process:
        printed, _ = process.communicate(timeout=600)
    assert (process.returncode, printed.count("finished")) == (0, 2)
    run_training(small, one, config, device="cpu")
    assert_same_weights(two, one, rtol=1e-3, atol=1e-4)
    assert list(load_file(two)) == list(load_file(one))
    for a, b in zip(read_log(two), read_log(one), strict=True):
        for name in ("loss", "classification_loss", "box_loss", "gradient_norm", "f1"):
            assert float(a[name]) == pytest.approx(float(b[name]), rel=1e-3)
    assert len(list(two.with_suffix(".run").glob("events.*"))) == 1
