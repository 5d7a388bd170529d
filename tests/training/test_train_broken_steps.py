"""Losses, gradients and pixels that are not finite."""

import logging
import math

import pytest
from factories_training import (
    configured,
    read_log,
    read_state,
    small_fixture,  # noqa: F401 - a fixture
)

import geodet.training.train
from geodet.errors import TrainingError
from geodet.models.checkpoint import load_checkpoint
from geodet.training.losses import Losses
from geodet.training.train import run_training


def break_loss(monkeypatch, value, *, steps):
    """Make the loss a value that is not finite in some steps, counted from 1."""
    original, done = geodet.training.train.build_loss, []

    def build(*args, **counts):
        criterion = original(*args, **counts)

        def compute(outputs, targets):
            losses = criterion(outputs, targets)
            done.append(1)
            return Losses(losses.box * value, losses.box) if len(done) in steps else losses

        compute.sums = criterion.sums
        return compute

    monkeypatch.setattr(geodet.training.train, "build_loss", build)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(small, tmp_path, monkeypatch, value):
    output = tmp_path / "a.safetensors"
    break_loss(monkeypatch, value, steps=range(3, 99))  # two steps an epoch
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) in epoch 2") as caught:
        run_training(small, output, configured(epochs=3), device="cpu")
    assert "train.learning_rate" in caught.value.hint
    assert load_checkpoint(output).description.name == "a"
    assert read_state(output)["counts"]["epoch"] == 1
    assert len(read_log(output)) == 1


def test_a_lone_step_that_is_not_finite_is_skipped(small, tmp_path, monkeypatch, caplog):
    output, seen = tmp_path / "a.safetensors", []
    caplog.set_level(logging.WARNING, logger="geodet")
    break_loss(monkeypatch, float("nan"), steps=[1, 4])  # two steps an epoch
    run_training(small, output, configured(epochs=3), device="cpu", progress=seen.append)
    assert [epoch.figures["skipped_steps"] for epoch in seen] == [1, 1, 0]
    assert all(math.isfinite(epoch.figures["loss"]) for epoch in seen)
    assert "the loss became nan in epoch 1: the step is skipped" in caplog.text
    state = read_state(output)
    assert state["schedule"]["last_epoch"] == 4
    assert state["network"]["backbone.stem.norm.num_batches_tracked"] == 4
    assert all(value.isfinite().all() for value in state["averaged"].values())


def test_pixels_that_are_not_finite_cost_one_step(small, tmp_path, monkeypatch):
    """They reach the norms' statistics before the loss tells."""
    original, done = geodet.training.train.standardise, []

    def standardise(*args):
        done.append(1)
        return original(*args) * (float("inf") if len(done) == 2 else 1)

    monkeypatch.setattr(geodet.training.train, "standardise", standardise)
    output = tmp_path / "a.safetensors"
    run_training(small, output, configured(epochs=1), device="cpu")
    state = read_state(output)
    assert all(value.isfinite().all() for value in state["network"].values())
    assert state["schedule"]["last_epoch"] == 1


@pytest.mark.parametrize("rate", [1e10, 1e38])
def test_a_huge_learning_rate_stops_the_run(small, tmp_path, rate):
    with pytest.raises(TrainingError, match=r"the \w+ became \S+ in epoch \d") as caught:
        run_training(
            small, tmp_path / "a.safetensors", configured(learning_rate=rate), device="cpu"
        )
    assert "lower train.learning_rate" in caught.value.hint


def test_a_gradient_that_is_not_finite_stops_the_run(small, tmp_path, monkeypatch):
    original = geodet.training.train.build_loss

    def build(*args, **counts):
        criterion = original(*args, **counts)

        def compute(outputs, targets):
            losses = criterion(outputs, targets)
            zero = (outputs.logits - outputs.logits).sum()  # whose root has no finite slope
            return losses._replace(box=losses.box + zero.sqrt())

        return compute

    monkeypatch.setattr(geodet.training.train, "build_loss", build)
    with pytest.raises(TrainingError, match="the gradient became nan in epoch 1"):
        run_training(small, tmp_path / "a.safetensors", configured(epochs=1), device="cpu")
    assert not (tmp_path / "a.safetensors").exists()
