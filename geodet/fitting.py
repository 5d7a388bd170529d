"""Open a scene the way a model needs it: its bands, its values, its ground sample distance."""

from __future__ import annotations

import logging
from pathlib import Path

from geodet.config import DetectConfig
from geodet.errors import ModelFileError, SceneError
from geodet.models.checkpoint import ModelDescription
from geodet.scene import Scene

__all__ = ["open_for_model"]

logger = logging.getLogger(__name__)

_GSD_TOLERANCE = 0.1  # a scene within it is read as it is


def open_for_model(path: str | Path, about: ModelDescription, config: DetectConfig) -> Scene:
    """Open a scene with the model's bands, at the model's ground sample distance.

    Raises:
        SceneError: The scene cannot be opened, or has no CRS and must have one.
        ModelFileError: The scene has not the bands that the model needs.
    """
    bands = config.bands or _first_bands(path, len(about.bands), about)
    if len(bands) != len(about.bands):
        raise ModelFileError(
            f"detect.bands names {len(bands)} bands, and {about.name} needs {len(about.bands)}: "
            + ", ".join(about.bands),
            hint="name one band of the scene for each",
        )
    scene = Scene(path, bands=bands, gsd=config.gsd)
    try:
        _check_georeference(scene, config)
        _match_dtype(scene, about, config)
        _match_gsd(scene, about, config)
    except BaseException:
        scene.close()
        raise
    return scene


def _first_bands(path: str | Path, count: int, about: ModelDescription) -> tuple[int, ...]:
    with Scene(path) as scene:
        if len(scene.bands) < count:
            raise ModelFileError(
                f"{scene.path} has {len(scene.bands)} bands, and {about.name} needs {count}: "
                + ", ".join(about.bands),
                hint="choose another model, or name bands with --bands, one may come twice",
            )
        if len(scene.bands) > count:
            logger.info(
                "%s has %d bands: taken are %s for %s; others with --bands",
                scene.name,
                len(scene.bands),
                ", ".join(scene.band_names[:count]),
                ", ".join(about.bands),
            )
        return scene.bands[:count]


def _check_georeference(scene: Scene, config: DetectConfig) -> None:
    if scene.geobox.crs is not None:
        return
    if config.require_crs:
        raise SceneError(
            f"{scene.path} has no CRS", hint="assign one with gdal_edit, or drop --require-crs"
        )
    logger.warning(
        "%s has no CRS: coordinates in the output are pixels, x to the right, y = -row", scene.name
    )


def _match_dtype(scene: Scene, about: ModelDescription, config: DetectConfig) -> None:
    if scene.dtype.name != about.dtype and config.value_range is None:
        logger.warning(
            "%s holds %s values and %s was trained on %s: say which of them mean dark and bright "
            "with --set detect.value_range=[LOW,HIGH]",
            scene.name,
            scene.dtype.name,
            about.name,
            about.dtype,
        )


def _match_gsd(scene: Scene, about: ModelDescription, config: DetectConfig) -> None:
    """Let the scene be read at the model's ground sample distance, unless it is close to it."""
    if about.gsd is None or not config.resample:
        return
    if scene.resolution is None:
        logger.warning(
            "nobody knows the metres per pixel of %s: read as it is, although %s works at %.3g m; "
            "give it with --set detect.gsd=METRES",
            scene.name,
            about.name,
            about.gsd,
        )
        return
    factors = [size / about.gsd for size in scene.resolution]
    if max(abs(factor - 1) for factor in factors) <= _GSD_TOLERANCE:
        return
    columns, rows = (round(n * f) for n, f in zip(scene.grid, factors, strict=True))
    scene.resample(columns, rows)
    logger.info(
        "%s has %.3g m per pixel and %s works at %.3g m: resampled while reading to %d x %d px",
        scene.name,
        scene.gsd,
        about.name,
        about.gsd,
        *scene.grid,
    )
