"""The pixels and the place of arrays: of NumPy, masked, and of xarray."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from geodet.errors import SceneError

__all__ = ["ArrayRaster", "read_array"]

_MOST_BANDS = 16  # of an image whose bands come last, as those of Pillow and OpenCV do
_ROWS, _COLUMNS = ("y", "latitude", "lat"), ("x", "longitude", "lon")
_SLACK = 0.05  # of a pixel, by which the centres of pixels may lie beside a regular grid


class ArrayRaster(NamedTuple):
    """An array and where it lies."""

    pixels: NDArray[Any]
    """(C, H, W)."""
    transform: Affine | None
    crs: Any
    nodata: float | None
    bands: tuple[str, ...]
    valid: NDArray[np.bool_] | None = None
    """(H, W), False where a masked array has no data; None: no array of that kind."""


def read_array(array: Any, transform: Affine | None = None) -> ArrayRaster:
    """Read pixels and place from whatever holds them.

    Args:
        array: (C, H, W) or (H, W) array, or an xarray DataArray.
        transform: In place of the array's own, which is then not looked at.

    Raises:
        SceneError: It is no image, or its pixels lie on no regular grid.
    """
    if hasattr(array, "data_vars"):
        raise SceneError(
            "an xarray Dataset is several arrays: " + ", ".join(map(str, array.data_vars)),
            hint="choose one, such as dataset['NAME'], or make them bands: dataset.to_array()",
        )
    if hasattr(array, "coords") and hasattr(array, "dims"):
        return _read_xarray(array, transform)
    pixels = np.asarray(array)
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise SceneError(
            f"an array of shape {pixels.shape} is not an image",
            hint="pass (bands, rows, columns), or (rows, columns) for one band",
        )
    if pixels.ndim == 3 and pixels.shape[2] <= _MOST_BANDS < pixels.shape[0]:
        raise SceneError(
            f"an array of shape {pixels.shape} would be {pixels.shape[0]} bands of"
            f" {pixels.shape[1]} x {pixels.shape[2]} pixels: its bands seem to come last",
            hint="put the bands first: numpy.moveaxis(array, -1, 0)",
        )
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    valid = None
    if isinstance(array, np.ma.MaskedArray):
        valid = ~np.logical_and.reduce(np.ma.getmaskarray(array).reshape(pixels.shape))
    return ArrayRaster(pixels, transform, None, None, (), valid)


def _read_xarray(array: Any, transform: Affine | None) -> ArrayRaster:
    """Read a DataArray by rioxarray's conventions: its place is in the attributes of a coordinate.

    That coordinate is called ``spatial_ref``, or as ``grid_mapping`` names it.
    """
    y, x = (next((d for d in array.dims if d in names), None) for names in (_ROWS, _COLUMNS))
    others = [dim for dim in array.dims if dim not in (x, y)]
    if x is None or y is None or len(others) > 1:
        raise SceneError(
            f"a DataArray with the dimensions {', '.join(map(str, array.dims))} is not an image",
            hint="its dimensions must be (band, y, x) or (y, x)",
        )
    pixels = np.asarray(array.transpose(*others, y, x))
    if not pixels.size:
        raise SceneError(
            f"a DataArray of shape {pixels.shape} has no pixels",
            hint="check the part that was chosen, such as the order of y in a slice",
        )
    mapping = array.encoding.get("grid_mapping") or array.attrs.get("grid_mapping") or "spatial_ref"
    about = array.coords[mapping].attrs if mapping in array.coords else {}
    nodata = array.attrs.get("_FillValue", array.encoding.get("_FillValue"))
    if transform is None:
        transform = _transform_of(array.coords, (x, y), about)
    return ArrayRaster(
        pixels if others else pixels[None],
        transform,
        about.get("spatial_ref") or about.get("crs_wkt"),
        _to_nodata(nodata),
        _band_names(array, others, len(pixels) if others else 1),
    )


def _to_nodata(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise SceneError(
            f"the _FillValue of the DataArray is not a number, but {value!r}",
            hint="correct it with array.rio.write_nodata",
        ) from error


def _band_names(array: Any, dims: list[Any], count: int) -> tuple[str, ...]:
    """Return the names of the bands: their coordinates if these are text, else ``long_name``.

    rioxarray numbers the bands of a file from 1 and names them all in ``long_name``, which xarray
    leaves as it was where it takes some bands, or orders them otherwise.

    Args:
        array: A DataArray.
        dims: That of the bands; none where there is but one.
        count: Number of bands.

    Returns:
        A name for each band; empty where ``long_name`` does not fit the bands.
    """
    dim = next((d for d in dims or ("band", "variable") if d in array.coords), None)
    numbers = np.arange(1, count + 1) if dim is None else np.atleast_1d(array.coords[dim])
    if all(isinstance(name, str) for name in numbers.tolist()):
        return tuple(numbers.tolist())
    given = np.atleast_1d(np.asarray(array.attrs.get("long_name", ()), object))
    names = tuple(str(name or "") for name in given)
    kind = "" if dim is None else numbers.dtype.kind
    if kind in ("i", "u") and len(names) > 1 and set(numbers) <= set(range(1, len(names) + 1)):
        return tuple(names[number - 1] for number in numbers)
    in_order = kind != "O" and bool((numbers[1:] > numbers[:-1]).all())  # such as wavelengths
    return names if in_order and len(names) == count else ()


def _transform_of(coords: Any, names: tuple[str, str], about: Any) -> Affine | None:
    """Return the transform of the centres of the pixels, or the one that is stored.

    xarray leaves a stored transform as it was where it takes a part of an array, every second
    pixel, or turns it over: it counts only for what the coordinates do not say.

    Args:
        coords: Coordinates of the DataArray.
        names: Names of its columns and its rows.
        about: Attributes of the grid mapping, such as ``spatial_ref``.
    """
    stored = _stored_transform(about)
    if stored is not None and (stored.b or stored.d):
        _check_rotated(stored, coords, names)
        return stored
    columns = _read_axis(coords, names[0], None if stored is None else (stored.c, stored.a))
    rows = _read_axis(coords, names[1], None if stored is None else (stored.f, stored.e))
    if columns is None or rows is None:
        return None
    return Affine(columns[1], 0, columns[0], 0, rows[1], rows[0])


def _stored_transform(about: Any) -> Affine | None:
    text = about.get("GeoTransform")
    if text is None:
        return None
    try:
        return Affine.from_gdal(*map(float, str(text).split()))
    except (TypeError, ValueError) as error:  # TypeError: not six
        raise SceneError(
            f"the GeoTransform of the DataArray is not six numbers, but {text!r}",
            hint="correct it with array.rio.write_transform, or pass transform as well",
        ) from error


def _read_axis(
    coords: Any, name: str, stored: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Return where the pixels of an axis begin, and their signed size; None where neither is known.

    Args:
        coords: Coordinates of the DataArray.
        name: Name of the axis.
        stored: What to return of an axis without coordinates; one pixel has the size of these.
    """
    if name not in coords:
        return stored
    centres = _to_numbers(coords, name)
    if len(centres) > 1:
        size = (centres[-1] - centres[0]) / (len(centres) - 1)
        _check_spacing(name, centres, size)
    elif stored is not None:
        size = stored[1]
    else:
        return None
    return float(centres[0] - size / 2), float(size)


