"""The public function that describes a file or a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from geodet.api.call_arguments import check_path
from geodet.api.path_kinds import PathKind, kind_of, summarise_as_scene
from geodet.jobs.job_summary import JobSummary, summarise_job
from geodet.models.description import ModelDescription
from geodet.onnx.model_files import load_named_description
from geodet.raster.scene_summary import SceneSummary
from geodet.reviewing.review_summary import ReviewSummary, summarise_reviews
from geodet.tilesets.pixel_summary import summarise_pixel_results
from geodet.tilesets.tileset_summary import TilesetSummary, summarise_tileset
from geodet.training.run_records import RunRecord, read_run
from geodet.vector.vector_summary import VectorSummary, summarise_vector

__all__ = ["info"]


_Summary = (
    VectorSummary
    | ReviewSummary
    | SceneSummary
    | TilesetSummary
    | RunRecord
    | JobSummary
    | ModelDescription
)

_DESCRIBE: dict[PathKind, Callable[[str], _Summary]] = {
    "model": load_named_description,
    "run": read_run,
    "job": summarise_job,
    "reviews": summarise_reviews,
    "results": summarise_pixel_results,
    "vector": summarise_vector,
    "scene": summarise_as_scene,
}


def info(path: str | Path, *, allow_outside: bool = False) -> _Summary:
    """Describe a file of detections or reviews, a scene, a tileset, a training, a job or a model.

    Args:
        path: A vector file; a raster that GDAL opens; a folder of labelled images, or the file with
            their labels; the folder of a training or of a job; a model file, or the name of a
            bundled model.
        allow_outside: Whether a tileset may name, or link to, files outside of its folder.

    Returns:
        Detections: their number by class, and how they were made. Reviews: which windows and
        objects are decided. A scene: its size, bands and place. A tileset: the label format,
        counts, sizes, the split, and problems. A training: its settings and figures. A job: how
        much of it is done. A model: its classes, and the imagery that it takes.

    Raises:
        ConfigError: The argument is not a path, but a frame, for example.
        VectorError: A vector file, or COCO results, cannot be read.
        SceneError: There is no such file, or it is not a raster.
        TilesetError: A folder has no labels that are recognised, or they are broken.
        OutputError: The plan of a job is broken.
        TrainingError: A folder ``NAME.run`` is not that of a training.
        ModelFileError: There is no such model, or it is broken.

    Example:
        >>> info(tiles).classes
        {'tree': 120}
        >>> info("urban-trees").bands
        ('red', 'green', 'blue')
    """
    check_path("path", path)  # only checked: a Path would spoil an address
    kind = kind_of(path)
    if kind == "tileset":
        return summarise_tileset(Path(path), allow_outside=allow_outside)
    return _DESCRIBE[kind](str(path))
