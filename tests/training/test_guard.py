import logging

import pytest
import torch
from torch import nn

from geodet.errors import TrainingError
from geodet.training.guard import MOST_IN_A_ROW, StepGuard

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


def test_a_finite_step_forgives(tmp_path):
    made, _ = guard(tmp_path)
    for _ in range(3):
        for _ in range(MOST_IN_A_ROW - 1):
            assert not made.accepts(loss=GOOD, gradient=BAD)
        assert made.accepts(loss=GOOD, gradient=GOOD)


def test_an_epoch_of_nothing_else_stops_the_run(tmp_path):
    made, _ = guard(tmp_path)
    made.accepts(loss=GOOD, gradient=BAD)
    with pytest.raises(TrainingError, match="the gradient became nan in epoch 1, and no step"):
        made.end_epoch()
