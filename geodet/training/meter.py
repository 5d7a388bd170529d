"""How a training run is going: the figures of its steps and of its epochs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from torch import Tensor

__all__ = ["EpochReport", "Meter", "StepReport"]

_MEANS = ("loss", "classification_loss", "box_loss", "gradient_norm")


@dataclass(frozen=True, slots=True)
class StepReport:
    """How far an epoch is."""

    epoch: int
    """Counted from 1."""
    epochs: int
    """Of the whole run."""
    step: int
    """Counted from 1."""
    steps: int
    """Of the epoch."""
    loss: float
    """Of this step, over all processes."""
    learning_rate: float
    """Of the next step."""
    chips_per_second: float
    """Mean of the epoch so far, over all processes."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What an epoch gave."""

    epoch: int
    """Counted from 1."""
    epochs: int
    """Of the whole run."""
    figures: dict[str, float]
    """Losses, learning rate, chips a second, and the validation where there was one."""


class Meter:
    """Adds up the figures of an epoch's steps.

    Args:
        epoch: Counted from 1.
        epochs: Of the whole run.
        steps: Of the epoch.
        chips: Of the epoch, over all processes.
    """

    def __init__(self, epoch: int, epochs: int, steps: int, *, chips: int) -> None:
        self.epoch, self.epochs, self.steps = epoch, epochs, steps
        self._chips_a_step = chips / steps
        self._step, self._counted, self._rate = 0, 0, 0.0
        self._sums = dict.fromkeys(_MEANS, 0.0)
        self._start = time.monotonic()

    def add(self, found: Tensor, *, rate: float) -> StepReport:
        """Add a step; one that is not finite counts as time alone.

        Args:
            found: (4,) loss, its two parts and the gradient's norm before it was clipped.
            rate: The learning rate.
        """
        values = found.tolist()
        self._step, self._rate = self._step + 1, rate
        if all(map(math.isfinite, values)):
            self._counted += 1
            for name, value in zip(_MEANS, values, strict=True):
                self._sums[name] += value
        return StepReport(
            self.epoch, self.epochs, self._step, self.steps, values[0], rate, self._speed
        )

    def figures(self, *, skipped: int) -> dict[str, float]:
        """Give the means of the finite steps, and what else the log says of an epoch."""
        means = {name: total / max(self._counted, 1) for name, total in self._sums.items()}
        about = {"learning_rate": self._rate, "chips_per_second": self._speed}
        return means | about | {"skipped_steps": float(skipped)}

    @property
    def _speed(self) -> float:
        return self._step * self._chips_a_step / max(time.monotonic() - self._start, 1e-9)
