"""Log what scenes read besides their own files, and refuse it where it is not allowed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from geodet.errors import SceneError
from geodet.files.network import is_offline, is_remote_path, is_restricted
from geodet.raster.linked_files import LinkedFiles, links_of

__all__ = ["announce_reach", "check_list_reach", "check_reach", "describe_reach"]

logger = logging.getLogger(__name__)

_OFFLINE_HINT = "copy it to this machine, or run without --offline and --restricted"
_RESTRICTED_HINT = "put the files into the folder of the file that names them, or run without"
_RESTRICTED_HINT += " --restricted if you know who made that file"


def check_reach(scene: str) -> None:
    """Check that a scene reads only what it may.

    Offline, that is nothing of the network; restricted, only files in its own folder.

    Raises:
        SceneError: It reads more, or it cannot be determined what it reads.
    """
    if not is_offline():
        return
    if is_remote_path(scene):
        raise _refusal(f"{scene} is read over the network", scene)
    linked = links_of(scene)
    if linked.remote:
        raise _refusal(f"{scene} reads {linked.remote[0]} over the network", scene)
    outside = [*_outside(Path(scene), linked), *linked.encoded]
    if outside and is_restricted():
        raise SceneError(
            f"{scene} reads {outside[0]}, which is not in its folder",
            hint=_RESTRICTED_HINT,
            path=scene,
        )


def check_list_reach(path: Path, scenes: Sequence[str]) -> None:
    """Log how many scenes of a list lie elsewhere, or refuse them where they may not be read.

    Args:
        path: A list of scenes, or a folder of them.
        scenes: What it names.

    Raises:
        SceneError: Offline, one is read over the network; restricted, one is outside of the folder.
    """
    remote = [scene for scene in scenes if is_remote_path(scene)]
    folder = (path if path.is_dir() else path.parent).resolve()
    outside = [s for s in scenes if s not in remote and not _is_below(Path(s), folder)]
    if remote and is_offline():
        raise _refusal(f"{path} names {remote[0]}, which is read over the network", path)
    if outside and is_restricted():
        raise SceneError(
            f"{path} names {outside[0]}, which is not in its folder",
            hint=_RESTRICTED_HINT,
            path=path,
        )
    if remote or outside:
        logger.info(
            "%s names %d scenes, %d of them outside of its folder and %d on the network, such as"
            " %s",
            path,
            len(scenes),
            len(outside),
            len(remote),
            (remote or outside)[0],
        )


def announce_reach(scenes: Sequence[str]) -> None:
    """Log in one line what scenes, such as virtual rasters, read besides their own files."""
    found = {scene: links_of(scene) for scene in scenes}
    reaching = [scene for scene, linked in found.items() if linked != LinkedFiles()]
    if not reaching:
        return
    several = f"{len(reaching)} of {len(scenes)} scenes read"
    logger.info("%s %s", several if len(scenes) > 1 else f"{scenes[0]} reads", _describe(found))


def describe_reach(scene: str) -> str:
    """Describe what a scene reads besides its own file; empty for nothing.

    Example:
        >>> describe_reach("a.tif")
        ''
    """
    linked = links_of(scene)
    return "" if linked == LinkedFiles() else _describe({scene: linked})


def _describe(found: dict[str, LinkedFiles]) -> str:
    files = sum(len(linked.files) for linked in found.values())
    outside = [file for scene, linked in found.items() for file in _outside(Path(scene), linked)]
    texts = []
    if files and outside:
        texts.append(f"{files} other files, {len(outside)} elsewhere, such as {outside[0]}")
    elif files:
        texts.append(f"{files} other files, all in its folder")
    for what, links in (
        ("addresses or services of the network", [a for f in found.values() for a in f.remote]),
        ("paths that only GDAL reads", [a for f in found.values() for a in f.encoded]),
    ):
        if links:
            texts.append(f"{len(links)} {what}, such as {links[0]}")
    return "; ".join(texts)


def _outside(scene: Path, linked: LinkedFiles) -> list[Path]:
    if not linked.files:
        return []
    folder = scene.parent.resolve()
    return [file for file in linked.files if not _is_below(file, folder)]


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder)


def _refusal(text: str, path: str | Path) -> SceneError:
    return SceneError(f"{text}, which is not allowed offline", hint=_OFFLINE_HINT, path=path)
