"""Write windows of a scene as GeoTIFF chips."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geodet.errors import OutputError
from geodet.files.closable import Closing
from geodet.geometry.windows import Window
from geodet.raster.scene import Scene

__all__ = ["ChipCopier"]


class ChipCopier(Closing):
    """Copies windows of a scene to files, pixel for pixel.

    Bands (with an alpha band), dtype, nodata value, band names, colours, transform and CRS are
    those of the scene. A mask of the scene becomes a mask inside the file.

    Args:
        scene: The raster.

    Raises:
        SceneError: The scene cannot be opened.
    """

    def __init__(self, scene: Path) -> None:
        with ExitStack() as stack:
            self._scene = stack.enter_context(Scene(scene))
            self.geobox = self._scene.geobox
            every = tuple(range(1, self._scene.count + 1))
            # Scene.read returns an alpha band as validity; a copy needs it as a band as well.
            has_alpha = len(self._scene.bands) < len(every)
            self._whole = (
                stack.enter_context(Scene(scene, bands=every)) if has_alpha else self._scene
            )
            self._profile, self._meanings, self._names = _read_profile(self._scene.path)
            self._needs_mask = not has_alpha and self._profile["nodata"] is None
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close the scene."""
        self._stack.close()

    def copy(self, window: Window, path: Path) -> bool:
        """Write a window to a file, unless none of its pixels is valid.

        Args:
            window: In the pixels of the scene.
            path: The GeoTIFF to write.

        Returns:
            Whether the file was written.

        Raises:
            SceneError: The window cannot be read.
            OutputError: The file cannot be written.
        """
        chip = self._scene.read(window)
        if not chip.valid.any():
            return False
        whole = chip if self._whole is self._scene else self._whole.read(window)
        try:
            self._write(path, whole.pixels, window, chip.valid)
        except (RasterioError, OSError) as error:
            raise OutputError(
                f"cannot write {path}: {error}",
                hint="check the free space and the permissions",
                path=path,
            ) from error
        return True

    def _write(
        self, path: Path, pixels: NDArray[Any], window: Window, valid: NDArray[np.bool_]
    ) -> None:
        profile = self._profile | {
            "width": window.width,
            "height": window.height,
            "transform": self.geobox.crop(window).transform,
        }
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), _open(path, "w", **profile) as raster:
            if ColorInterp.palette not in self._meanings:
                raster.colorinterp = self._meanings
            raster.descriptions = self._names
            raster.write(pixels)
            if self._needs_mask and not valid.all():
                raster.write_mask(valid)


def _read_profile(path: str) -> tuple[dict[str, Any], Any, Any]:
    """Return the profile, colour interpretations and band names for chips of a raster."""
    with _open(path) as raster:
        dtype = np.dtype(raster.dtypes[0])
        profile = {
            "driver": "GTiff",
            "count": raster.count,
            "dtype": dtype.name,
            "nodata": raster.nodata,
            "crs": raster.crs,
            "compress": "deflate",
            # Differences compress better: of neighbours, or of the bytes of floats.
            "predictor": {"f": 3, "c": 1}.get(dtype.kind, 2),
        }
        return profile, raster.colorinterp, raster.descriptions


def _open(path: str | Path, mode: str = "r", **options: Any) -> Any:
    """Open a raster, without a warning if it has no georeference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, mode, **options)
