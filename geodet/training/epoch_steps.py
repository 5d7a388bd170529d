"""The steps of an epoch: skip those that are not finite, and average the figures of the rest."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geodet.errors import TrainingError

__all__ = ["MOST_IN_A_ROW", "EpochMeter", "EpochReport", "StepGuard", "StepReport"]

MOST_IN_A_ROW = 10
"""Skipped steps in a row that end a run."""

_MEANS = ("loss", "classification_loss", "box_loss", "gradient_norm")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepReport:
    """Progress within an epoch."""

    epoch: int
    """Number of the epoch, counted from 1."""
    epochs: int
    """Epochs of the whole run."""
    step: int
    """Number of the step in its epoch, counted from 1."""
    steps: int
    """Steps of the epoch."""
    loss: float
    """Loss of this step, over all processes."""
    learning_rate: float
    """Learning rate of the next step."""
    chips_per_second: float
    """Mean of the epoch so far, over all processes."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Figures of a finished epoch.

    Example:
        >>> def show(epoch: geodet.EpochReport) -> None:
        ...     print(f"epoch {epoch.epoch} of {epoch.epochs}")
        >>> small = {"model.backbone_level": 2, "model.levels": [2, 2], "model.anchor_sizes": [12]}
        >>> small |= {"train.chip_size": 64, "train.batch_size": 4}
        >>> report = geodet.train(
        ...     tiles, folder / "mine.safetensors", epochs=1, settings=small, progress=show
        ... )
        epoch 1 of 1
    """

    epoch: int
    """Number of the epoch, counted from 1."""
    epochs: int
    """Epochs of the whole run."""
    figures: dict[str, float]
    """Losses, learning rate, chips per second, and the validation if there was one."""


class EpochMeter:
    """Averages the figures of an epoch's steps.

    Args:
        epoch: Number of the epoch, counted from 1.
        epochs: Epochs of the whole run.
        steps: Steps of the epoch.
        chips: Chips of the epoch, over all processes.
    """

    def __init__(self, epoch: int, epochs: int, steps: int, *, chips: int) -> None:
        self.epoch, self.epochs, self.steps = epoch, epochs, steps
        self._chips_a_step = chips / steps
        self._step, self._counted, self._rate = 0, 0, 0.0
        self._sums = dict.fromkeys(_MEANS, 0.0)
        self._start = time.monotonic()

    def add(self, found: Tensor, *, rate: float) -> StepReport:
        """Add a step. Of one that is not finite only the time counts.

        Args:
            found: (4,) loss, classification loss, box loss, and the norm of the gradient before
                clipping.
            rate: Learning rate of the next step.
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
        """Return the means of the finite steps, and the epoch's other figures for the log."""
        means = {name: total / max(self._counted, 1) for name, total in self._sums.items()}
        about = {"learning_rate": self._rate, "chips_per_second": self._speed}
        return means | about | {"skipped_steps": float(skipped)}

    @property
    def _speed(self) -> float:
        return self._step * self._chips_a_step / max(time.monotonic() - self._start, 1e-9)


class StepGuard:
    """Skips steps whose loss or gradient is not finite, and ends a run that has no others.

    A single overflow costs one step: weights, averaged weights, the statistics of the norms and the
    learning rate stay as they were. After ``MOST_IN_A_ROW`` such steps, or a whole epoch of them,
    the weights cannot recover and the run ends. The guard sees figures over all processes, so all
    processes decide alike.

    Args:
        network: Its buffers, the statistics of the norms, are restored after a skipped step.
        folder: Folder of the run's state, for the error.
        is_main: Whether this process reports skipped steps.
    """

    def __init__(self, network: nn.Module, folder: Path, *, is_main: bool = True) -> None:
        self._buffers = list(network.buffers())
        self._before = [buffer.clone() for buffer in self._buffers]
        self._folder = folder
        self._level = logging.WARNING if is_main else logging.DEBUG
        self._epoch = self.accepted = self.skipped = self._in_a_row = 0
        self._last = ""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"in_a_row": self._in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the result of :meth:`state_dict`."""
        self._in_a_row = state["in_a_row"]

    def begin_epoch(self, epoch: int) -> None:
        """Reset the counts for an epoch, counted from 1."""
        self._epoch, self.accepted, self.skipped = epoch, 0, 0

    def begin_step(self) -> None:
        """Copy the buffers before the network computes the batch."""
        for copy, buffer in zip(self._before, self._buffers, strict=True):
            copy.copy_(buffer)

    def accepts(self, *, loss: Tensor, gradient: Tensor) -> bool:
        """Return whether a step may change the weights; if not, restore the buffers.

        Args:
            loss: Scalar, averaged over all processes.
            gradient: Norm of the gradient, averaged over all processes.

        Raises:
            TrainingError: ``MOST_IN_A_ROW`` steps in a row were not finite.
        """
        if bool(torch.isfinite(loss) & torch.isfinite(gradient)):
            self.accepted, self._in_a_row = self.accepted + 1, 0
            return True
        name, value = ("gradient", gradient) if torch.isfinite(loss) else ("loss", loss)
        self._last = f"the {name} became {value.item()} in epoch {self._epoch}"
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise self._error(f"and {MOST_IN_A_ROW} steps in a row were not finite")
        for copy, buffer in zip(self._before, self._buffers, strict=True):
            buffer.copy_(copy)
        logger.log(self._level, "%s: the step is skipped", self._last)
        return False

    def end_epoch(self) -> None:
        """Check that the epoch had a step that changed the weights.

        Raises:
            TrainingError: All its steps were skipped.
        """
        if not self.accepted:
            raise self._error("and no step of the epoch was finite")

    def _error(self, why: str) -> TrainingError:
        return TrainingError(
            f"{self._last}, {why}",
            hint="lower train.learning_rate or raise train.warmup; the state before this epoch is "
            f"in {self._folder}",
        )
