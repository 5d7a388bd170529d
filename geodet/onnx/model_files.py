"""Find out whether a path is a model's, and read its description without its network."""

from __future__ import annotations

from pathlib import Path

from geodet.files.existence import is_there
from geodet.models.description import (
    ModelDescription,
    find_model,
    iter_bundled,
    load_description,
)
from geodet.onnx.session import load_onnx_description
from geodet.raster.scene_lists import is_gdal_path

__all__ = ["is_model", "load_named_description"]


def is_model(path: str) -> bool:
    """Whether a path is that of a model file, or the name of a bundled model.

    A word that is neither a file nor a path of GDAL's is the name of a model, which may not exist.
    """
    is_word = not Path(path).suffix and not is_there(path) and not is_gdal_path(path)
    return path.endswith((".onnx", ".safetensors")) or path in dict(iter_bundled()) or is_word


def load_named_description(path: str) -> ModelDescription:
    """Read the description of a model without its network.

    Args:
        path: A file, or the name of a bundled model.

    Raises:
        ModelFileError: There is no such model, or it is broken.
    """
    read = load_onnx_description if path.endswith(".onnx") else load_description
    return read(find_model(path))