def _to_numbers(coords: Any, name: str) -> NDArray[np.float64]:
    try:
        return np.asarray(coords[name], np.float64)
    except (TypeError, ValueError) as error:
        raise SceneError(
            f"the coordinates {name} of the DataArray are not numbers",
            hint="pass transform as well",
        ) from error


def _check_spacing(name: str, centres: NDArray[np.float64], size: float) -> None:
    """Refuse coordinates that are not those of a regular grid, NaN, and equal ones."""
    off = np.abs(centres - centres[0] - size * np.arange(len(centres)))
    if size and (off <= _SLACK * abs(size)).all():
        return
    steps = np.diff(centres)
    raise SceneError(
        f"the coordinates {name} of the DataArray are not evenly spaced: their steps are from"
        f" {steps.min():g} to {steps.max():g}",
        hint=f"resample it, such as with array.interp({name}=numpy.linspace(FIRST, LAST, COUNT))",
    )


def _check_rotated(stored: Affine, coords: Any, names: tuple[str, str]) -> None:
    """Refuse a rotated transform where coordinates show that it is that of another array.

    rioxarray gives a rotated array the centres of its pixels as ``xc`` and ``yc``, both (H, W), or
    those of its first row as ``x`` and of its first column as ``y``.
    """
    slack = _SLACK * math.sqrt(abs(stored.determinant))
    for axis, name in ((0, names[0]), (1, names[1]), (0, "xc"), (1, "yc")):
        for (column, row), centre in _iter_corners(coords, name, axis):
            expected = (stored @ (column + 0.5, row + 0.5))[axis]
            if not abs(expected - centre) <= slack:
                raise SceneError(
                    f"the coordinates {name} of the DataArray do not fit its GeoTransform, which is"
                    f" rotated: {centre:.10g} is {expected:.10g} by it",
                    hint="write the transform of this part with array.rio.write_transform, or pass"
                    " it as transform",
                )


def _iter_corners(coords: Any, name: str, axis: int) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield the column and row of corners of an array, with the coordinate of their pixel."""
    if name not in coords:
        return
    given = _to_numbers(coords, name)
    grid = given if given.ndim == 2 else np.expand_dims(given, axis)
    for row, column in ((0, 0), (0, grid.shape[1] - 1), (grid.shape[0] - 1, 0)):
        yield (column, row), float(grid[row, column])
