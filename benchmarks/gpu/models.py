"""The two networks that are measured: the bundled one, and the paper's with random weights."""

from __future__ import annotations

from pathlib import Path

from common import make_untrained_model

from geodet.models.checkpoint import load_checkpoint
from geodet.models.model import Model

__all__ = ["MODELS", "load"]

MODELS = ("urban-trees", "paper")
"""The bundled model, and RetinaNet with a ResNet-50 as in the paper."""


def load(folder: Path, name: str) -> Model:
    """Load a model; one of a recipe's size gets random weights.

    Args:
        folder: Keeps the file that is made.
        name: Of :data:`MODELS`.
    """
    if name == MODELS[0]:
        return load_checkpoint(name)
    path = folder / f"{name}.safetensors"
    return load_checkpoint(path if path.exists() else make_untrained_model(folder, name))
