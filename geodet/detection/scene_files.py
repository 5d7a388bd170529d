"""Outputs with a file for each scene: ``trees/*.gpkg`` in place of one ``trees.gpkg``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geodet.errors import OutputError
from geodet.raster.scene_names import name_files, scene_names
from geodet.vector.formats import FORMATS, choose_format

__all__ = [
    "anchor_of",
    "beside",
    "expand_outputs",
    "file_of_scene",
    "is_per_scene",
    "to_output",
]


def to_output(typed: str | Path, format: str | None = None) -> Path:
    """Return the path of an output; a folder becomes a pattern: a file for each scene.

    Args:
        typed: A file, a pattern such as ``trees/*.geojson``, a folder that exists, or a text that
            ends in a slash.
        format: A name in :data:`geodet.vector.formats.FORMATS`; None: GeoPackage for a folder.

    Example:
        >>> to_output("trees/").as_posix(), to_output("trees.gpkg").as_posix()
        ('trees/*.gpkg', 'trees.gpkg')
        >>> to_output("trees/", "geojson").as_posix()
        'trees/*.geojson'
    """
    path = Path(typed)
    is_folder = str(typed).endswith(("/", "\\")) or (path.is_dir() and not path.suffix)
    chosen = FORMATS.get(format or "gpkg")
    if not is_folder or chosen is None or not chosen.extensions:
        return path
    return path / f"*{chosen.extensions[0]}"


def is_per_scene(output: Path) -> bool:
    """Whether an output is a file for each scene."""
    return "*" in output.name


def file_of_scene(output: Path, name: str) -> Path:
    """Return the file of a scene.

    Args:
        output: A pattern.
        name: One of the names that :func:`geodet.raster.scene_names.name_files` gives.
    """
    return output.with_name(output.name.replace("*", name))


def anchor_of(output: Path) -> Path:
    """Return the path beside which the journal and the record of a run are.

    Example:
        >>> anchor_of(Path("trees/*.gpkg")).as_posix()
        'trees/detections'
    """
    return output.with_name("detections") if is_per_scene(output) else output


def beside(output: Path, ending: str) -> Path:
    """Return the path of a file or folder beside an output, such as ``trees.gpkg.partial``."""
    anchor = anchor_of(output)
    return anchor.with_name(anchor.name + ending)


def expand_outputs(outputs: Sequence[Path], scenes: Sequence[str]) -> list[Path]:
    """Return the files that a run writes.

    Args:
        outputs: Files and patterns.
        scenes: Paths of all scenes.

    Raises:
        OutputError: A file for all scenes and a file for each are given.
    """
    patterns = [output for output in outputs if is_per_scene(output)]
    if not patterns:
        return list(outputs)
    if len(patterns) < len(outputs):
        whole = next(output for output in outputs if not is_per_scene(output))
        raise OutputError(
            f"{patterns[0]} writes a file for each scene, and {whole} one file for all scenes",
            hint="give one kind of output: objects where scenes overlap are written once to a "
            "single file, but to the file of each scene otherwise",
            path=whole,
        )
    for output in patterns:
        _check_folder(output)
    files = name_files(scene_names(scenes)).values()
    return [file_of_scene(output, name) for output in patterns for name in files]


def _check_folder(output: Path) -> None:
    """Check that a pattern has a format, and that its folder can be created."""
    if output.name.count("*") > 1 or "*" in str(output.parent):
        raise OutputError(
            f"{output} has more than one *",
            hint="write FOLDER/*.gpkg for a file for each scene",
            path=output,
        )
    choose_format(output)
    there = next(folder for folder in output.absolute().parents if folder.exists())
    if not there.is_dir():
        raise OutputError(f"{there} is a file", hint="give a folder", path=output)
