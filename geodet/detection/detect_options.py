"""The files and options of a detection, and the checks that need neither PyTorch nor GDAL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geodet.config.reading_config import ReadingConfig
from geodet.detection.journal import journal_folder
from geodet.detection.scene_files import expand_outputs, is_per_scene
from geodet.detection.written_files import WrittenFiles, read_written
from geodet.errors import ConfigError, OutputError
from geodet.files.outputs import check_apart, check_destination
from geodet.previews.picture_options import (
    PictureFormat,
    check_picture_folder,
    is_picture_folder,
)
from geodet.raster.scene_lists import list_files, list_scenes
from geodet.vector.formats import (
    Geometry,
    check_output_path,
    check_vector_exists,
    choose_format,
    path_of,
    style_path,
)

__all__ = [
    "DetectOptions",
    "check_outputs",
    "check_paths",
    "is_new_folder",
    "may_replace",
    "read_written_before",
    "styled_outputs",
]


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """Device, area of interest and outputs of a detection: all that is not a setting."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    asset: str | None = None
    """The asset of each STAC item that is its scene; None: the only one with data."""
    aoi: Path | None = None
    """A vector file with polygons, in any CRS; only objects whose centre is inside are kept."""
    bounds: tuple[float, float, float, float] | None = None
    """A rectangle in place of polygons: xmin, ymin, xmax, ymax."""
    bounds_crs: str | None = None
    """The CRS of the bounds, such as ``EPSG:4326``; None: that of the scene."""
    format: str | None = None
    """A name in :data:`geodet.vector.formats.FORMATS`; None: by the extension of each output."""
    geometry: Geometry = "box"
    """Write polygons, or points at the centres."""
    append: bool = False
    """Add the detections to existing GeoPackages."""
    replace_scenes: bool = False
    """When appending: replace the rows of scenes that the file holds; otherwise it is refused."""
    style: bool = False
    """Write a QGIS style beside the outputs that cannot contain one."""
    preview: str | Path | None = None
    """A PNG to draw the scene and its detections to, or all scenes; or a folder for a picture of
    each, see :func:`geodet.previews.picture_options.is_picture_folder`."""
    preview_format: PictureFormat = "jpeg"
    """Format of the pictures of a folder."""
    only_with_objects: bool = False
    """Leave pictures without any object out of a folder."""
    report: Path | None = None
    """An HTML page on the run: counts, densities, maps, times of the stages, and warnings."""
    command: str | None = None
    """The command line, for the report."""
    image_counts: Path | None = None
    """A CSV to write the number of objects of each scene to, with its time and place."""
    overwrite: bool = False
    """Replace existing files."""
    restart: bool = False
    """Discard what an unfinished run has left in the journal beside the first output."""
    profile: bool = False
    """Wait for the device after each stage, so that the seconds of each stage are its own."""


def check_paths(
    scenes: Sequence[str | Path],
    outputs: Sequence[Path],
    options: DetectOptions,
    limits: ReadingConfig,
) -> list[str]:
    """Check the paths of a detection: the scenes exist, and every output can be written.

    Args:
        scenes: See :func:`geodet.raster.scene_lists.list_scenes`.
        outputs: Files to write.
        options: The other paths.
        limits: How long the servers of lists of scenes may take.

    Returns:
        The rasters that ``scenes`` names.

    Raises:
        SceneError: A scene does not exist; one that a list names may be missing.
        VectorError: The area of interest does not exist.
        OutputError: An output cannot be written, or would replace an input.
        ConfigError: The options contradict each other.
    """
    paths = list_scenes(
        list(map(str, scenes)), keep_missing=True, asset=options.asset, limits=limits
    )
    check_outputs(paths, outputs, options, read=list_files(map(str, scenes)))
    if options.aoi is not None:
        check_vector_exists(options.aoi)
    return paths


def check_outputs(
    paths: Sequence[str],
    outputs: Sequence[Path],
    options: DetectOptions,
    *,
    read: Sequence[str | Path] = (),
) -> None:
    """Check that every output can be written, and replaces nothing that is read.

    Args:
        paths: The scenes.
        outputs: Files to write.
        options: The other paths.
        read: More files that are read.

    Raises:
        OutputError: An output cannot be written, or would replace an input.
        ConfigError: The options contradict each other.
    """
    files = expand_outputs(outputs, paths)
    there = [file for file in files if not is_new_folder(file, outputs)]
    if options.format is not None and len(outputs) > 1:
        raise ConfigError(
            f"the format {options.format} is given for {len(outputs)} outputs",
            hint="omit --format to go by the extensions, or write a single output",
        )
    _check_options(there, options, read_written_before(outputs, options))
    _check_apart([*paths, *map(str, read)], files, options)


