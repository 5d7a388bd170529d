"""The model file: weights and their description in one ``.safetensors``; loading runs no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import geodet
from geodet.config import ModelConfig
from geodet.errors import ModelFileError
from geodet.files.outputs import replacing
from geodet.models.retinanet import RetinaNet

__all__ = [
    "Model",
    "ModelDescription",
    "find_model",
    "iter_bundled",
    "load_description",
    "load_model",
    "parse_description",
    "save_model",
]

_KEY = "geodet"  # of the description in the file's header
FORMAT = 1


class ModelDescription(BaseModel):
    """What a model is, stored in the header of its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    version: str = geodet.__version__
    name: str
    description: str = ""
    architecture: ModelConfig
    classes: tuple[str, ...] = Field(min_length=1)
    bands: tuple[str, ...] = Field(min_length=1)
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    gsd: float | None
    object_px: float | None = None
    score_threshold: float
    iou_threshold: float = 0.5
    training: dict[str, str | int | float] = {}
    figures: dict[str, float] = {}

    @model_validator(mode="after")
    def _check_bands(self) -> Self:
        for name in ("mean", "std", "low", "high"):
            if len(getattr(self, name)) != len(self.bands):
                raise ValueError(f"{name} does not have a value for each of the bands")
        return self


@dataclass(frozen=True)
class Model:
    """A network with its description."""

    network: RetinaNet
    """In evaluation mode, on the CPU."""
    description: ModelDescription
    """What it is."""
    digest: str
    """SHA-256 of the file, hexadecimal."""


def iter_bundled() -> Iterable[tuple[str, Path]]:
    """List the bundled models as (name, path of the file)."""
    folder = Path(str(resources.files("geodet.models.bundled")))
    return [(file.stem, file) for file in sorted(folder.glob("*.safetensors"))]


def find_model(name: str | Path) -> Path:
    """Find a model file by the name of a bundled model or by path.

    Raises:
        ModelFileError: Neither is there.
    """
    bundled = dict(iter_bundled())
    if str(name) in bundled:
        return bundled[str(name)]
    if not Path(name).is_file():
        raise ModelFileError(
            f"no model {str(name)!r}: no such file, and not a bundled one",
            hint=f"bundled: {', '.join(bundled) or 'none'}; else give the path of a model file",
        )
    return Path(name)


def load_description(path: Path) -> ModelDescription:
    """Read the description of a model file without its weights.

    Raises:
        ModelFileError: The file is not a model of geodet's, or of a newer one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path} is not a model file: {error}",
            hint="geodet's models are .safetensors files that `geodet train` writes",
        ) from error
    if _KEY not in metadata:
        raise ModelFileError(
            f"{path} is a safetensors file without geodet's description",
            hint="it was written by another program; train a model with `geodet train`",
        )
    return parse_description(metadata[_KEY], path)


def load_model(name: str | Path) -> Model:
    """Load a model by the name of a bundled one or by path.

    Raises:
        ModelFileError: There is no such model, or its weights do not fit its description.
    """
    path = find_model(name)
    description = load_description(path)
    network = RetinaNet(
        description.architecture, bands=len(description.bands), classes=len(description.classes)
    )
    with safe_open(path, framework="pt") as file:
        weights = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    if wrong := _differs(network, weights):
        raise ModelFileError(
            f"the weights in {path} do not fit its description, first at {wrong[0]}",
            hint="the file is damaged, or from another version of geodet",
        )
    network.load_state_dict(weights, strict=False)  # the step counters are not stored
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Model(network.eval().to(memory_format=torch.channels_last), description, digest)


def save_model(path: Path, network: RetinaNet, description: ModelDescription) -> None:
    """Write a model file: convolutions in float16, which halves the file, all else in float32.

    Raises:
        OutputError: The file cannot be written; one that was there is not harmed.
    """
    weights = {key: _stored(tensor) for key, tensor in network.state_dict().items() if _kept(key)}
    with replacing(path) as temporary:
        temporary.write_bytes(save(weights, {_KEY: description.model_dump_json()}))


def parse_description(text: str, path: Path) -> ModelDescription:
    """Read a description from the JSON in a file.

    Raises:
        ModelFileError: It is broken, or of another format.
    """
    try:
        found = json.loads(text).get("format")
        if found != FORMAT:
            raise ModelFileError(
                f"{path} has model format {found}, this geodet reads {FORMAT}",
                hint="update geodet, or train the model again",
            )
        return ModelDescription.model_validate_json(text)
    except (ValidationError, json.JSONDecodeError, AttributeError) as error:
        raise ModelFileError(
            f"the description in {path} is broken: {error}", hint="train the model again"
        ) from error


def _kept(key: str) -> bool:
    """Leave out batch normalisation's step counters, which inference does not read."""
    return not key.endswith("num_batches_tracked")


def _stored(tensor: Tensor) -> Tensor:
    return (
        tensor.detach().cpu().to(torch.float16 if tensor.ndim > 1 else torch.float32).contiguous()
    )


def _differs(network: RetinaNet, weights: dict[str, Tensor]) -> list[str]:
    """List the weights that one side lacks or has in another shape."""
    own = {key: t.shape for key, t in network.state_dict().items() if _kept(key)}
    given = {key: t.shape for key, t in weights.items()}
    return sorted(key for key in own.keys() | given.keys() if own.get(key) != given.get(key))
