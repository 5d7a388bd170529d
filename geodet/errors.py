"""The errors that geodet raises on purpose.

    GeodetError                         hint
    ├── ConfigError     (ValueError)    key                     a key, a value or a recipe
    ├── SceneError      (OSError)       path, failed, report    a raster that cannot be read
    ├── VectorError     (OSError)       path                    labels or detections in a file
    ├── TilesetError    (ValueError)    path                    labelled chips for training
    ├── ModelFileError  (ValueError)    path, name              a model that is not usable
    ├── DeviceError     (RuntimeError)  device                  a device that is not available
    ├── OutputError     (OSError)       path, failed, report    a file that cannot be written
    └── TrainingError   (RuntimeError)  path                    a run that cannot continue

Each is also a builtin error, so code that knows nothing of geodet can catch it. The message says
what is wrong, with the value and the place. The hint says what to do. The other attributes hold the
same facts for programs; each is None, or empty, where it does not apply.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "ConfigError",
    "DeviceError",
    "GeodetError",
    "ModelFileError",
    "OutputError",
    "SceneError",
    "TilesetError",
    "TrainingError",
    "VectorError",
]


class GeodetError(Exception):
    """The root of every error that geodet raises on purpose.

    Args:
        message: What went wrong, with the value and the place.
        hint: What to do about it; the command line and a traceback show it after ``hint:``.

    Example:
        >>> try:
        ...     geodet.load_model("urban-tree")
        ... except geodet.GeodetError as error:
        ...     print(error.hint)
        did you mean 'urban-trees'? ...
    """

    hint: str
    """The way out, for the user."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # a traceback shows it below the message

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is rebuilt from its message alone, which fails without the hint
        # and hangs a pool of processes.
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigError(GeodetError, ValueError):
    """A configuration key, value or recipe is wrong.

    Args:
        message: What went wrong.
        hint: What to do about it.
        key: The key, such as ``detect.chip_size``, where one is to blame.

    Example:
        >>> try:
        ...     geodet.detect(scene, settings={"detect.chipsize": 512})
        ... except geodet.ConfigError as error:
        ...     print(error.hint)
        did you mean 'detect.chip_size'?
    """

    key: str | None
    """The key, such as ``detect.chip_size``."""

    def __init__(self, message: str, *, hint: str, key: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.key = key


class SceneError(GeodetError, OSError):
    """A raster cannot be opened or read.

    Args:
        message: What went wrong.
        hint: What to do about it.
        path: The raster, as GDAL takes it.
        failed: The scenes of a run that could not be read, by name, with their errors.
        report: What the run has written of the other scenes.

    Example:
        >>> try:
        ...     geodet.detect("nothing.tif")
        ... except geodet.SceneError as error:
        ...     print(error.path)
        nothing.tif
    """

    path: str | None
    """The raster, as GDAL takes it."""
    failed: Mapping[str, SceneError]
    """The scenes of a run that could not be read, by name, with their errors."""
    report: Any
    """The :class:`geodet.DetectReport` of the other scenes, which are written."""

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        path: str | os.PathLike[str] | None = None,
        failed: Mapping[str, SceneError] | None = None,
        report: Any = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = None if path is None else os.fspath(path)
        self.failed = dict(failed or {})
        self.report = report


class VectorError(GeodetError, OSError):
    """A vector file cannot be read.

    Args:
        message: What went wrong.
        hint: What to do about it.
        path: The file, with the layer that was named, such as ``a.gpkg|layername=trees``.

    Example:
        >>> try:
        ...     geodet.detect(scene, aoi="nothing.gpkg")
        ... except geodet.VectorError as error:
        ...     print(error.path)
        nothing.gpkg
    """

    path: str | None
    """The file, with the layer that was named, such as ``a.gpkg|layername=trees``."""

    def __init__(
        self, message: str, *, hint: str, path: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = None if path is None else os.fspath(path)


class TilesetError(GeodetError, ValueError):
    """Labelled chips are missing, broken or contradictory.

    Args:
        message: What went wrong.
        hint: What to do about it.
        path: The tileset, or the file in it that is wrong.

    Example:
        >>> try:
        ...     geodet.evaluate("urban-trees", "nothing")
        ... except geodet.TilesetError as error:
        ...     print(error.path)
        nothing
    """

    path: Path | None
    """The tileset, or the file in it that is wrong."""

    def __init__(self, message: str, *, hint: str, path: Path | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class ModelFileError(GeodetError, ValueError):
    """A model file was not written by geodet, or does not fit what it is used on.

    Args:
        message: What went wrong.
        hint: What to do about it.
        path: The model file.
        name: The model, by its name.

    Example:
        >>> try:
        ...     geodet.load_model("urban-tree")
        ... except geodet.ModelFileError as error:
        ...     print(error.name)
        urban-tree
    """

    path: Path | None
    """The model file."""
    name: str | None
    """The model, by its name."""

    def __init__(
        self, message: str, *, hint: str, path: Path | None = None, name: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.name = name


class DeviceError(GeodetError, RuntimeError):
    """The device that was asked for does not exist, or has too little memory.

    Args:
        message: What went wrong.
        hint: What to do about it.
        device: The device, such as ``cuda:1``.

    Example:
        >>> try:
        ...     geodet.detect(scene, device="cuda:99")
        ... except geodet.DeviceError as error:
        ...     print(error.device)
        cuda:99
    """

    device: str | None
    """The device, such as ``cuda:1``."""

    def __init__(self, message: str, *, hint: str, device: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.device = device


class OutputError(GeodetError, OSError):
    """An output cannot be written.

    Args:
        message: What went wrong.
        hint: What to do about it.
        path: The file or folder to write.
        failed: The outputs of a run that could not be written, with their errors.
        report: What the run has written to its other outputs.

    Example:
        >>> trees = geodet.detect(scene, output=folder / "trees.gpkg")
        >>> try:
        ...     geodet.detect(scene, output=folder / "trees.gpkg")
        ... except geodet.OutputError as error:
        ...     print(error.path.name)
        trees.gpkg
    """

    path: Path | None
    """The file or folder to write."""
    failed: Mapping[Path, OutputError]
    """The outputs of a run that could not be written, with their errors."""
    report: Any
    """The :class:`geodet.DetectReport` of a run whose other outputs are written."""

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        path: Path | None = None,
        failed: Mapping[Path, OutputError] | None = None,
        report: Any = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.failed = dict(failed or {})
        self.report = report


class TrainingError(GeodetError, RuntimeError):
    """A training run cannot continue.

    Args:
        message: What went wrong.
        hint: What to do about it.
        path: The folder of the run, or a file in it.

    Example:
        >>> try:
        ...     geodet.train(tiles, folder / "mine.safetensors", resume=True)
        ... except geodet.TrainingError as error:
        ...     print(error.hint)
        start the run without --resume
    """

    path: Path | None
    """The folder of the run, or a file in it."""

    def __init__(self, message: str, *, hint: str, path: Path | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


def _rebuild(kind: type[GeodetError], args: tuple[Any, ...], facts: dict[str, Any]) -> GeodetError:
    """Rebuild an error that another process has sent."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error
