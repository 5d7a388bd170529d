"""The description of a model in its file, which is read without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open

from geodet.config import ModelConfig
from geodet.config.section import name_hint
from geodet.documents.json_documents import parse_json
from geodet.documents.text import DocumentError
from geodet.documents.values import check_class_name, cut_short, shown
from geodet.errors import ModelFileError
from geodet.files.version import __version__

__all__ = [
    "FORMAT",
    "HEADER_KEY",
    "ModelDescription",
    "check_model",
    "find_model",
    "iter_bundled",
    "load_description",
    "parse_description",
]

HEADER_KEY = "geodet"
"""Of the description in the header of a model file."""

FORMAT = 1

_LONGEST = 1 << 20  # characters of a description; those of the bundled models have 3,000
_MOST_NAMES = 10_000
_LARGEST_VALUE = 1e30  # of a pixel: float32 computes with its square root and more

_Name = Annotated[str, Field(min_length=1, max_length=1000)]
_ClassName = Annotated[_Name, AfterValidator(check_class_name)]
_PixelValue = Annotated[float, Field(ge=-_LARGEST_VALUE, le=_LARGEST_VALUE)]
_Spread = Annotated[float, Field(ge=1 / _LARGEST_VALUE, le=_LARGEST_VALUE)]


class ModelDescription(BaseModel):
    """A model's name, classes, input and figures, stored in the header of its file.

    Example:
        >>> about = geodet.load_model("thermal").description
        >>> about.classes, about.dtype
        (('Bicycle', 'Car', 'Person'), 'uint8')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: int = FORMAT
    """Version of the file format."""
    version: str = __version__
    """Version of geodet that wrote the file."""
    name: str
    """Name of the model."""
    description: str = ""
    """The objects that the model finds, in a few words."""
    architecture: ModelConfig
    """The network."""
    classes: tuple[_ClassName, ...] = Field(min_length=1, max_length=_MOST_NAMES)
    """Names of the classes, in the order of their labels."""
    bands: tuple[_Name, ...] = Field(min_length=1, max_length=_MOST_NAMES)
    """Names of the bands, in the order of the input."""
    dtype: str = Field(pattern=r"^(bool|u?int(8|16|32|64)|float(16|32|64))$")
    """Type of the training pixels, as numpy names it."""
    mean: tuple[_PixelValue, ...]
    """Mean of the training pixels in each band, in the units of the data."""
    std: tuple[_Spread, ...]
    """Standard deviation likewise."""
    low: tuple[_PixelValue, ...]
    """0.1 % quantile likewise."""
    high: tuple[_PixelValue, ...]
    """99.9 % quantile likewise."""
    gsd: float | None = Field(ge=1e-6, le=1e6)
    """Ground sample distance of the training images, in metres per pixel; None if unknown."""
    object_px: float | None = Field(None, gt=0, le=1e6)
    """Side in pixels that 99 % of the training objects do not exceed; None if unknown."""
    score_threshold: float = Field(ge=0, le=1)
    """Score at which F1 on the validation chips was best."""
    score_thresholds: dict[str, float] = {}
    """Score at which F1 of a class was best, for classes that have one of their own."""
    iou_threshold: float = Field(0.5, ge=0, le=1)
    """IoU above which the weaker of two boxes of one class is a duplicate."""
    training: dict[str, str | int | float] = {}
    """Data, numbers of images and objects, epochs and seed of the training."""
    figures: dict[str, float] = {}
    """F1, precision and recall on the validation chips, which also chose epoch and threshold, or on
    the labels that the model was calibrated on."""

    @model_validator(mode="after")
    def _check_bands(self) -> Self:
        for name in ("mean", "std", "low", "high"):
            if len(getattr(self, name)) != len(self.bands):
                raise ValueError(f"{name} does not have a value for each of the bands")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("low is above high")
        return self

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        first, last = self.architecture.levels
        if len(self.architecture.anchor_sizes) != last - first + 1:
            raise ValueError(
                f"architecture has {len(self.architecture.anchor_sizes)} anchor_sizes for"
                f" {last - first + 1} levels"
            )
        return self


