"""The output ``-`` of ``geodet detect``: a line of GeoJSON for each object on standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

if TYPE_CHECKING:
    from geodet.detection.layer_run import LayerRun
    from geodet.geometry.scene_detections import SceneDetections

__all__ = ["is_stuck", "lines_on_stdout", "split_outputs"]

_STANDARD_OUTPUT = "-"  # among the outputs
_PIPE_CLOSED = 141  # 128 plus the number of SIGPIPE, as of programs that this signal ends


def split_outputs(
    typed: Sequence[str], *, format: str | None, need_file: Mapping[str, object]
) -> tuple[list[Path], TextIO | None]:
    """Separate the files to write from standard output, and refuse what does not go with it.

    Args:
        typed: All outputs.
        format: The value of ``--format``.
        need_file: Values of options that need a file among the outputs, by name.

    Returns:
        The files, and standard output if it is among the outputs.
    """
    from geodet.detection.scene_files import to_output

    if _STANDARD_OUTPUT not in typed:
        return [to_output(one, format) for one in typed], None
    _check_standard_output(typed, format, [name for name, value in need_file.items() if value])
    return [to_output(one, format) for one in typed if one != _STANDARD_OUTPUT], sys.stdout


def _check_standard_output(
    typed: Sequence[str], format: str | None, needing_file: Sequence[str]
) -> None:
    if "--json" in needing_file:
        raise typer.BadParameter("-o - writes to standard output, too", param_hint="--json")
    if len(typed) > 1:
        return
    if format not in (None, "geojsonl"):
        raise typer.BadParameter(
            f"standard output takes GeoJSON lines, not {format}", param_hint="--format"
        )
    for option in needing_file:
        raise typer.BadParameter("needs a file besides -o -", param_hint=option)


def lines_on_stdout(run: LayerRun, stream: TextIO) -> Callable[[SceneDetections], None]:
    """Return a function that writes detections as lines.

    Where the reader has closed the pipe, as ``head`` does, the command ends without a message.

    Args:
        run: The detection.
        stream: Standard output as it was before a progress bar took it.
    """
    from geodet.vector.geojson_stream import GeoJsonStream

    lines = GeoJsonStream(stream, run.layer)

    def write(part: SceneDetections) -> None:
        try:
            lines.write(part)
        except BrokenPipeError:
            _discard(stream)
            raise typer.Exit(_PIPE_CLOSED) from None

    return write


def is_stuck(stream: TextIO) -> bool:
    """Whether a stream takes no more, such as a file on a full disk; what waits is discarded."""
    try:
        stream.write("\n")
        stream.flush()
    except OSError:
        _discard(stream)
        return True
    return False


def _discard(stream: TextIO) -> None:
    """Discard what is still buffered; Python would complain when it ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    sys.stdout = stream
