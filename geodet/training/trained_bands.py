"""The bands that a training reads: what they show, and which they are in its own chips."""

from __future__ import annotations

from geodet.config import Config
from geodet.raster.bands import band_meanings
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import Tileset

__all__ = ["trained_meanings", "with_trained_bands"]


def trained_meanings(config: Config, tileset: Tileset) -> tuple[str, ...]:
    """Return what each band shows that a training reads, "" if unknown.

    Args:
        config: Of the training.
        tileset: Its chips.

    Raises:
        SceneError: The first training image cannot be read or lacks a band.
    """
    names = config.data.band_names
    if names:
        return band_meanings(names, [""] * len(names))
    with open_image(tileset.split("train")[0], config.data.bands) as first:
        return first.band_meanings


def with_trained_bands(config: Config, tileset: Tileset) -> Config:
    """Set ``data.bands`` to the bands that a training reads, by position.

    A model is otherwise run on the bands of chips that have the names of its bands. These may be
    others where ``data.band_names`` corrects the names in the chips.

    Args:
        config: Of the training.
        tileset: Its chips.

    Raises:
        SceneError: The first training image cannot be read or lacks a band.
    """
    with open_image(tileset.split("train")[0], config.data.bands) as first:
        data = config.data.model_copy(update={"bands": first.bands})
    return config.model_copy(update={"data": data})
