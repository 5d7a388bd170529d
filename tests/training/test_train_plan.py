"""The plan of a training: what ``geodet train --dry-run`` prints."""

import json
import shlex

import numpy as np
import pytest
import torch
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from factories_training import SQUARES, configured, small_fixture  # noqa: F401 - a fixture

from geodet.models.retinanet import RetinaNet
from geodet.tilesets.tileset import read_tileset
from geodet.training.train import run_training
from geodet.training.train_plan import plan_training


def test_a_plan_counts_what_a_training_does(small, tmp_path):
    before = sorted(small.rglob("*"))
    plan = plan_training(small, SQUARES, device="cpu")
    images = read_tileset(small, SQUARES.data).images
    for name in ("train", "val"):
        part = [image for image in images if image.split == name]
        assert getattr(plan, name).images == len(part)
        assert getattr(plan, name).objects == sum(len(image.boxes) for image in part)
    assert sum(plan.classes.values()) == plan.train.objects
    boxes = np.concatenate([image.boxes for image in images if image.split == "train"])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    np.testing.assert_allclose(plan.sides_px, np.quantile(sides, [0.01, 0.5, 0.99]))
    assert plan.gsd == 0.5
    steps = []
    run_training(
        small,
        tmp_path / "a.safetensors",
        configured(epochs=1),
        device="cpu",
        step_progress=steps.append,
    )
    assert plan.steps == SQUARES.train.epochs * steps[-1].steps
    assert plan.seconds_an_epoch > 0
    assert sorted(small.rglob("*")) == before


def test_the_chips_of_an_epoch_are_those_that_a_training_draws(small):
    plan = plan_training(small, configured(epoch_chips=50), device="cpu")
    assert (plan.crops, plan.steps) == (50, 12 * 25)
    assert plan_training(small, SQUARES, device="cpu").crops == 4  # of 3 images, in steps of 2


@pytest.mark.parametrize(("precision", "is_mixed"), [("bfloat16", True), ("float32", False)])
def test_steps_are_timed_in_the_precision_of_the_training(small, monkeypatch, precision, is_mixed):
    seen, forward = [], RetinaNet.forward

    def watched(self, *args):
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(self, *args)

    monkeypatch.setattr(RetinaNet, "forward", watched)
    plan_training(small, configured(precision=precision), device="cpu")
    assert seen
    assert set(seen) == {is_mixed}


def test_a_plan_proposes_epochs_and_a_chip_size(small):
    plan = plan_training(small, configured(chip_size=640), device="cpu")
    assert {one.typed[0] for one in plan.proposals} >= {"--epochs", "--chip-size"}


def test_a_dry_run_prints_the_plan_and_writes_nothing(small, tmp_path, invoke):
    common = ("train", "--data", small, "--dry-run", "--device", "cpu", "--chip-size", 64)
    common += ("--batch-size", 2, "--set", "model.channels=16", "--set", "data.gsd=0.5")
    printed = invoke(*common).stdout
    assert "3 images with" in printed
    assert "anchors" in printed
    assert "0.5 m per pixel" in printed
    assert "show an object" in printed
    assert json.loads(invoke(*common, "--json").stdout)["train"]["images"] == 3
    assert not list(tmp_path.iterdir())


def test_a_dry_run_prints_the_line_to_type(small, invoke):
    typed = ("train", "--data", small, "--dry-run", "--device", "cpu", "--batch-size", "2")
    plan = ("--chip-size", "640", "--epochs=10", "--set", "model.channels=16")
    last = invoke(*typed, *plan).stdout.splitlines()[-1]
    words = shlex.split(last.removeprefix("type"))
    assert words[:4] == ["geodet", "train", "--data", str(small)]
    assert words[-2:] == ["-o", "model.safetensors"]
    assert not {"--dry-run", "640", "--epochs=10"} & set(words)
    assert words.count("--chip-size") == words.count("--epochs") == 1
    again = invoke(*words[1:-2], "--dry-run").stdout.splitlines()
    assert not [line for line in again if line.startswith("proposed")]
    assert shlex.split(again[-1].removeprefix("type")) == words


def test_without_an_output_and_a_dry_run_is_wrong_usage(small, invoke):
    assert "name the model file" in invoke("train", "--data", small, code=2).stderr
