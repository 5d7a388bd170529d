"""Open scenes as a model needs them: its bands, at its ground sample distance."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from geodet.config import DetectConfig
from geodet.detection.photographed_scenes import photograph_of
from geodet.errors import ModelFileError, SceneError
from geodet.geometry.geobox import GeoBox
from geodet.models.description import ModelDescription
from geodet.photographs.photograph import Photographs
from geodet.raster.bands import choose_bands, list_contradictions
from geodet.raster.ground_grids import FARTHEST_FACTOR, are_near, scale_factors, scaled_grid
from geodet.raster.scene import Scene

__all__ = [
    "open_for_model",
    "report_choices",
    "summarise_names",
    "warn_of_missing_georeference",
]

logger = logging.getLogger(__name__)

_SMALLEST, _LARGEST = 1e-3, FARTHEST_FACTOR  # of the sides of a scene that is resampled
_FAR_OFF = 2.0  # times the model's GSD: worth a warning where nothing is resampled
_COARSEST = 2.0  # times the model's GSD: details that the model needs are lost beyond


def open_for_model(path: str | Path, about: ModelDescription, config: DetectConfig) -> Scene:
    """Open a scene with the model's bands, on a grid of the model's ground sample distance.

    That of a photograph is read from what its camera wrote.

    Args:
        path: A raster that GDAL opens.
        about: The model.
        config: ``bands``, ``gsd``, ``ground_altitude``, ``resample``, and how long a server may
            take.

    Returns:
        The open scene. Close it after use.

    Raises:
        SceneError: The scene cannot be opened, or its pixels are thousands of times smaller than
            the model's, or many times larger.
        ModelFileError: The scene lacks bands that the model needs.
    """
    scene = Scene(path, bands=config.bands, gsd=config.gsd, limits=config)
    try:
        scene.select(_choose_bands(scene, about, config))
        if scene.geobox.is_in_pixels:
            gsd = photograph_of(scene.path, scene.name, config).gsd_m
            if gsd is not None:
                scene.assume_gsd(gsd)
        _match_gsd(scene, about, config)
    except BaseException:
        scene.close()
        raise
    return scene


def report_choices(scene: Scene, about: ModelDescription, config: DetectConfig) -> None:
    """Log how a scene is warped and resampled and which bands are read; warn of mismatches.

    Args:
        scene: From :func:`open_for_model`.
        about: The model.
        config: The settings.
    """
    _report_warping(scene)
    _report_bands(scene, about, config)
    _report_gsd(scene, about, config)


def warn_of_missing_georeference(
    geoboxes: Mapping[str, GeoBox],
    about: ModelDescription,
    config: DetectConfig,
    photographs: Photographs,
    *,
    in_pixels: bool = True,
) -> None:
    """Warn, once for all scenes, of those without a CRS and of those with unknown pixel sizes.

    Args:
        geoboxes: Geoboxes of the scenes, by name.
        about: The model.
        config: The settings.
        photographs: What is known of those without a georeference.
        in_pixels: Whether objects of these have the coordinates of their pixels.
    """
    bare = [name for name, geobox in geoboxes.items() if geobox.crs is None]
    pixels = [name for name in bare if geoboxes[name].is_in_pixels]
    placed = [name for name in bare if name not in set(pixels)]
    for names, meaning in (
        (pixels if in_pixels else [], "pixels, x to the right, y = -row"),
        (placed, "those of its world file"),
    ):
        if names:
            has = "has" if len(names) == 1 else "have"
            logger.warning(
                "%s %s no CRS: coordinates in the output are %s",
                summarise_names(names),
                has,
                meaning,
            )
    known = {name for name, image in photographs.items() if image.gsd_m is not None}
    sizeless = [name for name, geobox in geoboxes.items() if geobox.ground_resolution is None]
    unknown = [name for name in sizeless if name not in known]
    if unknown and about.gsd is not None and config.resample and config.gsd is None:
        logger.warning(
            "the metres per pixel of %s: nothing is resampled, although %s works at %.3g m; "
            "set them with --gsd METRES (detect.gsd)",
            _say_unknown(unknown, photographs),
            about.name,
            about.gsd,
        )


def _say_unknown(names: Sequence[str], photographs: Photographs) -> str:
    """Describe why metres per pixel are unknown; of several scenes, why those of the first."""
    first = photographs.get(names[0])
    of_one = "" if len(names) == 1 else f" of {names[0]}"
    reason = f",{of_one} because {first.reason}" if first is not None else ""
    return f"{summarise_names(names)} are unknown{reason}"


def summarise_names(names: Sequence[str]) -> str:
    """Name scenes in a message: the only one, or how many there are and the first."""
    return names[0] if len(names) == 1 else f"{len(names)} scenes (such as {names[0]})"


def _choose_bands(scene: Scene, about: ModelDescription, config: DetectConfig) -> tuple[int, ...]:
    """Choose the bands that the settings name; else by their meaning; else the first ones."""
    needed = len(about.bands)
    if config.bands and len(config.bands) != needed:
        raise ModelFileError(
            f"detect.bands names {len(config.bands)} bands, and {about.name} needs {needed}: "
            + ", ".join(about.bands),
            hint="name one band of the scene for each",
            name=about.name,
        )
    if len(scene.bands) < needed:
        raise ModelFileError(
            f"{scene.path} has {len(scene.bands)} bands{_doubt(scene)}, and {about.name} needs "
            f"{needed}: {', '.join(about.bands)}",
            hint=_way_out(scene, about),
            name=about.name,
        )
    if config.bands:
        return scene.bands
    places = choose_bands(about.bands, scene.band_meanings) or range(needed)
    return tuple(scene.bands[place] for place in places)


def _doubt(scene: Scene) -> str:
    """Describe a band that is flagged as alpha but looks like another, for an error message."""
    if scene.doubtful_alpha is None:
        return ""
    return (
        f" and a band {scene.doubtful_alpha} that is flagged as alpha, but varies like imagery, "
        "such as near-infrared"
    )


def _way_out(scene: Scene, about: ModelDescription) -> str:
    """Return the hint for a scene with too few bands."""
    if scene.doubtful_alpha is not None and len(scene.bands) + 1 == len(about.bands):
        places = choose_bands(about.bands, scene.all_meanings) or range(scene.count)
        listed = ",".join(str(place + 1) for place in places)
        return (
            f"--bands {listed} reads band {scene.doubtful_alpha} as "
            f"{about.bands[list(places).index(scene.doubtful_alpha - 1)]}"
        )
    return "choose another model, or name bands with bands (--bands); a band may be named twice"


def _report_bands(scene: Scene, about: ModelDescription, config: DetectConfig) -> None:
    if scene.doubtful_alpha is not None and scene.doubtful_alpha not in scene.bands:
        logger.info(
            "band %d of %s is flagged as alpha, but varies like imagery, such as near-infrared: "
            "it does not say where there is data",
            scene.doubtful_alpha,
            scene.name,
        )
    if not config.bands and scene.bands != scene.data_bands:
        logger.info(
            "%s has %d bands: using %s for %s; choose others with bands (--bands)",
            scene.name,
            scene.count,
            ", ".join(scene.band_names),
            ", ".join(about.bands),
        )
    swapped = list_contradictions(about.bands, scene.band_names, scene.band_meanings)
    if swapped:
        logger.warning(
            "the bands of %s are not those of %s: using %s; name the right ones with bands "
            "(--bands)",
            scene.name,
            about.name,
            ", ".join(swapped),
        )


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
    """Resample the scene to the model's ground sample distance, unless it is close to it."""
    factors = _scale_factors(scene, about, config)
    if factors and not are_near(factors):
        scene.resample(*scaled_grid(scene.grid, factors))


