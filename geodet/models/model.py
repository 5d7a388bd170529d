"""A loaded model, whose network is read when something needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from geodet.models.description import ModelDescription

if TYPE_CHECKING:
    from geodet.models.retinanet import RetinaNet

__all__ = ["Model", "hash_file"]


@dataclass(frozen=True)
class Model:
    """A loaded model file.

    Example:
        >>> model = geodet.load_model("vehicles")
        >>> model.description.name
        'vehicles'
    """

    read_network: Callable[[], RetinaNet]
    """Reads the network; PyTorch is loaded only then."""
    description: ModelDescription
    """Its classes, input and figures."""
    digest: str
    """SHA-256 of the file, hexadecimal."""
    onnx: Path | None = None
    """The ONNX file that it is; None: a file with weights for PyTorch."""
    int8: Path | None = None
    """The ONNX file of the same model in eight-bit integers, if there is one."""
    path: Path | None = None
    """The file that it was read from; None: it was built in memory."""

    @cached_property
    def network(self) -> RetinaNet:
        """The network, in evaluation mode, on the CPU; an ONNX file has none."""
        return self.read_network()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
