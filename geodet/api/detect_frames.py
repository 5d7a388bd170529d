"""Detect in scenes, and return the detections as a frame or as tables one after another."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast, get_args

from geodet.api.call_arguments import (
    Paths,
    ProgressChoice,
    check_bounds,
    check_choice,
    list_paths,
    resolve_search,
    showing_progress,
    to_path,
)
from geodet.api.progress_bars import DetectBar
from geodet.api.run_frames import to_run_frame
from geodet.config import Config
from geodet.config.recipes import Settings
from geodet.detection.detect import DetectOptions, DetectProgress
from geodet.detection.layer_run import LayerRun
from geodet.detection.scene_files import to_output
from geodet.errors import ConfigError
from geodet.jobs.device_lists import list_devices
from geodet.jobs.pool_engines import several_processes
from geodet.jobs.pooled_run import begin_detection
from geodet.models.model import Model
from geodet.onnx.backend import load_model
from geodet.vector.formats import Geometry
from geodet.vector.frames import to_table
from geodet.vector.lazy_modules import geopandas, pyarrow

__all__ = ["DetectKeywords", "detect", "iter_detect"]


_FLAGS = (
    *("score_threshold", "iou_threshold", "chip_size", "overlap"),
    *("batch_size", "workers", "bands"),
)
"""Keywords that set the setting ``detect.NAME``."""


class DetectKeywords(TypedDict, total=False):
    """The keyword arguments of :func:`detect`, which documents them."""

    device: str
    processes: int
    config: Config | str | Path | None
    settings: Settings
    score_threshold: float | Mapping[str, float] | None
    iou_threshold: float | None
    chip_size: int | None
    overlap: int | None
    batch_size: int | None
    workers: int | None
    bands: Sequence[int | str] | None
    aoi: str | Path | None
    bounds: Sequence[float] | None
    bounds_crs: str | None
    asset: str | None
    geometry: Literal["box", "centroid"]
    format: str | None
    report: str | Path | None
    append: bool
    replace_scenes: bool
    overwrite: bool
    restart: bool
    progress: ProgressChoice


def detect(
    scenes: Paths,
    model: str | Path | Model = "urban-trees",
    output: Paths | None = None,
    *,
    device: str = "auto",
    processes: int = 1,
    config: Config | str | Path | None = None,
    settings: Settings = (),
    score_threshold: float | Mapping[str, float] | None = None,
    iou_threshold: float | None = None,
    chip_size: int | None = None,
    overlap: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    bands: Sequence[int | str] | None = None,
    aoi: str | Path | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    asset: str | None = None,
    geometry: Literal["box", "centroid"] = "box",
    format: str | None = None,
    report: str | Path | None = None,
    append: bool = False,
    replace_scenes: bool = False,
    overwrite: bool = False,
    restart: bool = False,
    progress: ProgressChoice = False,
) -> geopandas.GeoDataFrame:
    """Detect objects in scenes.

    Args:
        scenes: A raster that GDAL opens, a folder, a quoted pattern, a list (``@scenes.txt``), or
            several of them. An object that overlapping scenes show is returned once.
        model: A bundled model's name, a model file, or what :func:`load_model` returned.
        output: A file to write as well, or several; the extension chooses the format. ``trees/``
            or ``trees/*.geojson`` is a file for each scene. None or an empty list writes nothing.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``; ``cuda:0,1`` or ``all`` for a process on
            each of several.
        processes: Worker processes on each device.
        config: A configuration, a recipe's name or a TOML file.
        settings: Other keys, such as ``{"detect.join_fragments": True}``.
        score_threshold: Lowest score to keep, one or by class; None: the model's.
        iou_threshold: IoU above which the box with the lower score is a duplicate; None: the
            model's.
        chip_size: Side of a window in pixels of the model; None: chosen.
        overlap: Pixels that neighbouring windows share; None: chosen for the model's largest
            object.
        batch_size: Chips in one forward pass; None: chosen for the memory.
        workers: Reader threads.
        bands: Bands of the scene for those of the model, by number from 1 or by name; None: chosen
            by their names, else the first ones.
        aoi: A vector file of polygons in any CRS: search only there.
        bounds: xmin, ymin, xmax, ymax: search only there.
        bounds_crs: The CRS of ``bounds``; None: the scene's.
        asset: The asset of each STAC item to read as the scene; None: the only one with data.
        geometry: Polygons of the boxes, or points at their centres.
        format: Name of the output's format, such as ``gpkg``; None: by its extension.
        report: An ``.html`` page on the run to write: counts, densities, a map, times, warnings.
        append: Add the rows to a GeoPackage that exists, without objects that it holds already.
        replace_scenes: With ``append``: replace the rows of scenes that the file holds already,
            which is refused otherwise.
        overwrite: Replace outputs that exist.
        restart: Discard what an unfinished call with the same output has found. By default the call
            continues from there if scenes, model and settings are the same.
        progress: True shows a bar; a function is called with a :class:`DetectProgress` after each
            batch.

    Returns:
        A row for each detection, in the CRS of the first scene: ``id`` (the same for the same
        scene, model and settings), ``label``, ``score``, ``scene``, ``x1_px``, ``y1_px``,
        ``x2_px``, ``y2_px`` (pixels of the scene; (0, 0) is the outer corner of the first),
        ``area_m2`` and ``geometry``. Photographs are in WGS 84, with a further column
        ``approximate``: true where an object has a place. Empty, with the same columns, where
        nothing is found.
        ``attrs["provenance"]`` names the version of geodet, the model and the configuration,
        ``attrs["report"]`` has the counts.

    Raises:
        SceneError: A scene cannot be read. Where others could be, their detections are in the
            outputs; ``failed`` names the scenes and ``report`` has the counts.
        ModelFileError: There is no such model, or a scene lacks bands that it needs.
        ConfigError: A setting does not exist or does not fit.
        VectorError: The area of interest cannot be read, or no scene meets it.
        OutputError: An output exists, or cannot be written; or an unfinished call with the same
            output had other scenes, another model or other settings.
        DeviceError: The device is not there, or has too little memory.

    Example:
        >>> trees = detect(scene, model="urban-trees", score_threshold=0.5)
        >>> trees.crs.to_epsg(), bool((trees.score >= 0.5).all())
        (32633, True)
        >>> trees.attrs["provenance"]["model"]
        'urban-trees'
    """
    keywords = DetectKeywords(
        device=device,
        processes=processes,
        config=config,
        settings=settings,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        chip_size=chip_size,
        overlap=overlap,
        batch_size=batch_size,
        workers=workers,
        bands=bands,
        aoi=aoi,
        bounds=bounds,
        bounds_crs=bounds_crs,
        asset=asset,
        geometry=geometry,
        format=format,
        report=report,
        append=append,
        replace_scenes=replace_scenes,
        overwrite=overwrite,
        restart=restart,
    )
    with showing_progress(progress) as show:
        run = _begin(scenes, model, output, show, keywords)
        return to_run_frame(run, show)


def iter_detect(
    scenes: Paths,
    model: str | Path | Model = "urban-trees",
    output: Paths | None = None,
    **keywords: Unpack[DetectKeywords],
) -> Iterator[pyarrow.Table]:
    """Detect objects in scenes of any size, and yield them as soon as they are final.

    Memory does not grow with the size of a scene. Of several scenes, each is yielded when it is
    done; a scene that overlaps others is yielded when these are done.

    Args:
        scenes: As for :func:`detect`.
        model: As for :func:`detect`.
        output: As for :func:`detect`. Files are complete when the iterator is exhausted. An
            iterator that is closed before leaves no files, but a journal from which the same call
            continues.
        **keywords: As for :func:`detect`.

    Yields:
        Tables with the columns of :func:`detect`. The geometry is WKB, in a field
        of GeoArrow's type: ``geopandas.GeoDataFrame.from_arrow(table)`` and DuckDB read it.

    Raises:
        GeodetError: As :func:`detect`, during the iteration.

    Example:
        >>> sum(table.num_rows for table in iter_detect(scene)) == len(detect(scene))
        True
    """
    if unknown := set(keywords) - set(DetectKeywords.__annotations__):
        name = sorted(unknown)[0]
        near = difflib.get_close_matches(name, DetectKeywords.__annotations__, n=1)
        raise TypeError(
            f"iter_detect() got an unexpected keyword argument {name!r}"
            + "".join(f"; did you mean {word!r}?" for word in near)
        )
    chosen = _with_defaults(keywords)
    with showing_progress(chosen["progress"]) as show:
        run = _begin(scenes, model, output, show, chosen)
        with closing(iter(run)) as parts:
            for part in parts:
                if len(part.detections):
                    yield to_table(part, run.layer)
        if isinstance(show, DetectBar):
            show.finish(sum(run.report.labels.values()))


def _with_defaults(keywords: DetectKeywords) -> DetectKeywords:
    """Return all keywords of :func:`detect`, with its defaults where one is not given."""
    taken = inspect.signature(detect).parameters
    defaults = {name: taken[name].default for name in DetectKeywords.__annotations__}
    return cast("DetectKeywords", {**defaults, **keywords})


def _check_are_paths(scenes: Any) -> None:
    """Refuse an open dataset and an array."""
    one = scenes[0] if isinstance(scenes, list | tuple) and scenes else scenes
    is_open = hasattr(one, "read")
    is_array = getattr(one, "ndim", 0) > 1 and not hasattr(one, "columns")  # and no frame
    if is_open or is_array:
        raise ConfigError(
            f"the scene is an {'open ' if is_open else 'array, '}{type(one).__name__}",
            hint="pass its path, or use geodet.detect_array for open datasets and arrays",
        )


def _begin(
    scenes: Paths,
    model: str | Path | Model,
    output: Paths | None,
    progress: Callable[[DetectProgress], None],
    keywords: DetectKeywords,
) -> LayerRun:
    """Check everything that a run needs, before it begins; all keywords have to be given."""
    _check_are_paths(scenes)
    given: dict[str, Any] = {**keywords}
    config = resolve_search(
        keywords["config"], keywords["settings"], {name: given[name] for name in _FLAGS}
    )
    geometry, page = keywords["geometry"], keywords["report"]
    check_choice("geometry", geometry, get_args(Geometry))
    devices = list_devices(keywords["device"], keywords["processes"])
    options = DetectOptions(
        device=devices[0],
        aoi=to_path("aoi", keywords["aoi"]),
        bounds=check_bounds(keywords["bounds"]),
        bounds_crs=keywords["bounds_crs"],
        asset=keywords["asset"],
        format=keywords["format"],
        geometry=geometry,
        report=None if page is None else Path(page),
        append=keywords["append"],
        replace_scenes=keywords["replace_scenes"],
        overwrite=keywords["overwrite"],
        restart=keywords["restart"],
    )
    outputs = [to_output(path, options.format) for path in list_paths(output, "output")]
    return begin_detection(
        list_paths(scenes),
        outputs,
        load_model(model),
        config,
        options,
        several_processes(devices),
        progress=progress,
    )
