"""Where a training run is written, and the checks of it that do not need PyTorch."""

from __future__ import annotations

from pathlib import Path

from geodet.errors import OutputError, TrainingError

__all__ = ["BEST_FILE", "STATE_FILE", "check_run"]

BEST_FILE = "best.safetensors"
"""In the folder of a run: the best model so far."""

STATE_FILE = "state.pt"
"""In the folder of a run: the state after the last whole epoch."""


def check_run(output: Path, *, resume: bool, overwrite: bool) -> Path:
    """Check that a training run can be written, before it begins.

    Args:
        output: The model file to write.
        resume: Whether the run continues an earlier one.
        overwrite: Whether an existing model and run may be replaced.

    Returns:
        The folder of the run, ``NAME.run`` beside ``NAME.safetensors``.

    Raises:
        OutputError: The model or an unfinished run exists already, or cannot be written.
        TrainingError: There is no run to resume.
    """
    if output.suffix != ".safetensors":
        raise OutputError(
            f"cannot write a model to {output}", hint="end its name in .safetensors", path=output
        )
    if not output.parent.is_dir():
        raise OutputError(
            f"no folder {output.parent} for {output.name}",
            hint="create the folder first",
            path=output,
        )
    if output.exists() and not (overwrite or resume):
        raise OutputError(
            f"{output} exists already",
            hint="--overwrite replaces it, --resume continues its run",
            path=output,
        )
    folder = output.with_suffix(".run")
    state = folder / STATE_FILE
    if state.exists() and not (overwrite or resume):
        raise OutputError(
            f"{folder} holds the state of an earlier run",
            hint="--resume continues it, --overwrite starts again",
            path=folder,
        )
    if resume and not state.is_file():
        raise TrainingError(
            f"nothing to resume: no file {state}",
            hint="start the run without --resume",
            path=folder,
        )
    return folder
