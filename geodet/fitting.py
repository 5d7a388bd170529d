"""Open a scene the way a model needs it: its bands, its values, its ground sample distance."""

from __future__ import annotations

import logging
from pathlib import Path

from affine import Affine

from geodet.config import DetectConfig
from geodet.errors import ModelFileError, SceneError
from geodet.geobox import GeoBox
from geodet.models.checkpoint import ModelDescription
from geodet.scene import Scene

__all__ = ["check_scene", "open_for_model"]

logger = logging.getLogger(__name__)

_SMALLEST, _LARGEST = 1e-3, 20.0  # beyond, a scene shrinks to nothing or grows without end
_COARSEST = 2.0  # times the model's ground sample distance
_GSD_TOLERANCE = 0.1  # a scene within it is read as it is


def check_scene(path: str | Path, about: ModelDescription, config: DetectConfig) -> GeoBox:
    """Check that a scene can be opened for a model, and give its geobox.

    Raises:
        SceneError: The scene cannot be opened, or has no CRS and must have one.
        ModelFileError: The scene has not the bands that the model needs.
    """
    with Scene(path, bands=config.bands) as scene:
        _choose_bands(scene, about, config)
        if scene.geobox.crs is None and config.require_crs:
            raise SceneError(
                f"{scene.path} has no CRS", hint="assign one with gdal_edit, or drop --require-crs"
            )
        return scene.geobox


def open_for_model(path: str | Path, about: ModelDescription, config: DetectConfig) -> Scene:
    """Open a scene with the model's bands, at the model's ground sample distance.

    Raises:
        SceneError: The scene cannot be opened.
        ModelFileError: The scene has not the bands that the model needs.
    """
    with Scene(path, bands=config.bands) as scene:
        bands = _choose_bands(scene, about, config)
        if len(scene.bands) > len(bands):
            logger.info(
                "%s has %d bands: taken are %s for %s; others with --bands",
                scene.name,
                len(scene.bands),
                ", ".join(scene.band_names[: len(bands)]),
                ", ".join(about.bands),
            )
    scene = Scene(path, bands=bands, gsd=config.gsd)
    try:
        _report_georeference(scene)
        _match_dtype(scene, about, config)
        _match_gsd(scene, about, config)
    except BaseException:
        scene.close()
        raise
    return scene


def _choose_bands(scene: Scene, about: ModelDescription, config: DetectConfig) -> tuple[int, ...]:
    """Take the bands that were named, or else the first ones."""
    needed = len(about.bands)
    if config.bands and len(config.bands) != needed:
        raise ModelFileError(
            f"detect.bands names {len(config.bands)} bands, and {about.name} needs {needed}: "
            + ", ".join(about.bands),
            hint="name one band of the scene for each",
        )
    if len(scene.bands) < needed:
        raise ModelFileError(
            f"{scene.path} has {len(scene.bands)} bands, and {about.name} needs {needed}: "
            + ", ".join(about.bands),
            hint="choose another model, or name bands with --bands, one may come twice",
        )
    return scene.bands[:needed]


def _report_georeference(scene: Scene) -> None:
    if scene.geobox.crs is not None:
        return
    is_pixels = scene.geobox.transform == Affine(1, 0, 0, 0, -1, 0)
    logger.warning(
        "%s has no CRS: coordinates in the output are %s",
        scene.name,
        "pixels, x to the right, y = -row" if is_pixels else "those of its world file",
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
    if not _SMALLEST < min(factors) <= max(factors) < _LARGEST:
        raise SceneError(
            f"{scene.path} has {scene.gsd:.3g} m per pixel, which is out of the reach of "
            f"{about.name} at {about.gsd:g} m",
            hint="choose another model, or correct the scene's CRS or detect.gsd",
        )
    if max(factors) > _COARSEST:
        logger.warning(
            "%s has %.3g m per pixel, too coarse for %s, which works at %.3g m",
            scene.name,
            scene.gsd,
            about.name,
            about.gsd,
        )
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
