"""The model file: weights and their description in one ``.safetensors`` file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from geodet.files.outputs import replacing
from geodet.models.description import HEADER_KEY, ModelDescription, find_model, load_description
from geodet.models.model import Model, hash_file
from geodet.models.retinanet import RetinaNet
from geodet.models.stored_weights import is_stored, load_weights
from geodet.models.unfilled import Unfilled

__all__ = ["load_checkpoint", "load_network", "save_model"]


def load_checkpoint(name: str | Path) -> Model:
    """Load a model with its network, by the name of a bundled one or by path.

    Args:
        name: A bundled model's name, or a ``.safetensors`` file. No code from it is run.

    Raises:
        ModelFileError: There is no such model, or its weights do not fit its description or are not
            finite.
    """
    path = find_model(name)
    network, description = load_network(path)
    return Model(lambda: network, description, hash_file(path), path=path)


def load_network(path: Path) -> tuple[RetinaNet, ModelDescription]:
    """Load the network of a model file, in evaluation mode, and its description.

    Raises:
        ModelFileError: The file is not a model, or its weights do not fit its description.
    """
    description = load_description(path)
    weights = load_weights(path, description)
    with Unfilled():
        network = RetinaNet(
            description.architecture, bands=len(description.bands), classes=len(description.classes)
        )
    network.load_state_dict(weights, strict=False)  # the step counters are not stored
    return network.eval().to(memory_format=torch.channels_last), description


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
