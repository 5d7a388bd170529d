"""Open ONNX files in onnxruntime, without PyTorch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from geodet.errors import ConfigError, ModelFileError
from geodet.files.network import unreported
from geodet.models.description import ModelDescription, parse_description
from geodet.onnx.file_checks import check_onnx_file, check_session
from geodet.onnx.guarded_session import GuardedSession

__all__ = [
    "DESCRIPTION_KEY",
    "PRECISION_KEY",
    "READER_KEY",
    "SOURCE_KEY",
    "has_onnxruntime",
    "import_onnxruntime",
    "load_onnx_description",
    "open_session",
    "read_description",
    "read_origin",
]

DESCRIPTION_KEY = "geodet"
"""In the metadata of a file: the description of the model."""

READER_KEY = "geodet_reader"
"""In the metadata of a file: the program that it is for."""

PRECISION_KEY = "geodet_precision"
"""In the metadata of a file: ``int8``, or ``float32`` where it is missing."""

SOURCE_KEY = "geodet_source"
"""In the metadata of a file: SHA-256 of the model file that it was made from."""


def has_onnxruntime() -> bool:
    """Whether onnxruntime is installed; it is not loaded."""
    return importlib.util.find_spec("onnxruntime") is not None


def import_onnxruntime() -> Any:
    """Import the package onnxruntime, which from 1.31 on reports to its makers unless told not to.

    Its import begins a file of events in the user's cache folder, and sends them to a server.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        with unreported("ORT_DISABLE_TELEMETRY", "1"):
            import onnxruntime
    except ImportError as error:
        raise ConfigError(
            "running an ONNX file needs the package onnxruntime, which is not installed",
            hint="python -m pip install 'geodet[onnx]'",
        ) from error
    return onnxruntime


def open_session(content: bytes | Path, *, threads: int = 0, folded: Path | None = None) -> Any:
    """Open an ONNX file, or its bytes, to run it on the CPU.

    Args:
        content: Path of the file, or its bytes.
        threads: Threads of one pass; 0: as many as there are cores.
        folded: A file for the graph as it is after norms were folded into convolutions; no other
            optimisation is done then.

    Raises:
        ConfigError: The package onnxruntime is not installed.
        ModelFileError: onnxruntime cannot read the file.
    """
    onnxruntime = import_onnxruntime()
    if isinstance(content, Path):
        check_onnx_file(content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # takes memory, and no less time
    options.log_severity_level = 3  # errors: they are raised as well
    if folded is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
    given = content if isinstance(content, bytes) else str(content)
    name = "the graph" if isinstance(content, bytes) else str(content)
    try:
        session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        return GuardedSession(session, name)
    except Exception as error:  # its classes share no base class
        raise ModelFileError(
            f"onnxruntime cannot open {name}: {error}",
            hint="`geodet export --reader plain` writes files that geodet reads",
            path=content if isinstance(content, Path) else None,
        ) from error


def load_onnx_description(path: Path) -> ModelDescription:
    """Read the description of a model in an ONNX file.

    Raises:
        ConfigError: The package onnxruntime is not installed.
        ModelFileError: The file was not written by ``geodet export --reader plain``.
    """
    return read_description(open_session(path), path)


def read_origin(session: Any) -> tuple[str, str]:
    """Return the precision of an open file, and the SHA-256 of the model that it was made from."""
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return metadata.get(PRECISION_KEY, "float32"), metadata.get(SOURCE_KEY, "")


def read_description(session: Any, path: Path) -> ModelDescription:
    """Read the description of a model from an open file.

    Raises:
        ModelFileError: The file was not written by ``geodet export --reader plain``.
    """
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    reader = metadata.get(READER_KEY, "another program")
    if DESCRIPTION_KEY not in metadata or reader != "plain":
        raise ModelFileError(
            f"{path} is an ONNX file for {reader}, not one that geodet reads",
            hint="`geodet export --reader plain` writes files that geodet reads",
            path=path,
        )
    about = parse_description(metadata[DESCRIPTION_KEY], path)
    check_session(session, about, path)
    return about
