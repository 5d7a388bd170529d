"""Chips of a tileset or a scene, to calibrate eight-bit integers with and to check them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geodet.config import Config
from geodet.detection.predictor import Predictor, with_input_values
from geodet.detection.scene_for_model import open_for_model
from geodet.detection.scene_statistics import measure_chips
from geodet.detection.value_range import fit_input_values, input_values
from geodet.errors import TilesetError
from geodet.evaluation.chip_bands import report_chip_bands
from geodet.evaluation.evaluated_chips import (
    check_band_count,
    choose_input_values,
    compare_images,
    predict_images,
)
from geodet.evaluation.threshold_curves import Comparison
from geodet.files.output_folders import LABEL_SUFFIXES
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.models.description import ModelDescription
from geodet.models.input_values import InputValues, to_model_units
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.tileset import read_tileset

__all__ = ["Int8Samples", "is_tileset", "read_int8_samples"]

_CALIBRATING, _CHECKED = 32, 96  # chips at most
_SIDE = 512  # in pixels, of the largest chip that calibrates, and of the chips of a scene
_EVERY = 4  # image of a tileset without validation images that is held out


@dataclass(frozen=True, slots=True)
class Int8Samples:
    """Chips of imagery that a model is for."""

    calibrating: Sequence[NDArray[np.float32]]
    """Arrays (1, C, H, W) in the units of the model."""
    detect: Callable[[Predictor], list[Detections]]
    """Detects on the chips that are held out."""
    compare: Callable[[list[Detections]], list[Comparison]] | None
    """Compares these detections with labels; None: there are none."""


def is_tileset(path: Path) -> bool:
    """Whether a path is of labelled chips rather than of a scene."""
    return path.is_dir() or path.suffix.lower() in LABEL_SUFFIXES


def read_int8_samples(
    about: ModelDescription, source: Path | Tileset, config: Config
) -> Int8Samples:
    """Read chips to calibrate with, and prepare the check on others.

    Of a tileset, training images calibrate and validation images check. Of a scene, windows evenly
    spread do, in turn.

    Args:
        about: The model.
        source: A tileset or a scene.
        config: How the tileset is read, and when a detection matches a label.

    Raises:
        TilesetError: The tileset cannot be read, or has too few images.
        SceneError: The scene cannot be read, or shows too little.
    """
    if isinstance(source, Tileset):
        return _of_tileset(about, source, config)
    if is_tileset(source):
        tileset = read_tileset(source, config.data)
        report_chip_bands(tileset.images, config.data.bands, about)
        return _of_tileset(about, tileset, config)
    with open_for_model(source, about, config.detect) as scene:
        return _of_scene(about, scene, config)


def _of_tileset(about: ModelDescription, tileset: Tileset, config: Config) -> Int8Samples:
    training, checked = _divide(tileset)
    bands = config.data.bands
    fitted = choose_input_values(training, bands, about, config.detect, name=str(tileset.root))
    values = fitted or input_values(about)

    def detect(predictor: Predictor) -> list[Detections]:
        fed = with_input_values(predictor, fitted)
        return predict_images(fed, checked, bands, config.detect, wanted=about.bands)

    def compare(found: list[Detections]) -> list[Comparison]:
        return compare_images(found, checked, config.match)

    chips = (_read_middle(image, bands, about.bands) for image in training)
    return Int8Samples(_in_units(chips, about, values), detect, compare)


def _divide(tileset: Tileset) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Choose images to calibrate with and images to check."""
    training, checked = list(tileset.split("train")), list(tileset.split("val"))
    if not checked:
        checked = training[::_EVERY]
        training = [image for n, image in enumerate(training) if n % _EVERY]
    if not training or not checked:
        raise TilesetError(
            f"{tileset.root} has {len(tileset.images)} images: too few to calibrate and to check",
            hint="give a tileset with training and validation images, or a scene",
            path=tileset.root,
        )
    return _spread(training, _CALIBRATING), _spread(checked, _CHECKED)


def _spread(images: list[LabelledImage], most: int) -> list[LabelledImage]:
    """Choose at most so many images, evenly spread."""
    chosen = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    return [images[index] for index in chosen]


def _read_middle(image: LabelledImage, bands: Sequence[int], wanted: Sequence[str]) -> Chip:
    """Read an image, or the middle of a large one."""
    with open_image(image, bands, wanted=wanted) as scene:
        check_band_count(len(scene.bands), len(wanted), image.path)
        width, height = scene.grid
        sides = min(width, _SIDE), min(height, _SIDE)
        return scene.read(Window((width - sides[0]) // 2, (height - sides[1]) // 2, *sides))


def _of_scene(about: ModelDescription, scene: Scene, config: Config) -> Int8Samples:
    chips = [chip for chip in map(scene.read, _windows(*scene.grid)) if chip.valid.any()]
    calibrating, checked = chips[::2], chips[1::2]
    if not checked:
        raise TilesetError(
            f"{scene.path} has {len(chips)} chips of {_SIDE} px: too few to calibrate and check",
            hint="give a larger scene, or a tileset",
            path=Path(scene.path),
        )
    dtype = chips[0].pixels.dtype.name
    fitted = fit_input_values(measure_chips(chips), scene.name, dtype, about, config.detect)

    def detect(predictor: Predictor) -> list[Detections]:
        fed = with_input_values(predictor, fitted)
        return [fed([chip])[0].detections for chip in checked]

    return Int8Samples(
        _in_units(calibrating, about, fitted or input_values(about)), detect, compare=None
    )


def _windows(width: int, height: int) -> list[Window]:
    """Place windows evenly over a scene, at least two and as many as calibrate and check."""
    side = min(_SIDE, max(width, height) // 2, width if width < height else height)
    columns, rows = width // side, height // side
    step = max(1, math.ceil(math.sqrt(columns * rows / (2 * _CALIBRATING))))
    return [
        Window(column * side, row * side, side, side)
        for row in range(0, rows, step)
        for column in range(0, columns, step)
    ]


def _in_units(
    chips: Iterable[Chip], about: ModelDescription, values: InputValues
) -> list[NDArray[np.float32]]:
    own = input_values(about)
    return [to_model_units(chip.pixels[None], chip.valid[None], values, own) for chip in chips]
