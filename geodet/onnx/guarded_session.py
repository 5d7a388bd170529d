"""A session of onnxruntime whose failures are errors of geodet."""

from __future__ import annotations

from typing import Any

from geodet.errors import ModelFileError

__all__ = ["GuardedSession"]


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
                hint="a smaller detect.chip_size needs less memory; if it fails as well, export the"
                " model again",
            ) from error
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
