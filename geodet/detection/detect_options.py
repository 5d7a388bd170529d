"""What a detection reads and writes, and the checks of it that need neither PyTorch nor GDAL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geodet.errors import ConfigError
from geodet.files.outputs import check_apart, check_destination
from geodet.raster.scene_lists import list_files, list_scenes
from geodet.vector.formats import (
    Geometry,
    check_output_path,
    choose_format,
    path_of,
    style_path,
)

__all__ = ["DetectOptions", "check_paths", "styled_outputs"]


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """Where a detection looks and what it writes, besides the settings of the configuration."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    aoi: Path | None = None
    """Polygons in any vector format and CRS; objects with their centre outside are left out."""
    bounds: tuple[float, float, float, float] | None = None
    """xmin, ymin, xmax, ymax of such an area."""
    bounds_crs: str | None = None
    """What they are in, such as ``EPSG:4326``; None: in the CRS of the scene."""
    format: str | None = None
    """A name in :data:`geodet.vector.formats.FORMATS`; None: by the extension of each output."""
    geometry: Geometry = "box"
    """Polygons, or points at the centres."""
    append: bool = False
    """Add the rows to those of GeoPackages that are there."""
    style: bool = False
    """Write a QGIS style beside the outputs that cannot hold one."""
    preview: Path | None = None
    """A PNG to draw the detections over the scene; for one scene only."""
    overwrite: bool = False
    """Replace files that are there."""
    profile: bool = False
    """Wait for the device at the end of each stage, so that its time is that of the stage."""


def check_paths(
    scenes: Sequence[str | Path], outputs: Sequence[Path], options: DetectOptions
) -> list[str]:
    """Check the paths of a detection: the scenes exist, and every output can be written.

    Args:
        scenes: See :func:`geodet.raster.scene_lists.list_scenes`.
        outputs: Files to write.
        options: The other paths.

    Returns:
        The scenes that the arguments name.

    Raises:
        SceneError: A scene does not exist.
        OutputError: An output cannot be written, or would replace something that is read.
        ConfigError: The options contradict each other.
    """
    paths = list_scenes([str(scene) for scene in scenes])
    _check_outputs(paths, outputs, options)
    _check_apart([*paths, *list_files(map(str, scenes))], outputs, options)
    return paths


def styled_outputs(outputs: Sequence[Path], options: DetectOptions) -> list[Path]:
    """Choose the outputs to write a style beside, if any is wanted: those that cannot hold one."""
    if not options.style:
        return []
    return [output for output in outputs if choose_format(output, options.format).takes_style]


def _check_outputs(scenes: Sequence[str], outputs: Sequence[Path], options: DetectOptions) -> None:
    """Refuse what would fail at the end, or destroy a file."""
    if options.aoi is not None and options.bounds is not None:
        raise ConfigError("there are two areas of interest", hint="give one of --aoi and --bounds")
    if options.format is not None and len(outputs) > 1:
        raise ConfigError(
            f"{len(outputs)} outputs would all be {options.format}",
            hint="leave --format out: extensions tell, or write one output",
        )
    for output in outputs:
        check_output_path(
            output, overwrite=options.overwrite, append=options.append, format=options.format
        )
    preview = options.preview
    if preview is not None:
        check_destination(preview, (".png",), overwrite=options.overwrite)
        if len(scenes) > 1:
            raise ConfigError(
                f"a preview shows one scene, and {len(scenes)} were given",
                hint="leave --preview out, or detect scene by scene",
            )
    for output in styled_outputs(outputs, options):
        check_destination(style_path(output), (".qml",), overwrite=options.overwrite)


def _check_apart(read: Sequence[str], outputs: Sequence[Path], options: DetectOptions) -> None:
    """Refuse to write over what is read."""
    inputs = [Path(path) for path in read]
    if options.aoi is not None:
        inputs.append(Path(path_of(options.aoi)))
    styles = {style_path(output) for output in styled_outputs(outputs, options)}
    previews = [options.preview] if options.preview else []
    check_apart([*outputs, *previews, *sorted(styles)], inputs)
