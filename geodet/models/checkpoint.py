"""The model file: weights and their description in one ``.safetensors`` file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from geodet.files.outputs import replacing
from geodet.models.description import HEADER_KEY, ModelDescription, find_model, load_description
from geodet.models.retinanet import RetinaNet
from geodet.models.stored_weights import is_stored, load_weights

__all__ = [
    "Model",
    "load_checkpoint",
    "save_model",
]


@dataclass(frozen=True)
class Model:
    """A loaded model file.

    Example:
        >>> model = geodet.load_model("vehicles")
        >>> model.description.name
        'vehicles'
    """

    network: RetinaNet
    """The network, in evaluation mode, on the CPU."""
    description: ModelDescription
    """Its classes, input and figures."""
    digest: str
    """SHA-256 of the file, hexadecimal."""


def load_checkpoint(name: str | Path) -> Model:
    """Load a model by the name of a bundled one or by path. No code from the file is run.

    Args:
        name: A bundled model's name, or a ``.safetensors`` file.

    Raises:
        ModelFileError: There is no such model, or its weights do not fit its description or are not
            finite.
    """
    path = find_model(name)
    description = load_description(path)
    weights = load_weights(path, description)
    network = RetinaNet(
        description.architecture, bands=len(description.bands), classes=len(description.classes)
    )
    network.load_state_dict(weights, strict=False)  # the step counters are not stored
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Model(network.eval().to(memory_format=torch.channels_last), description, digest)


def save_model(path: Path, network: RetinaNet, description: ModelDescription) -> None:
    """Write a model file.

    Convolutions are stored in float16, which halves the file, all other weights in float32.

    Args:
        path: The file, ``.safetensors``.
        network: What to store.
        description: Its description.

    Raises:
        OutputError: The file cannot be written; an existing file is not changed.
    """
    weights = {
        key: _stored(tensor) for key, tensor in network.state_dict().items() if is_stored(key)
    }
    with replacing(path) as temporary:
        temporary.write_bytes(save(weights, {HEADER_KEY: description.model_dump_json()}))


def _stored(tensor: Tensor) -> Tensor:
    return (
        tensor.detach().cpu().to(torch.float16 if tensor.ndim > 1 else torch.float32).contiguous()
    )