def iter_bundled() -> Iterable[tuple[str, Path]]:
    """List the bundled models as (name, path of the file)."""
    folder = Path(str(resources.files("geodet.models.bundled")))
    return [(file.stem, file) for file in sorted(folder.glob("*.safetensors"))]


def find_model(name: str | Path) -> Path:
    """Find a model file by the name of a bundled model or by path.

    Raises:
        ModelFileError: Neither is there, or the path is that of a folder.
    """
    bundled = dict(iter_bundled())
    if str(name) in bundled:
        return bundled[str(name)]
    if Path(name).is_dir():
        raise ModelFileError(
            f"{name} is a folder, not a model",
            hint="a model is a .safetensors or .onnx file; that of the run NAME.run is"
            " NAME.safetensors",
            name=str(name),
        )
    if not Path(name).is_file():
        raise ModelFileError(
            f"unknown model {str(name)!r}: no such file, and no bundled model",
            hint=f"{name_hint(str(name), bundled, 'bundled models')}; "
            "or give the path of a model file",
            name=str(name),
        )
    return Path(name)


def load_description(path: Path) -> ModelDescription:
    """Read the description of a model file without its weights.

    Raises:
        ModelFileError: The file is not a model of geodet's, or of a newer one, or an ONNX file.
    """
    if path.suffix.lower() == ".onnx":
        raise ModelFileError(
            f"{path} is an ONNX file; here a .safetensors file is needed",
            hint="give the .safetensors file that it was exported from",
            path=Path(path),
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path} is not a model file: {error}",
            hint="a model is a .safetensors file that `geodet train` writes",
            path=Path(path),
        ) from error
    if HEADER_KEY not in metadata:
        raise ModelFileError(
            f"{path} is a safetensors file without geodet's description",
            hint="another program wrote it; `geodet train` writes models that geodet reads",
            path=Path(path),
        )
    return parse_description(metadata[HEADER_KEY], path)


def check_model(name: str | Path) -> None:
    """Check that a model exists and is one of geodet's, without loading its weights.

    Args:
        name: A bundled model's name, a ``.safetensors`` file or an ``.onnx`` file. Of the latter,
            only whether it exists is checked.

    Raises:
        ModelFileError: There is no such model, or the file is another program's.
    """
    path = find_model(name)
    if path.suffix.lower() != ".onnx":
        load_description(path)


def parse_description(text: str, path: Path) -> ModelDescription:
    """Read a description from the JSON in a file.

    Raises:
        ModelFileError: It is broken, or of another format.
    """
    try:
        if len(text) > _LONGEST:
            raise DocumentError(f"it has {len(text):,} characters", hint="")
        content = parse_json(text)
        if not isinstance(content, dict):
            raise DocumentError(f"it is {shown(content)}", hint="")
        if content.get("format") != FORMAT:
            raise ModelFileError(
                f"{path} has model format {shown(content.get('format'))}, this geodet reads"
                f" {FORMAT}",
                hint="update geodet, or train the model again",
                path=path,
            )
        return ModelDescription.model_validate(content, strict=False)
    except (ValidationError, DocumentError) as error:
        what = _first_of(error) if isinstance(error, ValidationError) else str(error)
        raise ModelFileError(
            f"the description in {path} is broken: {what}",
            hint="train the model again",
            path=path,
        ) from error


def _first_of(failure: ValidationError) -> str:
    """Return the first of several mistakes in one line: the key, its value, and the rule."""
    error = failure.errors(include_url=False)[0]
    place = ".".join(str(part) for part in error["loc"])
    value = "" if isinstance(error["input"], dict) else f" = {shown(error['input'])}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{cut_short(place)}{value}: {cut_short(message, longest=400)}" if place else message
