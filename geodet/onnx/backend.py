"""Models of either kind of file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from geodet.config import ModelConfig
from geodet.errors import ConfigError, ModelFileError
from geodet.models.checkpoint import Model, load_model
from geodet.models.description import ModelDescription, parse_description
from geodet.models.retinanet import Outputs, RetinaNet
from geodet.onnx.metadata import DESCRIPTION_KEY, READER_KEY

__all__ = ["OnnxNetwork", "load_onnx_description", "load_onnx_model", "open_model", "open_session"]


class OnnxNetwork(nn.Module):
    """A network in onnxruntime that is called as :class:`geodet.models.retinanet.RetinaNet` is.

    It computes on the CPU in float32, whatever the precision asked for.

    Args:
        session: Of a ``plain`` file, as :func:`open_session` gives it.
        about: The model.
    """

    def __init__(self, session: Any, about: ModelDescription) -> None:
        super().__init__()
        self.config = about.architecture
        self._session = session
        for name in ("mean", "std"):
            values = torch.tensor(getattr(about, name)).view(1, -1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images: Tensor) -> Outputs:
        """Run the network on (N, C, H, W) standardised pixels."""
        # The graph standardises by itself, for programs that know nothing of it.
        pixels = images.float() * self.get_buffer("std") + self.get_buffer("mean")
        fed = {"pixels": np.ascontiguousarray(pixels.cpu().numpy())}
        found = self._session.run(["logits", "deltas", "anchors"], fed)
        logits, deltas, anchors = (torch.from_numpy(array).to(images.device) for array in found)
        return Outputs(logits, deltas, anchors, _level_sizes(self.config, *images.shape[-2:]))


def open_session(content: bytes | Path, *, threads: int | None = None) -> Any:
    """Open an ONNX file, or the bytes of one, for the CPU.

    Args:
        content: The file.
        threads: Of one pass; None: as many as PyTorch uses.

    Raises:
        ConfigError: The package onnxruntime is not installed.
        ModelFileError: It is no ONNX file, or one that onnxruntime cannot run.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            "running an ONNX file needs the package onnxruntime, which is not installed",
            hint="python -m pip install 'geodet[onnx]'",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors: they are raised as well
    given = content if isinstance(content, bytes) else str(content)
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes have no root of their own
        name = "the graph" if isinstance(content, bytes) else str(content)
        raise ModelFileError(
            f"onnxruntime cannot open {name}: {error}",
            hint="`geodet export --reader plain` writes files that geodet reads",
        ) from error


def load_onnx_description(path: Path) -> ModelDescription:
    """Read the description of a model in an ONNX file.

    Raises:
        ConfigError: The package onnxruntime is not installed.
        ModelFileError: The file was not written by ``geodet export --reader plain``.
    """
    return _description(open_session(path), path)


def load_onnx_model(path: Path) -> Model:
    """Load a model from an ONNX file.

    Its network is an :class:`OnnxNetwork`, which serves wherever one is only called: in
    :func:`geodet.detection.predictor.build_predictor`, not in training.

    Raises:
        ConfigError: The package onnxruntime is not installed.
        ModelFileError: The file was not written by ``geodet export --reader plain``.
    """
    session = open_session(path)
    about = _description(session, path)
    network = cast("RetinaNet", OnnxNetwork(session, about).eval())
    return Model(network, about, hashlib.sha256(path.read_bytes()).hexdigest())


def _description(session: Any, path: Path) -> ModelDescription:
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    reader = metadata.get(READER_KEY, "another program")
    if DESCRIPTION_KEY not in metadata or reader != "plain":
        raise ModelFileError(
            f"{path} is an ONNX file for {reader}, not one that geodet reads",
            hint="`geodet export --reader plain` writes files that geodet reads",
        )
    return parse_description(metadata[DESCRIPTION_KEY], path)


def _level_sizes(config: ModelConfig, height: int, width: int) -> tuple[int, ...]:
    """Count the anchors of each level: a stride's rest at the edge is a cell, too."""
    first, last = config.levels
    per_cell = len(config.anchor_scales) * len(config.anchor_ratios)
    strides = [2**level for level in range(first, last + 1)]
    return tuple(per_cell * -(-height // stride) * -(-width // stride) for stride in strides)


def open_model(name: str | Path) -> Model:
    """Load a model to detect with.

    Args:
        name: A bundled model's name, a ``.safetensors`` file, or an ``.onnx`` file, which runs in
            onnxruntime on the CPU.

    Raises:
        ModelFileError: There is no such model, or the file is not one of geodet's.
        ConfigError: The package onnxruntime is needed and not installed.
    """
    path = Path(name)
    return load_onnx_model(path) if path.suffix.lower() == ".onnx" else load_model(name)
