"""The bands that a training reads: what they show, and which they are in its own chips."""

from __future__ import annotations

import logging

from geodet.config import Config
from geodet.raster.bands import band_meanings
from geodet.raster.scene import Scene
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import Tileset

__all__ = ["trained_meanings", "warn_of_unread_band", "with_trained_bands"]

logger = logging.getLogger(__name__)


def trained_meanings(config: Config, tileset: Tileset) -> tuple[str, ...]:
    """Return what each band shows that a training reads, "" if unknown.

    Args:
        config: Configuration of the training.
        tileset: Its chips.

    Raises:
        SceneError: The first training image cannot be read or lacks a band.
    """
    names = config.data.band_names
    if names:
        return band_meanings(names, [""] * len(names))
    with _open_first(config, tileset) as first:
        return first.band_meanings


def warn_of_unread_band(config: Config, tileset: Tileset) -> None:
    """Warn of a band that counts as alpha, and so is not read, but varies like imagery.

    GDAL flags the fourth of four bands of bytes as alpha where its writer says nothing else.

    Args:
        config: Configuration of the training.
        tileset: Its chips.

    Raises:
        SceneError: The first training image cannot be read or lacks a band.
    """
    with _open_first(config, tileset) as first:
        doubtful, read, count = first.doubtful_alpha, first.bands, first.count
    if doubtful is not None and doubtful not in read:
        logger.warning(
            "band %d of the training images is flagged as alpha, but varies like imagery, such as "
            "near-infrared, and is not read: data.bands=[%s] reads it",
            doubtful,
            ",".join(map(str, range(1, count + 1))),
        )


def with_trained_bands(config: Config, tileset: Tileset) -> Config:
    """Set ``data.bands`` to the bands that a training reads, by position.

    A model is otherwise run on the bands of chips that have the names of its bands. These may be
    others where ``data.band_names`` corrects the names in the chips.

    Args:
        config: Configuration of the training.
        tileset: Its chips.

    Raises:
        SceneError: The first training image cannot be read or lacks a band.
    """
    with _open_first(config, tileset) as first:
        data = config.data.model_copy(update={"bands": first.bands})
    return config.model_copy(update={"data": data})


def _open_first(config: Config, tileset: Tileset) -> Scene:
    """Open the first training image, with the bands that are read."""
    return open_image(tileset.split("train")[0], config.data.bands)
