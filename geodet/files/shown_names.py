"""Names of files in messages, where nobody knows their paths: frames and arrays as files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from geodet.errors import GeodetError, SceneError

__all__ = ["naming_file", "shown_name"]

_NAMES: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("names", default=())


def shown_name(path: str | Path) -> str:
    """Return what a warning calls a file: its path, or its name in a block of ``naming_file``."""
    return dict(_NAMES.get()).get(str(path), str(path))


@contextmanager
def naming_file(path: str | Path, name: str) -> Iterator[None]:
    """Call a file by a name in the errors of a block, and where :func:`shown_name` is asked.

    Example:
        >>> with naming_file("/tmp/x/detections.gpkg", "the frame"):
        ...     shown_name("/tmp/x/detections.gpkg")
        'the frame'
    """
    token = _NAMES.set((*_NAMES.get(), (str(path), name)))
    try:
        yield
    except GeodetError as error:
        _rename(error, str(path), name)
        raise
    finally:
        _NAMES.reset(token)


def _rename(error: GeodetError, path: str, name: str) -> None:
    error.args = tuple(str(text).replace(path, name) for text in error.args)
    error.hint = error.hint.replace(path, name)
    error.__notes__ = [note.replace(path, name) for note in getattr(error, "__notes__", ())]
    if getattr(error, "path", None) == path:
        error.path = name  # type: ignore[attr-defined]
    if isinstance(error, SceneError):
        for one in error.failed.values():
            if one is not error:
                _rename(one, path, name)
