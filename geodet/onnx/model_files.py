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

__all__ = ["find_description"]


def find_description(path: str) -> ModelDescription | None:
    """Read the description of a model.

    Args:
        path: A file, or the name of a bundled model.

    Returns:
        The description; None where the path is not a model's. A word that is neither a file nor a
        path of GDAL's is the name of a model.

    Raises:
        ModelFileError: There is no such model, or it is broken.
    """
    if path.endswith(".onnx"):
        return load_onnx_description(find_model(path))
    is_word = not Path(path).suffix and not is_there(path) and not is_gdal_path(path)
    if path.endswith(".safetensors") or path in dict(iter_bundled()) or is_word:
        return load_description(find_model(path))
    return None