def _scale_factors(
    scene: Scene, about: ModelDescription, config: DetectConfig
) -> tuple[float, float] | tuple[()]:
    """Return the model's pixels per pixel of the scene, along x and y; empty where unknown."""
    if about.gsd is None or not config.resample or scene.resolution is None:
        return ()
    x, y = scale_factors(scene.resolution, about.gsd)
    if not _SMALLEST < min(x, y) <= max(x, y) < _LARGEST:
        raise SceneError(
            f"{scene.path} has {scene.gsd:.3g} m per pixel, which cannot be resampled to the "
            f"{about.gsd:g} m of {about.name}",
            hint="choose another model, or correct the scene's CRS or detect.gsd",
            path=scene.path,
        )
    return x, y


def _report_gsd(scene: Scene, about: ModelDescription, config: DetectConfig) -> None:
    if about.gsd is None:
        return
    if not config.resample:
        _report_other_gsd(scene, about, about.gsd)
    if scene.grid == (scene.geobox.width, scene.geobox.height):
        return
    if max(_scale_factors(scene, about, config)) > _COARSEST:
        logger.warning(
            "%s has %.3g m per pixel, too coarse for %s, which works at %.3g m",
            scene.name,
            scene.gsd,
            about.name,
            about.gsd,
        )
    if scene.geobox.is_in_pixels and config.gsd is None:
        return  # of all pictures at once
    logger.info(
        "%s has %.3g m per pixel and %s works at %.3g m: resampled while reading to %d x %d px",
        scene.name,
        scene.gsd,
        about.name,
        about.gsd,
        *scene.grid,
    )


def _report_other_gsd(scene: Scene, about: ModelDescription, gsd: float) -> None:
    if scene.gsd is not None and not 1 / _FAR_OFF < scene.gsd / gsd < _FAR_OFF:
        logger.warning(
            "%s has %.3g m per pixel and %s works at %.3g m: objects appear %.1f times as %s as in "
            "its training; leave detect.resample on",
            scene.name,
            scene.gsd,
            about.name,
            gsd,
            max(scene.gsd / gsd, gsd / scene.gsd),
            "small" if scene.gsd > gsd else "large",
        )
