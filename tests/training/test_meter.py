import pytest
import torch

from geodet.training.meter import Meter


def test_figures_are_means_of_the_finite_steps():
    meter = Meter(2, 5, 4, chips=16)
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
    meter = Meter(1, 1, 4, chips=16)
    assert meter.add(torch.ones(4), rate=0.1).chips_per_second == pytest.approx(2.0)
    assert meter.figures(skipped=0)["chips_per_second"] == pytest.approx(1.0)
