"""The eight-bit file of a model that was trained, where the packages for it are installed."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

from geodet.config import Config
from geodet.errors import ModelFileError, SceneError, TilesetError
from geodet.evaluation.int8_export import export_int8
from geodet.files.outputs import int8_path
from geodet.onnx.backend import load_model
from geodet.tilesets.labels import Tileset
from geodet.training.trained_bands import with_trained_bands

__all__ = ["can_write_int8", "write_int8"]

logger = logging.getLogger(__name__)


def can_write_int8() -> bool:
    """Whether the packages onnx and onnxruntime are installed; they are not loaded."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


def write_int8(output: Path, tileset: Tileset, config: Config) -> Path | None:
    """Write the eight-bit file beside a model, after comparing what both find.

    If the eight-bit form differs too much, no file is written, which is logged, and the model
    detects in floats.

    Args:
        output: The model file.
        tileset: Tileset whose training images calibrate, and whose validation images check.
        config: Configuration of the training; ``train.int8`` turns it off.

    Returns:
        The file, or None.
    """
    if not (config.train.int8 and can_write_int8()):
        return None
    path = int8_path(output)
    try:
        as_trained = with_trained_bands(config, tileset)
        report = export_int8(load_model(output), path, tileset, as_trained, overwrite=True)
    except (ModelFileError, SceneError, TilesetError) as error:
        logger.warning("no eight-bit file of %s: %s", output.name, error)
        return None
    logger.info("%s agrees with the model by an F1 of %.3f", path.name, report.agreement)
    return path
