"""Recognise what a path is, for ``info``: a scene, a vector file, a model and so on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from geodet.errors import SceneError
from geodet.files.output_folders import LABEL_SUFFIXES, is_job, is_run
from geodet.onnx.model_files import is_model
from geodet.raster.scene_lists import check_scene_exists
from geodet.vector.formats import LAYER_SEPARATOR

if TYPE_CHECKING:
    from geodet.raster.scene_summary import SceneSummary

__all__ = ["PathKind", "kind_of", "summarise_as_scene"]

PathKind = Literal["model", "run", "job", "reviews", "results", "vector", "tileset", "scene"]

_OF_NO_DRIVER = "not recognized as being in a supported file format"
"""Parts of GDAL's messages on a file that is not a raster."""
_KINDS = (
    "info takes a raster, a vector file, a folder of labelled images, the folder of a training or "
    "of a job, a model file, or the name of a bundled model"
)


def kind_of(path: str | Path) -> PathKind:
    """Return what a path is by its name, by the names in a folder, and by the head of a file.

    Args:
        path: A file or a folder, an address or another path of GDAL's, or the name of a model.

    Raises:
        SceneError: There is no such file.

    Example:
        >>> kind_of("urban-trees"), kind_of(tiles), kind_of(scene)
        ('model', 'tileset', 'scene')
    """
    text, place = str(path), Path(path)
    if is_model(text):
        return "model"
    if is_run(path):
        return "run"
    if is_job(path):
        return "job"
    if LAYER_SEPARATOR not in text:
        check_scene_exists(text)
    # Loads GDAL, which what is above, and a refusal, do not need.
    from geodet.reviewing.review_summary import is_review_file
    from geodet.tilesets.pixel_summary import is_described_results
    from geodet.vector.vector_summary import is_vector

    if is_review_file(text):
        return "reviews"
    if is_described_results(place) or is_vector(text):
        return "results" if is_described_results(place) else "vector"
    is_labels = place.is_file() and place.suffix.lower() in LABEL_SUFFIXES
    return "tileset" if place.is_dir() or is_labels else "scene"


def summarise_as_scene(path: str | Path) -> SceneSummary:
    """Describe a path as a scene; if it is none, the error names the kind of file where known.

    Raises:
        SceneError: It is not a raster, or cannot be read.
    """
    check_scene_exists(str(path))
    from geodet.raster.scene_summary import summarise_scene
    from geodet.vector.unread_files import explain_file

    try:
        return summarise_scene(str(path))
    except SceneError as error:
        if _OF_NO_DRIVER not in str(error):
            raise
        if known := explain_file(path):
            raise SceneError(f"{path} {known[0]}", hint=known[1], path=path) from None
        raise SceneError(str(error), hint=_KINDS, path=path) from error
