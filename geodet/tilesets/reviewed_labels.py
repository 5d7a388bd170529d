"""Labels from reviews: what people said was right, in the windows that they looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geodet.errors import ConfigError, VectorError
from geodet.files.decisions import LABELS_LAYER, WINDOWS_LAYER
from geodet.tilesets.tile_inputs import LabelledArea
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.vector_files import list_layers, read_frame, scenes_of_rows

__all__ = ["choose_labels"]


def choose_labels(
    labels: Path | Sequence[Path] | None, reviews: Path | None, area: LabelledArea
) -> tuple[Path | Sequence[Path], LabelledArea]:
    """Return the labels and the labelled part: as given, or those of a file of reviews.

    What lies outside of the reviewed windows was not looked at, so it is no background. Rows are of
    the scene that they name, also where scenes overlap; those that were drawn in another program
    and name none are of each scene in which they lie.

    Args:
        labels: The labels; None with reviews.
        reviews: A GeoPackage that ``geodet view --reviews`` wrote; None with labels.
        area: The part that was labelled; all of the scenes with reviews.

    Raises:
        ConfigError: Both or neither are given, or an area besides reviews.
        VectorError: The file is none of reviews, no window in it is done, or it has several scenes
            that share their coordinates.
    """
    if labels is not None and reviews is None:
        return labels, area
    if labels is not None or reviews is None:
        raise ConfigError(
            "labels and reviews are given" if labels is not None else "no labels are given",
            hint="give either labels or reviews",
        )
    if area.summary is not None:
        raise ConfigError(
            f"reviews and the area {area.summary} are given",
            hint="leave the area out: the reviewed windows are the area",
        )
    _check_reviews(reviews)
    layer = f"{reviews}{LAYER_SEPARATOR}"
    return Path(f"{layer}{LABELS_LAYER}"), LabelledArea(
        aoi=Path(f"{layer}{WINDOWS_LAYER}"), reviews=reviews
    )


def _check_reviews(path: Path) -> None:
    if not {LABELS_LAYER, WINDOWS_LAYER} <= set(list_layers(path)):
        raise VectorError(
            f"{path} is not a file of reviews",
            hint="give one that geodet view wrote with --reviews",
            path=path,
        )
    windows = read_frame(f"{path}{LAYER_SEPARATOR}{WINDOWS_LAYER}", columns=["scene"])
    if not len(windows):
        raise VectorError(
            f"no window is reviewed in {path}",
            hint="in geodet view, mark windows as done with the key w once everything in them is "
            "correct",
            path=path,
        )
    scenes = sorted(set(scenes_of_rows(windows)) - {""})
    if windows.crs is None and len(scenes) > 1:
        raise VectorError(
            f"{path} has reviews of {len(scenes)} scenes without a CRS, which share their "
            f"coordinates: {', '.join(scenes)[:200]}",
            hint="review each in a file of its own, and cut chips from each alone",
            path=path,
        )
