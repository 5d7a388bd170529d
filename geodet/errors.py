"""The errors that geodet raises on purpose.

    GeodetError
    ├── ConfigError        (ValueError)   a key, a value or a recipe
    ├── SceneError         (OSError)      a raster that cannot be opened or read
    ├── VectorError        (OSError)      labels or detections in a vector file
    ├── TilesetError       (ValueError)   labelled chips for training
    ├── ModelFileError     (ValueError)   a model file, or one that does not fit the scene
    ├── DeviceError        (RuntimeError) a device that is not there
    ├── OutputError        (OSError)      a file that cannot be written
    └── TrainingError      (RuntimeError) a training run that cannot go on

Each is also a builtin error, so a caller who knows nothing of geodet catches what they expect.
The message says what, the value and where; the hint says the way out.
"""

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
        hint: What to do about it; the command line prints it after ``hint:``.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(GeodetError, ValueError):
    """A configuration key, value or recipe is wrong."""


class SceneError(GeodetError, OSError):
    """A raster cannot be opened or read."""


class VectorError(GeodetError, OSError):
    """A vector file cannot be read."""


class TilesetError(GeodetError, ValueError):
    """Labelled chips are missing, broken or contradictory."""


class ModelFileError(GeodetError, ValueError):
    """A model file is not one of geodet's, or does not fit what it is used on."""


class DeviceError(GeodetError, RuntimeError):
    """The device asked for is not there, or too small."""


class OutputError(GeodetError, OSError):
    """An output cannot be written."""


class TrainingError(GeodetError, RuntimeError):
    """A training run cannot go on."""
