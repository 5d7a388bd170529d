"""Load a model from either kind of file, and choose what computes it.

This is the one module that imports others of geodet inside functions: those that load PyTorch, so
that a detection in eight-bit integers, or with an ONNX file, starts and runs without it.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from geodet.errors import ConfigError, DeviceError, ModelFileError
from geodet.files.outputs import int8_path
from geodet.models.description import find_model, load_description
from geodet.models.device import (
    choose_device,
    has_torch,
    import_torch,
    resolve_device,
    resolve_precision,
)
from geodet.models.engine import Engine
from geodet.models.model import Model, hash_file
from geodet.onnx.onnx_engine import OnnxEngine
from geodet.onnx.precision_probe import Forms, fastest_library, fastest_precision
from geodet.onnx.session import has_onnxruntime, load_onnx_description

if TYPE_CHECKING:
    from geodet.models.retinanet import RetinaNet

__all__ = ["build_engine", "load_model", "load_onnx_model"]

logger = logging.getLogger(__name__)


def load_onnx_model(path: Path) -> Model:
    """Load a model from an ONNX file, which detects but cannot be trained.

    Raises:
        ConfigError: The package onnxruntime is not installed.
        ModelFileError: The file was not written by ``geodet export --reader plain``.
    """
    about = load_onnx_description(path)
    return Model(partial(_no_network, path), about, hash_file(path), onnx=path, path=path)


def load_model(name: str | Path | Model) -> Model:
    """Load a model, once for many calls of :func:`geodet.detect`; one that is loaded is returned.

    A loaded model is not changed by any function of geodet, so threads may share it. Its weights
    are read when they are first needed.

    Args:
        name: A bundled model (``urban-trees``, ``urban-trees-nir``, ``vehicles``,
            ``vehicles-oriented``, ``thermal``), a ``.safetensors`` file that
            :func:`geodet.train` wrote, or an ``.onnx`` file that :func:`geodet.export` wrote with
            ``reader="plain"``; or a loaded model.

    Raises:
        ModelFileError: There is no such model, or the file is not a model of geodet.
        ConfigError: It is neither a model nor a name; or an ``.onnx`` file needs onnxruntime, which
            is not installed.

    Example:
        >>> model = geodet.load_model("urban-trees")
        >>> model.description.classes, model.description.bands
        (('tree',), ('red', 'green', 'blue'))
    """
    if isinstance(name, Model):
        return name
    if not isinstance(name, str | Path):
        raise ConfigError(
            f"model is a {type(name).__name__}",
            hint="pass a bundled model's name, the path of a model file, or a loaded model",
        )
    if Path(name).suffix.lower() == ".onnx":
        return load_onnx_model(Path(name))
    path = find_model(name)
    int8 = int8_path(path)
    return Model(
        partial(_read_network, path),
        load_description(path),
        hash_file(path),
        int8=int8 if int8.is_file() else None,
        path=path,
    )


def build_engine(model: Model, precision: str, device: str) -> Engine:
    """Choose what computes a model, and load it.

    Args:
        model: The model.
        precision: ``float32``, ``bfloat16``, ``int8`` or ``auto``: on a CPU the fastest of those
            that the model has, see :func:`geodet.onnx.precision_probe.fastest_precision`; on a CUDA
            device bfloat16 where it has that.
        device: A name as :func:`geodet.models.device.choose_device` takes it.

    Raises:
        DeviceError: There is no such device, or it cannot compute the model.
        ConfigError: The model has no form of that precision, or a package is missing.
        ModelFileError: The model file is broken.
    """
    chosen = choose_device(device)
    if model.onnx is not None:
        return fastest_library(model, _onnx_engine(model.onnx, precision, device))
    if precision == "int8" and chosen != "cpu":
        raise DeviceError(
            f"detect.precision = int8 computes on the CPU, but the device is {chosen}",
            hint="use --device cpu, or leave detect.precision at auto",
            device=chosen,
        )
    if chosen == "cpu" and precision in ("auto", "int8"):
        int8 = _int8_engine(model, is_asked=precision == "int8")
        if int8 is not None and (precision == "int8" or not has_torch()):
            return int8
        if int8 is not None:
            build_float = partial(_torch_engine, model, device=chosen)
            precision = fastest_precision(Forms(model, int8, build_float))
            if precision == "int8":
                return int8
    return _torch_engine(model, precision, device=chosen)


def _onnx_engine(path: Path, precision: str, device: str) -> OnnxEngine:
    """Open an ONNX file, whose precision is its own."""
    if device.startswith("cuda"):
        raise DeviceError(
            f"{path} computes on the CPU, but the device is {device}",
            hint="use --device cpu, or the .safetensors file of the model",
            device=device,
        )
    engine = OnnxEngine(path)
    if "int8" in (precision, engine.precision) and precision not in ("auto", engine.precision):
        raise ConfigError(
            f"detect.precision = {precision}, and {path} computes in {engine.precision}",
            hint="leave detect.precision at auto for an ONNX file",
            key="detect.precision",
        )
    return engine


def _int8_engine(model: Model, *, is_asked: bool) -> OnnxEngine | None:
    """Open the eight-bit file of a model, if there is one of these weights."""
    reason = ""
    if model.int8 is None:
        reason = "it has no eight-bit file"
    elif not has_onnxruntime():
        reason = "the package onnxruntime is not installed"
    else:
        engine = OnnxEngine(model.int8)
        if engine.source == model.digest:
            return fastest_library(model, engine)
        reason = f"{model.int8} was made from other weights"
        logger.warning("%s: it is not used", reason)
    if is_asked:
        raise ConfigError(
            f"{model.description.name} cannot be computed in eight-bit integers: {reason}",
            hint="`geodet export MODEL --precision int8 --calibrate TILESET` makes the file, and "
            "python -m pip install onnxruntime the package",
            key="detect.precision",
        )
    return None


def _torch_engine(model: Model, precision: str, *, device: str) -> Engine:
    import_torch()  # or say that it is missing
    from geodet.models.torch_engine import build_torch_engine

    where = resolve_device(device)
    return build_torch_engine(model, where, resolve_precision(precision, where))


def _read_network(path: Path) -> RetinaNet:
    import_torch()
    from geodet.models.checkpoint import load_network

    return load_network(path)[0]


def _no_network(path: Path) -> RetinaNet:
    raise ModelFileError(
        f"{path} is an ONNX file, which can detect but cannot be trained or exported",
        hint="give the .safetensors file that it was made from",
        path=path,
    )
