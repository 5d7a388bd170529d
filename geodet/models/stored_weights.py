"""Check the weights in a model file by its header, before any of them is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from geodet.documents.values import shown
from geodet.errors import ModelFileError
from geodet.models.description import ModelDescription
from geodet.models.retinanet import RetinaNet, rename_former_weights
from geodet.models.unfilled import Unfilled

__all__ = ["is_stored", "load_weights"]

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_DAMAGED = "the file is damaged, or from another version of geodet"


def is_stored(key: str) -> bool:
    """Whether a weight is stored: all are but the step counters of the batch norms."""
    return not key.endswith("num_batches_tracked")


def load_weights(path: Path, about: ModelDescription) -> dict[str, Tensor]:
    """Load the weights of a model file as float32.

    Names, types and shapes in the header are compared with those of the network that the
    description stands for, which takes no memory, before a tensor is read.

    Args:
        path: The file.
        about: Its description.

    Raises:
        ModelFileError: A weight is missing, foreign, misshapen or no floating-point numbers; or it
            has NaN, infinite values or a negative variance.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            _check_types({key: one.get_dtype() for key, one in header.items()}, path)
            _check_shapes({key: tuple(one.get_shape()) for key, one in header.items()}, about, path)
            weights = {key: file.get_tensor(key).float() for key in header}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path} cannot be read: {error}", hint="the file is damaged", path=path
        ) from error
    rename_former_weights(weights)
    _check_values(weights, path)
    return weights


def _check_types(types: Mapping[str, str], path: Path) -> None:
    for key, name in types.items():
        if name not in _FLOATS:
            raise ModelFileError(
                f"the weight {shown(key)} in {path} is of the type {name}, and weights are"
                " floating-point numbers",
                hint=_DAMAGED,
                path=path,
            )


def _check_shapes(
    shapes: Mapping[str, tuple[int, ...]], about: ModelDescription, path: Path
) -> None:
    given = dict(shapes)
    rename_former_weights(given)
    with torch.device("meta"), Unfilled():  # shapes without memory
        network = RetinaNet(about.architecture, bands=len(about.bands), classes=len(about.classes))
    own = {key: tuple(t.shape) for key, t in network.state_dict().items() if is_stored(key)}
    wrong = sorted(key for key in own.keys() | given.keys() if own.get(key) != given.get(key))
    if wrong:
        first = wrong[0]
        raise ModelFileError(
            f"the weights in {path} do not fit its description, first at {shown(first)}: "
            f"{_shape(given.get(first))} in the file, {_shape(own.get(first))} by the description",
            hint=_DAMAGED,
            path=path,
        )


def _shape(sides: tuple[int, ...] | None) -> str:
    return "none" if sides is None else " x ".join(map(str, sides)) or "one number"


def _check_values(weights: Mapping[str, Tensor], path: Path) -> None:
    for key, values in weights.items():
        if not torch.isfinite(values).all():
            raise ModelFileError(
                f"the weight {key} in {path} has values that are not finite numbers",
                hint="the file is damaged, or its training diverged: train the model again",
                path=path,
            )
        if key.endswith("running_var") and (values < 0).any():
            raise ModelFileError(
                f"the variance {key} in {path} is negative",
                hint="the file is damaged: train the model again",
                path=path,
            )
