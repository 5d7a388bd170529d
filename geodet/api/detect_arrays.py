"""Detect in an array, an open rasterio dataset, or an xarray DataArray."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # a copy raises it, and it is not a RasterioError
from rasterio.crs import CRS
from rasterio.dtypes import in_dtype_range
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.io import BufferedDatasetWriter, DatasetReader, DatasetWriter, MemoryFile
from rasterio.vrt import WarpedVRT

from geodet.api.array_rasters import ArrayRaster, read_array
from geodet.api.detect_frames import DetectKeywords, detect
from geodet.errors import SceneError
from geodet.files.shown_names import naming_file
from geodet.jobs.device_lists import list_devices
from geodet.models.model import Model

__all__ = ["detect_array"]


def detect_array(
    array: Any,
    model: str | Model = "urban-trees",
    *,
    transform: Affine | None = None,
    crs: Any = None,
    nodata: float | None = None,
    **keywords: Unpack[DetectKeywords],
) -> gpd.GeoDataFrame:
    """Detect objects in an array that is in memory.

    Args:
        array: (C, H, W) or (H, W) array; an open rasterio dataset, which is copied into memory; or
            an xarray DataArray with the coordinates of rioxarray (``x``, ``y``, ``spatial_ref``),
            also a part of one. Pixels of a masked array have no data where all bands are masked.
        model: A bundled model's name, a model file, or a loaded model.
        transform: From column and row to x and y; None: the array's own. An array without one gives
            pixel coordinates, x to the right and y = -row.
        crs: CRS of x and y, anything that rasterio takes; None: the array's own. It needs a
            transform. An array without a CRS is not resampled: pass
            ``settings={"detect.gsd": METRES}`` if its pixels are not those of the model.
        nodata: Value of pixels without data; None: the array's own. A mask of a dataset replaces
            it, an alpha band adds to it.
        **keywords: As for :func:`geodet.detect`.

    Returns:
        The detections, as :func:`geodet.detect` returns them, with ``array`` as their scene.

    Raises:
        SceneError: The array has another shape, its bands last, a data type that no raster has,
            coordinates that are not evenly spaced, or a CRS without a transform; the dataset is
            closed, open for writing only, or cannot be read; or ``transform``, ``crs`` or
            ``nodata`` is invalid.
        ModelFileError: It has fewer bands than the model needs.

    Example:
        >>> with rasterio.open(scene) as dataset:
        ...     pixels, transform, crs = dataset.read(), dataset.transform, dataset.crs
        >>> trees = detect_array(pixels, transform=transform, crs=crs)
        >>> trees.crs.name
        'WGS 84 / UTM zone 33N'
    """
    devices = list_devices(keywords.get("device", "auto"), keywords.get("processes", 1))
    with _make_file(on_disk=len(devices) > 1) as path, naming_file(path, _NAME):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            if isinstance(array, _DATASETS):
                _copy(array, path, transform, crs, nodata)
            else:
                own = read_array(array, transform)
                placed = own._replace(
                    crs=own.crs if crs is None else crs,
                    nodata=own.nodata if nodata is None else nodata,
                )
                _write(placed, path)
        frame = detect(path, model, **keywords)
        for scene in frame.attrs["report"]["scenes"]:
            scene["path"] = _NAME
        return frame


_NAME = "array"  # of the file, and so of the scene
_DATASETS = (DatasetReader, DatasetWriter, BufferedDatasetWriter, WarpedVRT)


@contextmanager
def _make_file(*, on_disk: bool) -> Iterator[str]:
    """Yield the path of a file to write: in memory, or on a disk, where other processes see it."""
    if on_disk:
        # Windows keeps a file that is still open when an error ends the call.
        with tempfile.TemporaryDirectory(prefix="geodet-", ignore_cleanup_errors=True) as folder:
            yield str(Path(folder) / _NAME)
    else:
        with MemoryFile(filename=_NAME) as file:
            yield file.name


def _copy(
    dataset: DatasetReader, path: str, transform: Affine | None, crs: Any, nodata: float | None
) -> None:
    """Copy a dataset with its masks, colours, ground control points and RPCs into a GeoTIFF.

    Args:
        dataset: An open dataset, which may be open for writing too.
        path: The GeoTIFF.
        transform: In place of the dataset's own transform or points; None: as it is.
        crs: In place of the dataset's own CRS; None: as it is.
        nodata: In place of the dataset's own nodata value; None: as it is.
    """
    if dataset.closed:
        raise SceneError(
            f"the dataset {dataset.name} is closed",
            hint="call detect_array while it is open, or pass its path to geodet.detect",
            path=dataset.name,
        )
    if dataset.mode == "w":
        raise SceneError(
            f"the dataset {dataset.name} is open for writing only",
            hint="close it, and pass its path to geodet.detect",
            path=dataset.name,
        )
    if len(kinds := sorted(set(dataset.dtypes))) > 1:
        raise SceneError(
            f"the bands of {dataset.name} are of the types {', '.join(kinds)}",
            hint="pass its path to geodet.detect, or an array of one type",
            path=dataset.name,
        )
    own = None if dataset.transform == Affine.identity() else dataset.transform
    _check_place(own if transform is None else transform, crs)
    _check_nodata(nodata, dataset.dtypes[0])
    try:
        rasterio.shutil.copy(dataset, path, driver="GTiff", BIGTIFF="IF_SAFER")
    except (CPLE_BaseError, RasterioError) as error:
        raise SceneError(
            f"cannot read {dataset.name}: {error}",
            hint="check the file, or pass its path to geodet.detect, which can leave areas out",
            path=dataset.name,
        ) from error
    with rasterio.open(path, "r+") as copy:
        if transform is not None:
            copy.transform = transform
            copy.crs = dataset.crs or dataset.gcps[1]
        if crs is not None:
            copy.crs = crs
        if nodata is not None:
            copy.nodata = nodata


def _check_place(transform: Affine | None, crs: Any) -> None:
    """Check a transform and a CRS; a CRS needs a transform."""
    if not isinstance(transform, Affine | None):
        raise SceneError(
            f"the transform is not an Affine, but {transform!r}",
            hint="pass the transform of a dataset, or affine.Affine(a, b, c, d, e, f)",
        )
    if transform is not None and not np.isfinite(transform.determinant * transform.c * transform.f):
        raise SceneError(
            f"the transform has numbers that are not finite: {tuple(transform)[:6]}",
            hint="pass the transform of a dataset, or affine.Affine(a, b, c, d, e, f)",
        )
    if crs is None:
        return
    try:
        with rasterio.Env():  # outside of one, GDAL prints its errors
            CRS.from_user_input(crs)
    except CRSError as error:
        raise SceneError(
            f"{crs!r} is not a CRS: {error}", hint="name one such as EPSG:4326 or EPSG:32633"
        ) from error
    if transform is None:
        raise SceneError(
            "the array has a CRS, but no transform from its pixels to it",
            hint="pass transform as well, or no CRS for the coordinates of pixels",
        )


def _check_nodata(nodata: float | None, dtype: Any) -> None:
    """Check that pixels of a data type can have the nodata value."""
    try:
        fits = nodata is None or in_dtype_range(nodata, dtype)
    except (TypeError, ValueError):  # no number
        fits = False
    if not fits:
        raise SceneError(
            f"the nodata value {nodata!r} does not fit in {dtype}",
            hint="pass a value that the pixels can have, or convert them, such as with"
            " array.astype('float32')",
        )


def _write(raster: ArrayRaster, path: str) -> None:
    """Write an array and where it lies to a GeoTIFF."""
    _check_place(raster.transform, raster.crs)
    count, height, width = raster.pixels.shape
    dtype = raster.pixels.dtype.newbyteorder("=")
    if dtype == np.bool_ or dtype.name not in rasterio.dtypes.dtype_fwd.values():
        raise SceneError(
            f"an array of {dtype} values cannot be read as a raster",
            hint="convert it, such as with array.astype('float32')",
        )
    _check_nodata(raster.nodata, dtype)
    profile = {
        "driver": "GTiff",
        "width": width,
        "height": height,
        "count": count,
        "dtype": dtype,
        "crs": raster.crs,
        "nodata": raster.nodata,
        "BIGTIFF": "IF_SAFER",
        # By default bytes are red, green and blue, and a fourth band of them is alpha.
        "photometric": "minisblack",
        "alpha": "no",
    }
    if raster.transform is not None:
        profile["transform"] = raster.transform
    with rasterio.open(path, "w", **profile) as target:
        target.write(raster.pixels.astype(dtype, copy=False))
        for band, name in enumerate(raster.bands[:count], 1):
            target.set_band_description(band, name)
        if raster.valid is not None:
            target.write_mask(_valid_in(raster, raster.valid))


def _valid_in(raster: ArrayRaster, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add the nodata value to a mask: GDAL ignores it where there is a mask."""
    if raster.nodata is None:
        return valid
    is_data: NDArray[np.bool_] = (raster.pixels != raster.nodata).any(axis=0)
    return valid & is_data
