"""The open scenes of a run, which are opened ahead of it on threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from geodet.config import DetectConfig
from geodet.detection.scene_for_model import open_for_model
from geodet.errors import SceneError
from geodet.files.closable import Closing
from geodet.files.network import is_remote_path
from geodet.models.description import ModelDescription
from geodet.raster.scene import Scene

__all__ = ["OpenScenes"]

_OPENERS, _LOCAL_OPENERS = 16, 4  # threads: those of remote scenes wait for a server


class OpenScenes(Closing):
    """Open scenes by path, to be used in a ``with`` block that closes them.

    An opening costs round trips to the server of a remote scene, so a scene that is still needed
    stays open; as a run may have thousands of scenes, :meth:`keep_only` closes the others.

    Args:
        about: The model.
        config: Bands and ground sample distance.
    """

    def __init__(self, about: ModelDescription, config: DetectConfig) -> None:
        self._about, self._config = about, config
        self._scenes: dict[str, Scene] = {}

    def open(self, path: str) -> Scene:
        """Return the open scene of a path; open it for the model unless it is open.

        Raises:
            SceneError: The scene cannot be opened.
            ModelFileError: The scene lacks bands that the model needs.
        """
        if path not in self._scenes:
            self._scenes[path] = open_for_model(path, self._about, self._config)
        return self._scenes[path]

    def iter_opened(self, paths: Sequence[str]) -> Generator[Scene | SceneError, None, None]:
        """Open scenes ahead on threads, and yield each in order, or why it cannot be opened.

        Raises:
            ModelFileError: A scene lacks bands that the model needs.
        """
        threads = _OPENERS if any(map(is_remote_path, paths)) else _LOCAL_OPENERS
        rest, ahead = iter(paths), deque[tuple[str, Future[Scene]]]()
        pool = ThreadPoolExecutor(threads, thread_name_prefix="geodet-open")
        try:
            for path in islice(rest, threads):
                ahead.append((path, self._submit(pool, path)))
            while ahead:
                path, future = ahead.popleft()
                yield from self._await(path, future)
                for following in islice(rest, 1):
                    ahead.append((following, self._submit(pool, following)))
        finally:  # without waiting, unlike map_ahead: no opening of a remote scene can be abandoned
            pool.shutdown(wait=False, cancel_futures=True)
            for _, future in ahead:
                future.add_done_callback(_close_scene)

    def _submit(self, pool: ThreadPoolExecutor, path: str) -> Future[Scene]:
        return pool.submit(open_for_model, path, self._about, self._config)

    def _await(self, path: str, future: Future[Scene]) -> Iterator[Scene | SceneError]:
        try:
            self._scenes[path] = future.result()
        except SceneError as error:
            yield error
        else:
            yield self._scenes[path]

    def keep_only(self, paths: Collection[str]) -> None:
        """Close all scenes but these."""
        for path in set(self._scenes) - set(paths):
            self._scenes.pop(path).close()

    def close_scene(self, path: str) -> None:
        """Close a scene, if it is open."""
        if path in self._scenes:
            self._scenes.pop(path).close()

    def clear_cache(self, path: str) -> None:
        """Drop the decoded blocks of a scene, if it is open."""
        if path in self._scenes:
            self._scenes[path].clear_cache()

    def close(self) -> None:
        """Close all scenes."""
        self.keep_only(())


def _close_scene(opened: Future[Scene]) -> None:
    """Close a scene that was opened for nothing."""
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()
