"""Run ONNX files with OpenVINO, Intel's library, where the user has installed it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from geodet.errors import ModelFileError
from geodet.onnx.guarded_session import GuardedSession

__all__ = ["has_openvino", "open_in_openvino"]

_HINTS = {
    "NUM_STREAMS": 1,  # all threads compute one batch
    "INFERENCE_PRECISION_HINT": "f32",  # of layers in float; else bfloat16 on some processors
}


def has_openvino() -> bool:
    """Whether OpenVINO is installed; it is not loaded."""
    return importlib.util.find_spec("openvino") is not None


def open_in_openvino(path: Path, outputs: Sequence[str], *, threads: int) -> GuardedSession:
    """Compile an ONNX file for the CPU.

    Args:
        path: A file that was checked.
        outputs: Names of the outputs that are computed.
        threads: Threads of a pass.

    Raises:
        ModelFileError: OpenVINO cannot read the file.
    """
    import openvino

    core = openvino.Core()
    try:
        graph = core.read_model(str(path))
        for result in graph.get_results():
            if not result.output(0).names & set(outputs):
                graph.remove_result(result)
        compiled = core.compile_model(graph, "CPU", {**_HINTS, "INFERENCE_NUM_THREADS": threads})
    except RuntimeError as error:
        raise ModelFileError(
            f"OpenVINO cannot open {path}: {str(error)[:300]}",
            hint="python -m pip uninstall openvino; onnxruntime reads the file",
            path=path,
        ) from error
    return GuardedSession(_OpenVinoSession(compiled), f"{path} in OpenVINO")


class _OpenVinoSession:
    """A compiled graph with the method of onnxruntime's sessions that a detection calls."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._lock = Lock()  # a request has one set of buffers

    def run(
        self, names: Sequence[str], fed: Mapping[str, NDArray[Any]], _: Any
    ) -> list[NDArray[Any]]:
        with self._lock:
            found = self._request.infer(dict(fed))  # copies of the buffers
            return [found[name] for name in names]
