"""A guard against steps that are not finite: one is skipped, many stop the run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geodet.errors import TrainingError

__all__ = ["MOST_IN_A_ROW", "StepGuard"]

MOST_IN_A_ROW = 10

logger = logging.getLogger(__name__)


class StepGuard:
    """Skips steps whose loss or gradient is not finite, and stops a run that has nothing else.

    A lone overflow costs a step, not the run: weights, averages, the norms' statistics and the
    learning rate stay as they were. After ``MOST_IN_A_ROW`` such steps, or a whole epoch of them,
    the weights themselves are beyond help. It decides from figures over all processes, so that all
    decide alike.

    Args:
        network: Its buffers, the norms' statistics, are restored after a skipped step.
        folder: Where the run's state is, for the error.
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
        """Give what a resumed run must know."""
        return {"in_a_row": self._in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what :meth:`state_dict` gave."""
        self._in_a_row = state["in_a_row"]

    def begin_epoch(self, epoch: int) -> None:
        """Count anew for an epoch, counted from 1."""
        self._epoch, self.accepted, self.skipped = epoch, 0, 0

    def begin_step(self) -> None:
        """Remember the buffers, before the network sees the batch."""
        for copy, buffer in zip(self._before, self._buffers, strict=True):
            copy.copy_(buffer)

    def accepts(self, *, loss: Tensor, gradient: Tensor) -> bool:
        """Tell whether a step may change the weights; if not, undo what the batch has changed.

        Args:
            loss: Scalar, of all processes.
            gradient: Norm of the gradient, of all processes.

        Raises:
            TrainingError: It is one step too many.
        """
        if bool(torch.isfinite(loss) & torch.isfinite(gradient)):
            self.accepted, self._in_a_row = self.accepted + 1, 0
            return True
        name, value = ("gradient", gradient) if torch.isfinite(loss) else ("loss", loss)
        self._last = f"the {name} became {value.item()} in epoch {self._epoch}"
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise self._error(f"and {MOST_IN_A_ROW} steps in a row gave nothing finite")
        for copy, buffer in zip(self._before, self._buffers, strict=True):
            buffer.copy_(copy)
        logger.log(self._level, "%s: the step is skipped", self._last)
        return False

    def end_epoch(self) -> None:
        """Refuse an epoch that has taught nothing.

        Raises:
            TrainingError: All its steps were skipped.
        """
        if not self.accepted:
            raise self._error("and no step of the epoch gave anything finite")

    def _error(self, why: str) -> TrainingError:
        return TrainingError(
            f"{self._last}, {why}",
            hint="lower train.learning_rate or raise train.warmup; the state before this epoch is "
            f"in {self._folder}",
        )
