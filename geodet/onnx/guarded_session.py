"""Sessions of onnxruntime: with failures that are errors of geodet, and several as one."""

from __future__ import annotations

from collections.abc import Iterable
from queue import SimpleQueue
from typing import Any

from geodet.errors import ModelFileError

__all__ = ["GuardedSession", "SharedSessions"]


class GuardedSession:
    """An ``onnxruntime.InferenceSession``; a graph may be valid and fail when it is run.

    Args:
        session: The session.
        name: The file, for the message.
    """

    def __init__(self, session: Any, name: str) -> None:
        self._session, self._name = session, name

    def run(self, *args: Any) -> list[Any]:
        """Run the graph, as ``InferenceSession.run`` does.

        Raises:
            ModelFileError: It cannot be run, as its nodes do not fit each other or the memory.
        """
        try:
            found: list[Any] = self._session.run(*args)
        except Exception as error:  # the classes of onnxruntime share no base class
            raise ModelFileError(
                f"onnxruntime cannot run {self._name}: {str(error)[:300]}",
                hint="a smaller detect.chip_size needs less memory; if that fails too, export the "
                "model again",
            ) from error
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class SharedSessions:
    """Sessions of one graph for as many threads, each of which takes one for each run.

    Each allocates from an arena of its own. In one session the threads would wait for each other
    there, and leave gaps where they free in turn.

    Args:
        sessions: The sessions.
    """

    def __init__(self, sessions: Iterable[GuardedSession]) -> None:
        self._idle: SimpleQueue[GuardedSession] = SimpleQueue()
        for session in sessions:
            self._idle.put(session)

    def run(self, *args: Any) -> list[Any]:
        """Run the graph in a session that no other thread uses, see :class:`GuardedSession`."""
        session = self._idle.get()
        try:
            return session.run(*args)
        finally:
            self._idle.put(session)
