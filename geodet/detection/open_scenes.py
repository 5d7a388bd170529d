"""The scenes of a run that are open: each is opened for the plan, and at most once more."""

from __future__ import annotations

from collections.abc import Collection

from geodet.config import DetectConfig
from geodet.detection.scene_for_model import open_for_model
from geodet.files.closable import Closing
from geodet.models.description import ModelDescription
from geodet.raster.scene import Scene

__all__ = ["OpenScenes"]


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

    def keep_only(self, paths: Collection[str]) -> None:
        """Close all scenes but these."""
        for path in set(self._scenes) - set(paths):
            self._scenes.pop(path).close()

    def close_scene(self, path: str) -> None:
        """Close a scene, if it is open."""
        if path in self._scenes:
            self._scenes.pop(path).close()

    def close(self) -> None:
        """Close all scenes."""
        self.keep_only(())
