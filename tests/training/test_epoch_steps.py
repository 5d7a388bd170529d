import logging

import pytest
import torch
from torch import nn

from geodet.errors import TrainingError
from geodet.training.epoch_steps import MOST_IN_A_ROW, EpochMeter, StepGuard

GOOD, BAD = torch.tensor(1.0), torch.tensor(float("nan"))


def guard(folder, **options):
    network = nn.BatchNorm2d(2)
    made = StepGuard(network, folder, **options)
    made.begin_epoch(1)
    return made, network


def test_a_finite_step_passes(tmp_path):
    made, network = guard(tmp_path)
    made.begin_step()
    network.running_mean.fill_(5)
    assert made.accepts(loss=GOOD, gradient=GOOD)
    assert network.running_mean.tolist() == [5, 5]
    assert (made.accepted, made.skipped) == (1, 0)
    made.end_epoch()


@pytest.mark.parametrize(("loss", "gradient"), [(BAD, GOOD), (GOOD, BAD), (GOOD / 0, BAD)])
def test_a_step_that_is_not_finite_leaves_no_trace(tmp_path, caplog, loss, gradient):
    caplog.set_level(logging.WARNING, logger="geodet")
    made, network = guard(tmp_path)
    made.begin_step()
    network.running_mean.fill_(float("nan"))
    network.num_batches_tracked.add_(1)
    assert not made.accepts(loss=loss, gradient=gradient)
    assert network.running_mean.tolist() == [0, 0]
    assert network.num_batches_tracked == 0
    assert (made.accepted, made.skipped) == (0, 1)
    assert "in epoch 1: the step is skipped" in caplog.text


def test_of_several_processes_one_reports(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="geodet")
    made, _ = guard(tmp_path, is_main=False)
    made.begin_step()
    assert not made.accepts(loss=BAD, gradient=GOOD)
    assert caplog.text == ""


def test_many_in_a_row_stop_the_run_across_epochs_and_a_resume(tmp_path):
    first, _ = guard(tmp_path)
    for _ in range(MOST_IN_A_ROW - 2):
        first.accepts(loss=BAD, gradient=GOOD)
    made, _ = guard(tmp_path)
    made.load_state_dict(first.state_dict())
    made.begin_epoch(2)
    assert not made.accepts(loss=BAD, gradient=GOOD)
    with pytest.raises(TrainingError, match="the loss became nan in epoch 2, and 10 st") as caught:
        made.accepts(loss=BAD, gradient=GOOD)
    assert "train.learning_rate" in caught.value.hint


def test_a_finite_step_resets_the_count_of_skipped_steps(tmp_path):
    made, _ = guard(tmp_path)
    for _ in range(3):
        for _ in range(MOST_IN_A_ROW - 1):
            assert not made.accepts(loss=GOOD, gradient=BAD)
        assert made.accepts(loss=GOOD, gradient=GOOD)


def test_an_epoch_without_a_finite_step_ends_the_run(tmp_path):
    made, _ = guard(tmp_path)
    made.accepts(loss=GOOD, gradient=BAD)
    with pytest.raises(TrainingError, match="the gradient became nan in epoch 1, and no step"):
        made.end_epoch()


def test_figures_are_means_of_the_finite_steps():
    meter = EpochMeter(2, 5, 4, chips=16)
    for loss in (1.0, float("nan"), 3.0):
        report = meter.add(torch.tensor([loss, 0.5, 0.25, 8.0]), rate=0.1)
    assert (report.epoch, report.epochs, report.step, report.steps) == (2, 5, 3, 4)
    assert report.loss == 3.0
    assert report.chips_per_second > 0
    figures = meter.figures(skipped=1)
    speed = figures.pop("chips_per_second")
    assert 0 < speed <= report.chips_per_second
    assert figures == {
        "loss": 2.0,
        "classification_loss": 0.5,
        "box_loss": 0.25,
        "gradient_norm": 8.0,
        "learning_rate": 0.1,
        "skipped_steps": 1.0,
    }


def test_the_speed_counts_chips(monkeypatch):
    clock = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    meter = EpochMeter(1, 1, 4, chips=16)
    assert meter.add(torch.ones(4), rate=0.1).chips_per_second == pytest.approx(2.0)
    assert meter.figures(skipped=0)["chips_per_second"] == pytest.approx(1.0)
