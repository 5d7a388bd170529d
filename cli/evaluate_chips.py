"""The part of ``geodet evaluate`` that runs a model on chips, with a bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .process import command_line, prepare_process

if TYPE_CHECKING:
    from geodet.config import Config
    from geodet.evaluation.evaluate import EvaluateReport
    from geodet.tilesets.splits import Part

__all__ = ["evaluate_on_chips"]


def evaluate_on_chips(
    data: Path,
    model: str,
    split: Part,
    config: Config,
    device: str,
    output: Path | None,
    *,
    overwrite: bool,
    quiet: bool,
) -> EvaluateReport:
    """Evaluate a model; a bar shows from the start how many chips are done."""
    from geodet.models.description import check_model
    from geodet.models.device import check_device_name

    check_model(model)
    check_device_name(device)
    from geodet.api.progress_bars import count_bar

    with count_bar("detecting in chips", is_shown=not quiet) as progress:
        prepare_process(device)
        from geodet.evaluation.evaluate import evaluate_model
        from geodet.onnx.backend import load_model

        return evaluate_model(
            load_model(model),
            data,
            config,
            split=split,
            device=device,
            output=output,
            overwrite=overwrite,
            command=command_line(),
            progress=progress,
        )
