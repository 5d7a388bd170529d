"""Report which bands of labelled chips a model reads."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from geodet.evaluation.evaluated_chips import sample_images
from geodet.models.description import ModelDescription
from geodet.raster.bands import list_contradictions
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import LabelledImage

__all__ = ["report_chip_bands"]

logger = logging.getLogger(__name__)


def report_chip_bands(
    images: Sequence[LabelledImage], bands: Sequence[int], about: ModelDescription
) -> None:
    """Log which bands are chosen by their names; warn where the names contradict the model's.

    Args:
        images: Labelled images; up to 49 are looked at, evenly spread.
        bands: Bands to read, counted from 1; empty: those that the model needs.
        about: The model.

    Raises:
        SceneError: An image cannot be read or lacks a band.
    """
    said = set()
    for image in sample_images(images) if images else ():
        with open_image(image, bands, wanted=about.bands) as scene:
            read, names, meanings = scene.bands, scene.band_names, scene.band_meanings
            is_chosen = not bands and read != scene.data_bands
        if len(read) != len(about.bands) or (read, names) in said:
            continue  # predict_images reports the wrong number of bands
        said.add((read, names))
        if is_chosen:
            logger.info(
                "%s: using %s (bands %s) for %s; choose others with data.bands",
                image.path.name,
                ", ".join(names),
                ", ".join(map(str, read)),
                ", ".join(about.bands),
            )
        swapped = list_contradictions(about.bands, names, meanings)
        if swapped:
            logger.warning(
                "the bands of %s are not those of %s: using %s; name the right ones with "
                "data.bands",
                image.path.name,
                about.name,
                ", ".join(swapped),
            )