def read_written_before(outputs: Sequence[Path], options: DetectOptions) -> WrittenFiles:
    """Return the files that an unfinished run has written: if it goes on, it may replace them.

    With ``restart`` it may not, unless ``overwrite`` is set.
    """
    if not outputs or options.restart:
        return WrittenFiles()
    return read_written(journal_folder(outputs[0]))


def may_replace(output: Path, options: DetectOptions, before: WrittenFiles) -> bool:
    """Whether a run may replace an output that exists.

    Args:
        output: A file of detections.
        options: Whether files are replaced or appended to.
        before: What the run has written before it was interrupted.
    """
    return options.overwrite or (not options.append and before.includes(output))


def is_new_folder(output: Path, outputs: Sequence[Path]) -> bool:
    """Whether an output is a file of a scene in a folder that is yet to be created."""
    return any(map(is_per_scene, outputs)) and not output.parent.exists()


def styled_outputs(outputs: Sequence[Path], options: DetectOptions) -> list[Path]:
    """Return the outputs that get a style beside them, since they cannot contain one."""
    if not options.style:
        return []
    return [output for output in outputs if choose_format(output, options.format).takes_style]


def _check_options(outputs: Sequence[Path], options: DetectOptions, before: WrittenFiles) -> None:
    """Refuse outputs that would fail at the end of the run, or replace a file."""
    if options.aoi is not None and options.bounds is not None:
        raise ConfigError(
            "both an area of interest and bounds are given",
            hint="give either aoi (--aoi) or bounds (--bounds)",
        )
    if options.replace_scenes and not options.append:
        raise ConfigError(
            "scenes can be replaced only in a file that is appended to",
            hint="add append=True (--append), or leave out replace_scenes (--replace-scene)",
        )
    if options.replace_scenes and (options.aoi is not None or options.bounds is not None):
        raise ConfigError(
            "a scene is replaced as a whole, but only a part of it would be searched",
            hint="leave out aoi and bounds (--aoi, --bounds), or write the area to a separate file",
        )
    for output in outputs:
        check_output_path(
            output,
            overwrite=may_replace(output, options, before),
            append=options.append,
            format=options.format,
        )
    preview = options.preview
    if preview is not None and is_picture_folder(preview):
        is_ours = options.overwrite or before.includes_all_in(Path(preview))
        check_picture_folder(Path(preview), overwrite=is_ours)
    else:
        _refuse_without_folder(options)
        _check_picture(preview, options, before)
    _check_other(options.report, ".html", options, before)
    _check_other(options.image_counts, ".csv", options, before)
    for output in styled_outputs(outputs, options):
        _check_other(style_path(output), ".qml", options, before)


def _check_other(
    path: str | Path | None, suffix: str, options: DetectOptions, before: WrittenFiles
) -> None:
    """Check that a file beside the detections, if it is asked for, can be written."""
    if path is not None:
        overwrite = options.overwrite or before.includes(Path(path))
        check_destination(Path(path), (suffix,), overwrite=overwrite)


def _check_picture(
    preview: str | Path | None, options: DetectOptions, before: WrittenFiles
) -> None:
    """Check that a preview, if it is asked for, is a PNG that can be written."""
    if preview is not None and Path(preview).suffix.lower() != ".png":
        raise OutputError(
            f"{preview} is neither a .png nor a folder, and --preview writes one of these",
            hint="end it in .png or in a slash; geodet preview also writes .jpg, .webp, .pdf and "
            ".svg",
            path=Path(preview),
        )
    _check_other(preview, ".png", options, before)


def _refuse_without_folder(options: DetectOptions) -> None:
    """Refuse options that need a folder of pictures."""
    hint = "add --preview FOLDER/, or leave the option out"
    if options.only_with_objects:
        raise ConfigError("--only-with-objects is given without a folder of pictures", hint=hint)
    if options.preview_format != "jpeg":
        raise ConfigError(
            f"--preview-format {options.preview_format} is given without a folder of pictures",
            hint=hint,
        )


def _check_apart(read: Sequence[str], outputs: Sequence[Path], options: DetectOptions) -> None:
    """Refuse to replace an input."""
    inputs = [Path(path) for path in read]
    if options.aoi is not None:
        inputs.append(Path(path_of(options.aoi)))
    styles = {style_path(output) for output in styled_outputs(outputs, options)}
    named = (options.preview, options.image_counts, options.report)
    others = [Path(path) for path in named if path is not None]
    check_apart([*outputs, *others, *sorted(styles)], inputs)
