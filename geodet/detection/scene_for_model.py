"""Open a scene the way a model needs it: its bands, at its ground sample distance."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from affine import Affine

from geodet.config import DetectConfig
from geodet.errors import ModelFileError, SceneError
from geodet.geometry.geobox import GeoBox
from geodet.models.description import ModelDescription
from geodet.raster.bands import band_meanings, choose_bands
from geodet.raster.scene import Scene

__all__ = ["check_scene", "one_or_many", "open_for_model", "report_places"]

logger = logging.getLogger(__name__)

_SMALLEST, _LARGEST = 1e-3, 20.0  # beyond, a scene shrinks to nothing or grows without end
_FAR_OFF = 2.0  # times the model's ground sample distance, where nothing is resampled
_COARSEST = 2.0  # times the model's ground sample distance
_GSD_TOLERANCE = 0.1  # a scene within it is read as it is


def check_scene(path: str | Path, about: ModelDescription, config: DetectConfig) -> GeoBox:
    """Check that a scene can be opened for a model, and give its geobox.

    Raises:
        SceneError: The scene cannot be opened, has no CRS and must have one, or its pixels are
            thousands of times as small as the model's, or many times as large.
        ModelFileError: The scene has not the bands that the model needs.
    """
    with Scene(path, bands=config.bands, gsd=config.gsd) as scene:
        _choose_bands(scene, about, config)
        _factors(scene, about, config)
        if scene.geobox.crs is None and config.require_crs:
            raise SceneError(
                f"{scene.path} has no CRS", hint="assign one with gdal_edit, or drop --require-crs"
            )
        return scene.geobox


def open_for_model(
    path: str | Path, about: ModelDescription, config: DetectConfig, *, is_silent: bool = False
) -> Scene:
    """Open a scene with the model's bands, at the model's ground sample distance.

    Args:
        path: Anything that GDAL opens.
        about: The model.
        config: Bands and ground sample distance.
        is_silent: Say nothing of what was chosen.

    Raises:
        SceneError: The scene cannot be opened.
        ModelFileError: The scene has not the bands that the model needs.
    """
    with Scene(path, bands=config.bands) as scene:
        bands = _choose_bands(scene, about, config)
        count, first = len(scene.bands), scene.bands[: len(bands)]
    scene = Scene(path, bands=bands, gsd=config.gsd)
    try:
        _match_gsd(scene, about, config)
        if not is_silent:
            _report_warping(scene)
            _report_bands(scene, about, is_choice=count > len(bands) or bands != first)
            _report_gsd(scene, about, config)
    except BaseException:
        scene.close()
        raise
    return scene


def _choose_bands(scene: Scene, about: ModelDescription, config: DetectConfig) -> tuple[int, ...]:
    """Take the bands that were named, or those that show what the model needs, or the first."""
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
    if config.bands:
        return scene.bands
    places = choose_bands(about.bands, scene.band_meanings) or range(needed)
    return tuple(scene.bands[place] for place in places)


def _report_bands(scene: Scene, about: ModelDescription, *, is_choice: bool) -> None:
    """Say which bands are taken, and warn of those that show something else."""
    if is_choice:
        logger.info(
            "%s has %d bands: taken are %s for %s; others with --bands",
            scene.name,
            scene.count,
            ", ".join(scene.band_names),
            ", ".join(about.bands),
        )
    if len(about.bands) == 1:  # one band of three that are alike, as cameras write grey pictures
        return
    wanted = band_meanings(about.bands, [""] * len(about.bands))
    swapped = [
        f"{name} for {band}"
        for name, shown, band, sought in zip(
            scene.band_names, scene.band_meanings, about.bands, wanted, strict=True
        )
        if shown and sought and shown != sought
    ]
    if swapped:
        logger.warning(
            "the bands of %s are not those of %s: taken are %s; name the right ones with --bands",
            scene.name,
            about.name,
            ", ".join(swapped),
        )


def report_places(
    places: Mapping[str, GeoBox], about: ModelDescription, config: DetectConfig
) -> None:
    """Warn, once for all scenes, where coordinates are not on the ground or pixels have no size.

    Args:
        places: Geoboxes of the scenes by their names.
        about: The model.
        config: The settings.
    """
    bare = [name for name, geobox in places.items() if geobox.crs is None]
    pixels = [name for name in bare if places[name].transform == Affine(1, 0, 0, 0, -1, 0)]
    placed = [name for name in bare if name not in set(pixels)]
    for names, meaning in (
        (pixels, "pixels, x to the right, y = -row"),
        (placed, "those of its world file"),
    ):
        if names:
            has = "has" if len(names) == 1 else "have"
            logger.warning(
                "%s %s no CRS: coordinates in the output are %s", one_or_many(names), has, meaning
            )
    unknown = [name for name, geobox in places.items() if geobox.ground_resolution is None]
    if unknown and about.gsd is not None and config.resample and config.gsd is None:
        logger.warning(
            "nobody knows the metres per pixel of %s: nothing is resampled, although %s works at "
            "%.3g m; give them with --set detect.gsd=METRES",
            one_or_many(unknown),
            about.name,
            about.gsd,
        )


def one_or_many(names: Sequence[str]) -> str:
    """Name scenes in a message: the only one, or their number and the first."""
    return names[0] if len(names) == 1 else f"{len(names)} scenes (such as {names[0]})"


def _report_warping(scene: Scene) -> None:
    if scene.warped_by:
        crs = scene.geobox.crs
        logger.info(
            "%s is warped by its %s while it is read: %d x %d px in %s",
            scene.name,
            scene.warped_by,
            scene.geobox.width,
            scene.geobox.height,
            crs.name if crs else "no CRS",
        )


def _match_gsd(scene: Scene, about: ModelDescription, config: DetectConfig) -> None:
    """Let the scene be read at the model's ground sample distance, unless it is close to it."""
    factors = _factors(scene, about, config)
    if max((abs(factor - 1) for factor in factors), default=0.0) > _GSD_TOLERANCE:
        columns, rows = (round(n * f) for n, f in zip(scene.grid, factors, strict=True))
        scene.resample(columns, rows)


