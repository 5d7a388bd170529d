"""Describe a scene, for ``geodet info SCENE``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS

from geodet.raster.reach import describe_reach
from geodet.raster.scene import Scene
from geodet.raster.scene_lists import check_scene_exists

__all__ = ["SceneSummary", "summarise_scene"]


@dataclass(frozen=True, slots=True)
class SceneSummary:
    """Size, bands and place of a scene.

    Example:
        >>> geodet.info(scene).width
        512
    """

    path: str
    """The path."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    bands: tuple[str, ...]
    """Names of the bands."""
    dtype: str
    """Data type of the values, as numpy names it."""
    crs: CRS | None
    """The CRS; None if the scene has none, or has one without a geotransform."""
    unplaced_crs: CRS | None
    """The CRS of a scene without a geotransform, which is ignored; None for most scenes."""
    gsd: float | None
    """Metres per pixel; None if they are unknown."""
    doubtful_alpha: int | None
    """Number of a band that is flagged as alpha but varies like imagery."""
    reads: str
    """Files and addresses that are read besides the file, in words; empty if there are none."""


def summarise_scene(path: str) -> SceneSummary:
    """Read the header of a scene.

    Args:
        path: As GDAL opens it.

    Raises:
        SceneError: There is no such file, or it is not a raster.
    """
    check_scene_exists(path)
    reads = describe_reach(path)
    with Scene(Path(path) if Path(path).exists() else path) as scene:
        return SceneSummary(
            path=scene.path,
            width=scene.geobox.width,
            height=scene.geobox.height,
            bands=tuple(scene.band_names),
            dtype=scene.dtype.name,
            crs=scene.geobox.crs,
            unplaced_crs=scene.unplaced_crs,
            gsd=scene.gsd,
            doubtful_alpha=scene.doubtful_alpha,
            reads=reads,
        )
