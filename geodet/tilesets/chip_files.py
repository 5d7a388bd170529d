"""Write windows of a scene as GeoTIFF chips."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from geodet.errors import SceneError
from geodet.files.closable import Closing
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.raster.geotiff import writing_geotiff
from geodet.raster.ground_grids import FARTHEST_FACTOR, are_square, scale_factors, scaled_grid
from geodet.raster.scene import Scene
from geodet.raster.source import open_source

__all__ = ["ChipCopier"]


class ChipCopier(Closing):
    """Copies windows of a scene to files, pixel for pixel or resampled to another GSD.

    Bands (with an alpha band), dtype, nodata value, band names, colours, transform and CRS are
    those of the scene as it is read: the colours of a palette, and what ground control points or
    RPCs place is warped. A mask of the scene becomes a mask inside the file. Resampling averages or
    interpolates as detection does; then a mask takes the place of a nodata value, which averages
    might hit.

    Args:
        scene: The raster.
        gsd: Metres per pixel of the files; None: those of the scene, or where its pixels are not
            square on the ground, the shorter of their sides.
        scene_gsd: Metres per pixel of a scene without a georeference.

    Raises:
        SceneError: The scene cannot be opened, or its metres per pixel are needed and unknown.
    """

    def __init__(
        self, scene: str | Path, *, gsd: float | None = None, scene_gsd: float | None = None
    ) -> None:
        with ExitStack() as stack:
            self._scene = stack.enter_context(Scene(scene))
            if self._scene.resolution is None and scene_gsd is not None:
                self._scene.resolution = (scene_gsd, scene_gsd)
            grid = _grid_of(self._scene, gsd)
            self._is_resampled = grid != self._scene.grid
            self._scene.resample(*grid)
            own, scale = self._scene.geobox, self._scene.scale
            self.unplaced_crs = self._scene.unplaced_crs
            """See :attr:`geodet.raster.scene.Scene.unplaced_crs`."""
            self.geobox = GeoBox(*grid, own.transform @ Affine.scale(*scale), own.crs)
            """Geobox of the grid whose windows are copied."""
            self.gsd = self._scene.gsd and self._scene.gsd * math.sqrt(math.prod(scale))
            """Metres per pixel of that grid, None where they are unknown."""
            stored = self._scene.resolution
            self.resolution = stored and (stored[0] * scale[0], stored[1] * scale[1])
            """The same along x and y."""
            self.made_square_from = stored if gsd is None and self._is_resampled else None
            """Metres per pixel of a scene along x and y that are made equal; None for most."""
            every = tuple(range(1, self._scene.count + 1))
            # Scene.read returns an alpha band as validity; a copy needs it as a band as well.
            has_alpha = len(self._scene.bands) < len(every)
            self._whole = (
                stack.enter_context(Scene(scene, bands=every)) if has_alpha else self._scene
            )
            self._whole.resample(*grid)
            self._profile, self._meanings, self._names = _read_profile(self._scene.path)
            if self._is_resampled:
                self._profile["nodata"] = None
            is_shown = has_alpha and not self._scene.masks.are_declared
            self._needs_mask = not is_shown and self._profile["nodata"] is None
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close the scene."""
        self._stack.close()

    def copy(self, window: Window, path: Path) -> bool:
        """Write a window to a file, unless none of its pixels is valid.

        Args:
            window: In the pixels of the grid.
            path: The GeoTIFF to write.

        Returns:
            Whether the file was written.

        Raises:
            SceneError: The window cannot be read.
            OSError: The file cannot be written.
        """
        chip = self._scene.read(window)
        if not chip.valid.any():
            return False
        whole = chip if self._whole is self._scene else self._whole.read(window)
        pixels = whole.pixels
        if self._is_resampled and self._whole is not self._scene:
            # Read as bands, averages have a share of what is transparent.
            pixels[np.array(self._scene.bands) - 1] = chip.pixels
            (alpha,) = set(self._whole.bands) - set(self._scene.bands)
            pixels[alpha - 1] = np.where(chip.valid, np.maximum(pixels[alpha - 1], 1), 0)
        try:
            self._write(path, pixels, window, chip.valid)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        return True

    def _write(
        self, path: Path, pixels: NDArray[Any], window: Window, valid: NDArray[np.bool_]
    ) -> None:
        profile = self._profile | {
            "width": window.width,
            "height": window.height,
            "transform": self.geobox.crop(window).transform,
        }
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), writing_geotiff(path, profile) as raster:
            if ColorInterp.palette not in self._meanings:
                raster.colorinterp = self._meanings
            raster.descriptions = self._names
            raster.write(pixels)
            if self._needs_mask and not valid.all():
                raster.write_mask(valid)


def _grid_of(scene: Scene, gsd: float | None) -> tuple[int, int]:
    """Return columns and rows of the grid of a scene at a GSD."""
    if gsd is None:
        return _square_grid_of(scene)
    if scene.resolution is None:
        raise SceneError(
            f"the metres per pixel of {scene.path} are unknown, so it cannot be resampled to "
            f"{gsd:g} m",
            hint="set data.gsd to those of the scene, or give the scene a georeference",
            path=scene.path,
        )
    return scaled_grid(scene.grid, scale_factors(scene.resolution, gsd))


def _square_grid_of(scene: Scene) -> tuple[int, int]:
    """Return the grid of a scene, or a finer one whose pixels are square on the ground.

    ``detect`` resamples each axis of such a scene to the GSD of a model, so a model has to learn
    square pixels. The finer grid has every detail of the scene.
    """
    size = scene.resolution
    if size is None:
        return scene.grid
    if max(size) >= FARTHEST_FACTOR * min(size):
        raise SceneError(
            f"the pixels of {scene.path} are {size[0]:.3g} x {size[1]:.3g} m on the ground, too "
            "far from square",
            hint="warp it to a projected CRS, such as UTM, with gdalwarp -t_srs",
            path=scene.path,
        )
    if are_square(size):
        return scene.grid
    return scaled_grid(scene.grid, scale_factors(size, min(size)))


def _read_profile(path: str) -> tuple[dict[str, Any], Any, Any]:
    """Return the profile, colour interpretations and band names for chips of a raster.

    They are of the pixels that a scene reads: colours in place of a palette, and a warped raster
    with an alpha band in place of one that ground control points place.
    """
    with open_source(path) as source:
        raster = source.dataset
        dtype = np.dtype(raster.dtypes[0])
        profile = {
            "count": raster.count,
            "dtype": dtype.name,
            "nodata": raster.nodata,
            "crs": None if source.unplaced_crs is not None else raster.crs,
            "compress": "deflate",
            # Differences compress better: of neighbours, or of the bytes of floats.
            "predictor": {"f": 3, "c": 1}.get(dtype.kind, 2),
        }
        return profile, raster.colorinterp, [name or None for name in source.names]