def _report_gsd(scene: Scene, about: ModelDescription, config: DetectConfig) -> None:
    if about.gsd is None:
        return
    if not config.resample:
        _report_other_gsd(scene, about, about.gsd)
    if scene.grid == (scene.geobox.width, scene.geobox.height):
        return
    if max(_factors(scene, about, config)) > _COARSEST:
        logger.warning(
            "%s has %.3g m per pixel, too coarse for %s, which works at %.3g m",
            scene.name,
            scene.gsd,
            about.name,
            about.gsd,
        )
    logger.info(
        "%s has %.3g m per pixel and %s works at %.3g m: resampled while reading to %d x %d px",
        scene.name,
        scene.gsd,
        about.name,
        about.gsd,
        *scene.grid,
    )


def _factors(
    scene: Scene, about: ModelDescription, config: DetectConfig
) -> tuple[float, float] | tuple[()]:
    """Compute the model's pixels to one of the scene's, along x and y; empty where nobody knows."""
    if about.gsd is None or not config.resample or scene.resolution is None:
        return ()
    x, y = (size / about.gsd for size in scene.resolution)
    if not _SMALLEST < min(x, y) <= max(x, y) < _LARGEST:
        raise SceneError(
            f"{scene.path} has {scene.gsd:.3g} m per pixel, which is out of the reach of "
            f"{about.name} at {about.gsd:g} m",
            hint="choose another model, or correct the scene's CRS or detect.gsd",
        )
    return x, y


def _report_other_gsd(scene: Scene, about: ModelDescription, gsd: float) -> None:
    if scene.gsd is not None and not 1 / _FAR_OFF < scene.gsd / gsd < _FAR_OFF:
        logger.warning(
            "%s has %.3g m per pixel and %s works at %.3g m: objects look %.1f times as %s as it "
            "knows them; leave detect.resample on",
            scene.name,
            scene.gsd,
            about.name,
            gsd,
            max(scene.gsd / gsd, gsd / scene.gsd),
            "small" if scene.gsd > gsd else "large",
        )
