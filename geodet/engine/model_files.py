"""Models of either kind of file."""

from __future__ import annotations

from pathlib import Path

from geodet.engine.onnx_backend import load_onnx_model
from geodet.models.checkpoint import Model, load_model

__all__ = ["open_model"]


def open_model(name: str | Path) -> Model:
    """Load a model to detect with.

    Args:
        name: A bundled model's name, a ``.safetensors`` file, or an ``.onnx`` file, which runs in
            onnxruntime on the CPU.

    Raises:
        ModelFileError: There is no such model, or the file is not one of geodet's.
        ConfigError: The package onnxruntime is needed and not installed.
    """
    path = Path(name)
    return load_onnx_model(path) if path.suffix.lower() == ".onnx" else load_model(name)
