"""Draw the objects of a vector file over each of several scenes, into a folder of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodet.config.reading_config import ReadingConfig
from geodet.files.outputs import check_apart
from geodet.previews.picture_folder import draw_pictures
from geodet.previews.picture_options import PictureOptions, check_picture_folder
from geodet.previews.preview import select_colours
from geodet.previews.views import read_objects
from geodet.raster.scene import Scene
from geodet.raster.scene_lists import list_scenes
from geodet.raster.scene_names import name_files, scene_names
from geodet.vector.formats import path_of

__all__ = ["PicturesReport", "draw_scenes"]


@dataclass(frozen=True, slots=True)
class PicturesReport:
    """The pictures that were drawn."""

    folder: Path
    """The folder."""
    pictures: tuple[Path, ...]
    """The pictures, in the order of the scenes."""


def draw_scenes(
    scenes: Sequence[str],
    detections: Path,
    folder: Path,
    options: PictureOptions | None = None,
    *,
    bands: Sequence[int | str] = (),
    min_score: float = 0.0,
    score_field: str | None = None,
    limits: ReadingConfig | None = None,
    overwrite: bool = False,
) -> PicturesReport:
    """Draw the objects of a vector file over scenes: a picture of each photograph, tiles of others.

    Args:
        scenes: See :func:`geodet.raster.scene_lists.list_scenes`.
        detections: A vector file, see :func:`geodet.previews.views.read_objects`.
        folder: Where the pictures go.
        options: Format, size, and whether pictures without objects are drawn.
        bands: Bands to draw as red, green and blue; empty: chosen by what they show.
        min_score: Lowest score of the objects that are drawn.
        score_field: Attribute with the score; None: ``score`` if there is one.
        limits: How long a server may take, and what becomes of areas that cannot be read.
        overwrite: Whether the folder may hold files already.

    Raises:
        OutputError: The folder is not empty, or a picture cannot be written.
        SceneError: A scene does not exist or cannot be read.
        VectorError: The detections cannot be read.
    """
    check_picture_folder(folder, overwrite=overwrite)
    paths = list_scenes(list(scenes), limits=limits)
    check_apart([folder], [*map(Path, paths), Path(path_of(detections))])
    names = scene_names(paths)
    stems = name_files(names)
    drawn: list[Path] = []
    for path, name in zip(paths, names, strict=True):
        with Scene(path, bands=bands, limits=limits) as scene:
            select_colours(scene, bands)
            found = read_objects(detections, scene, score_field=score_field).detections
            shown = found.select(found.scores >= np.float32(min_score))
            drawn += draw_pictures(folder, stems[name], scene, shown, options or PictureOptions())
    return PicturesReport(folder, tuple(drawn))
