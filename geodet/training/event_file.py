"""A file of figures for TensorBoard."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from geodet.files.closable import Closing
from geodet.files.outputs import raising_output_errors

__all__ = ["EVENT_FILES", "EventFile"]

_NAME = "events.out.tfevents"  # that TensorBoard looks for
EVENT_FILES = f"{_NAME}*"
"""Pattern of the files' names."""
_VERSION = "brain.Event:2"


class EventFile(Closing):
    """Writes figures for TensorBoard, each epoch's at once; a context manager.

    In place of tensorboardX's ``SummaryWriter``, whose thread ends at the first error, after which
    its queue fills and the training waits for ever.

    Args:
        folder: Where the file is created.
        epochs_done: TensorBoard keeps these of an earlier file, and drops those after them.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, folder: Path, *, epochs_done: int = 0) -> None:
        from tensorboardX import RecordWriter  # here, because only training needs it

        self._path = folder / f"{_NAME}.{int(time.time())}.{socket.gethostname()}"
        with raising_output_errors(self._path):
            self._records = RecordWriter(str(self._path))
        self._add(file_version=_VERSION)
        if epochs_done:
            self._add(step=epochs_done + 1, session_log={"status": "START"})

    def close(self) -> None:
        """Close the file; what could not be written was an error of :meth:`write`."""
        with suppress(OSError):  # of what is still in its buffer then
            self._records.close()

    def write(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Add the figures of an epoch.

        Raises:
            OutputError: The file cannot be written.
        """
        values = [{"tag": name, "simple_value": value} for name, value in figures.items()]
        with raising_output_errors(self._path):
            self._add(step=epoch, summary={"value": values})
            self._records.flush()

    def _add(self, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())
