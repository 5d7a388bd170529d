"""Load a model from either kind of file, and run ONNX files in onnxruntime."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from geodet.config import ModelConfig
from geodet.errors import ConfigError
from geodet.models.checkpoint import Model, load_checkpoint
from geodet.models.description import ModelDescription
from geodet.models.retinanet import Outputs, RetinaNet
from geodet.onnx.session import open_session, read_description

__all__ = ["OnnxNetwork", "as_model", "load_model", "load_onnx_model"]


class OnnxNetwork(nn.Module):
    """A network in onnxruntime, called like a :class:`geodet.models.retinanet.RetinaNet`.

    It computes on the CPU in float32, whatever precision is set.

    Args:
        session: Session of a ``plain`` file, see :func:`open_session`.
        about: Description of the model.
    """

    def __init__(self, session: Any, about: ModelDescription) -> None:
        super().__init__()
        self.config = about.architecture
        self._session = session
        for name in ("mean", "std"):
            values = torch.tensor(getattr(about, name)).view(1, -1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images: Tensor) -> Outputs:
        """Compute the outputs of (N, C, H, W) standardised pixels."""
        # The graph standardises pixels itself, for programs that cannot.
        pixels = images.float() * self.get_buffer("std") + self.get_buffer("mean")
        fed = {"pixels": np.ascontiguousarray(pixels.cpu().numpy())}
        found = self._session.run(["logits", "deltas", "anchors"], fed)
        logits, deltas, anchors = (torch.from_numpy(array).to(images.device) for array in found)
        return Outputs(logits, deltas, anchors, _level_sizes(self.config, *images.shape[-2:]))


def load_onnx_model(path: Path) -> Model:
    """Load a model from an ONNX file.

    Its network is an :class:`OnnxNetwork`, which detects but cannot be trained.

    Raises:
        ConfigError: The package onnxruntime is not installed.
        ModelFileError: The file was not written by ``geodet export --reader plain``.
    """
    session = open_session(path, threads=torch.get_num_threads())
    about = read_description(session, path)
    network = cast("RetinaNet", OnnxNetwork(session, about).eval())
    return Model(network, about, hashlib.sha256(path.read_bytes()).hexdigest())


def _level_sizes(config: ModelConfig, height: int, width: int) -> tuple[int, ...]:
    """Count the anchors of each level, with a cell for the rest of a stride at the edge."""
    first, last = config.levels
    per_cell = len(config.anchor_scales) * len(config.anchor_ratios)
    strides = [2**level for level in range(first, last + 1)]
    return tuple(per_cell * -(-height // stride) * -(-width // stride) for stride in strides)


def load_model(name: str | Path) -> Model:
    """Load a model, once for many calls of :func:`geodet.detect`.

    A loaded model is not changed by any function of geodet, so threads may share it.

    Args:
        name: A bundled model (``urban-trees``, ``urban-trees-nir``, ``vehicles``, ``thermal``), a
            ``.safetensors`` file that :func:`geodet.train` wrote, or an ``.onnx`` file that
            :func:`geodet.export` wrote with ``reader="plain"``.

    Raises:
        ModelFileError: There is no such model, or the file is not a model of geodet.
        ConfigError: An ``.onnx`` file needs onnxruntime, which is not installed.

    Example:
        >>> model = geodet.load_model("urban-trees")
        >>> model.description.classes, model.description.bands
        (('tree',), ('red', 'green', 'blue'))
    """
    path = Path(name)
    return load_onnx_model(path) if path.suffix.lower() == ".onnx" else load_checkpoint(name)


def as_model(model: str | Path | Model) -> Model:
    """Load a model unless it is loaded.

    Raises:
        ModelFileError: There is no such model.
        ConfigError: It is neither a model nor a name.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, str | Path):
        return load_model(model)
    raise ConfigError(
        f"model is a {type(model).__name__}",
        hint="pass a bundled model's name, the path of a model file, or geodet.load_model(...)",
    )
