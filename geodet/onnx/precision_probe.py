"""Measure what is the fastest on this CPU, once for each model and machine: precision and library.

The choice is kept in a file of the user, so that later runs make the same one and start without
loading PyTorch. Eight-bit integers find slightly other objects than floats: the choice is part of
the results, which name it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import platformdirs

from geodet.files.outputs import replacing
from geodet.files.version import __version__
from geodet.models.description import ModelDescription
from geodet.models.device import cpu_name
from geodet.models.engine import Engine
from geodet.models.input_values import InputValues
from geodet.models.model import Model, hash_file
from geodet.onnx.onnx_engine import OnnxEngine
from geodet.onnx.openvino_session import has_openvino

__all__ = ["Forms", "choice_file", "fastest_library", "fastest_precision", "remember_precision"]

logger = logging.getLogger(__name__)

_SIDE = 512  # of the chip, in pixels
_SECONDS = 1.0  # for all passes after the first ones
_LEAST_ROUNDS = 2
_MARGIN = 1.1
"""Times the speed of floats that eight-bit integers must have to be chosen over them, and that
OpenVINO must have to be chosen over onnxruntime."""
_PRECISIONS = ("int8", "bfloat16", "float32")
_LIBRARIES = ("onnxruntime", "openvino")


class Forms(NamedTuple):
    """The forms of a model on a CPU."""

    model: Model
    """The model."""
    int8: OnnxEngine
    """Its eight-bit form."""
    build_float: Callable[[str], Engine]
    """Builds the form of a floating-point type; ``auto`` is the one that the CPU multiplies."""


def fastest_precision(forms: Forms) -> str:
    """Return ``int8``, ``bfloat16`` or ``float32``, whichever is the fastest on this CPU.

    The first time it takes about a second, and as long as loading PyTorch; later the choice is read
    from :func:`choice_file`. It holds for one model, kind of processor and version of each library.

    Args:
        forms: What to choose from.
    """
    if (known := _read_choice(choice_file(forms.model), "precision", _PRECISIONS)) is not None:
        return known
    floats = [forms.build_float(name) for name in ("float32", "auto")]
    engines: dict[str, Engine] = {one.precision: one for one in floats} | {"int8": forms.int8}
    seconds = _measure(engines, forms.model.description)
    best_float = min((name for name in seconds if name != "int8"), key=seconds.__getitem__)
    is_faster = seconds["int8"] * _MARGIN < seconds[best_float]
    chosen = "int8" if is_faster else best_float
    _tell("precision", chosen, seconds)
    remember_precision(forms.model, chosen)
    return chosen


def fastest_library(model: Model, engine: OnnxEngine) -> OnnxEngine:
    """Return an engine, or the same file in OpenVINO where that is installed and faster here.

    It is measured as in :func:`fastest_precision`, and the choice is kept likewise.

    Args:
        model: The model.
        engine: One of its forms, in onnxruntime.
    """
    if not has_openvino():
        return engine
    path = choice_file(model, about=f"library of {engine.precision}", libraries=_LIBRARIES)
    known = _read_choice(path, "library", _LIBRARIES)
    if known == "onnxruntime":
        return engine
    other = OnnxEngine(engine.path, library="openvino")
    if known is None:
        seconds = _measure({"onnxruntime": engine, "openvino": other}, engine.about)
        is_faster = seconds["openvino"] * _MARGIN < seconds["onnxruntime"]
        known = "openvino" if is_faster else "onnxruntime"
        _tell("library", known, seconds)
        _write_choice(path, "library", known)
    return other if known == "openvino" else engine


def _tell(what: str, chosen: str, seconds: Mapping[str, float]) -> None:
    shown = ", ".join(f"{name} {1000 * one:.0f} ms" for name, one in seconds.items())
    logger.info("%s: %s (a chip of %d px takes %s)", what, chosen, _SIDE, shown)


def remember_precision(model: Model, precision: str) -> None:
    """Write the choice for a model on this machine, unless the user's folder cannot be written."""
    _write_choice(choice_file(model), "precision", precision)


def choice_file(
    model: Model, *, about: str = "precision", libraries: Sequence[str] = (*_LIBRARIES, "torch")
) -> Path:
    """Return the file with the choice for a model on this machine; it may not exist.

    Args:
        model: A model with an eight-bit file, or an ONNX file.
        about: What is chosen.
        libraries: What the choice depends on, in their versions.
    """
    facts = (
        __version__,
        about,
        *map(_version, libraries),
        cpu_name(),
        platform.machine(),
        model.digest,
        hash_file(model.int8) if model.int8 else "",
    )
    name = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("geodet", appauthor=False)) / "precision"
    return folder / f"{model.description.name}-{name}.json"


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _write_choice(path: Path, key: str, chosen: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({key: chosen}), encoding="utf-8")
    except OSError as error:
        logger.info("the choice of %s is not kept: %s", chosen, error)


def _read_choice(path: Path, key: str, choices: Sequence[str]) -> str | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, or not ours: it is measured again
    return found if found in choices else None


def _measure(engines: Mapping[str, Engine], about: ModelDescription) -> dict[str, float]:
    """Return the seconds of a pass by name: the least of some rounds, in turn."""
    values = InputValues(about.mean, about.std)
    chip = np.random.default_rng(0).normal(
        np.reshape(about.mean, (-1, 1, 1)),
        np.reshape(about.std, (-1, 1, 1)),
        (len(about.bands), _SIDE, _SIDE),
    )
    pixels = chip.clip(0, 255).astype(np.uint8) if about.dtype == "uint8" else chip.astype("f4")
    valid = np.ones((_SIDE, _SIDE), np.bool_)
    given = {name: one.stack([pixels], [valid]) for name, one in engines.items()}
    seconds = dict.fromkeys(engines, float("inf"))
    end = None
    rounds = 0
    while end is None or rounds < _LEAST_ROUNDS or time.monotonic() < end:
        for name, engine in engines.items():
            start = time.perf_counter()
            engine.forward(*given[name], values)
            if end is not None:  # the first pass compiles and allocates
                seconds[name] = min(seconds[name], time.perf_counter() - start)
        rounds += end is not None
        end = end or time.monotonic() + _SECONDS
    return seconds
