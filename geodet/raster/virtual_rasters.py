"""Virtual rasters: palettes expanded to colours, and warping by ground control points or RPCs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from pyproj import CRS, Transformer
from rasterio._err import CPLE_BaseError  # WarpedVRT raises it, and it is not a RasterioError
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine, from_gcps
from rasterio.vrt import WarpedVRT

from geodet.errors import SceneError
from geodet.geometry.geobox import WGS_84
from geodet.raster.scene_lists import is_gdal_path

__all__ = ["find_warp", "open_expanded", "open_warped", "stored_place", "utm_zone"]

_COLOURS = ("Red", "Green", "Blue", "Alpha")


def open_expanded(dataset: Any) -> Any | None:
    """Open a virtual raster that expands a palette, so that colours are averaged, not indices.

    Its alpha is 0 where the colour is transparent, the index is nodata, or the mask is 0.

    Args:
        dataset: An open raster; it may be closed afterwards.

    Returns:
        A virtual raster of three bands, or of four with alpha; None if there is no palette.
    """
    if dataset.count != 1 or dataset.colorinterp[0] != ColorInterp.palette:
        return None
    is_masked = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
    opaque = all(alpha == 255 for *_, alpha in dataset.colormap(1).values())
    has_alpha = not opaque or is_masked or dataset.nodata is not None
    root = ET.Element("VRTDataset", rasterXSize=str(dataset.width), rasterYSize=str(dataset.height))
    _add_georeference(root, dataset)
    for number, colour in enumerate(_COLOURS[: 4 if has_alpha else 3], start=1):
        band = ET.SubElement(root, "VRTRasterBand", dataType="Byte", band=str(number))
        ET.SubElement(band, "ColorInterp").text = colour
        is_mask = colour == "Alpha" and is_masked
        source = ET.SubElement(band, "SimpleSource" if is_mask else "ComplexSource")
        name = ET.SubElement(source, "SourceFilename", relativeToVRT="0", shared="0")
        name.text = _source_name(dataset)
        ET.SubElement(source, "SourceBand").text = "mask,1" if is_mask else "1"
        if not is_mask:
            ET.SubElement(source, "ColorTableComponent").text = str(number)
            if dataset.nodata is not None and colour == "Alpha":
                ET.SubElement(source, "NODATA").text = str(dataset.nodata)
    return rasterio.open(ET.tostring(root, encoding="unicode"))


def _source_name(dataset: Any) -> str:
    """Return the name by which GDAL opens a raster: its file, or the name of a subdataset."""
    is_part = is_gdal_path(dataset.name) and "://" not in dataset.name
    return str(dataset.name if is_part or not dataset.files else dataset.files[0])


def _add_georeference(root: ET.Element, dataset: Any) -> None:
    points, crs = dataset.gcps
    if dataset.crs is not None:
        ET.SubElement(root, "SRS").text = dataset.crs.to_wkt()
    if dataset.transform != Affine.identity():
        numbers = ", ".join(repr(value) for value in dataset.transform.to_gdal())
        ET.SubElement(root, "GeoTransform").text = numbers
    elif points and crs is not None:
        _add_points(root, points, [(point.x, point.y) for point in points], crs)
    if coefficients := dataset.tags(ns="RPC"):
        kept = ET.SubElement(root, "Metadata", domain="RPC")
        for name, text in coefficients.items():
            ET.SubElement(kept, "MDI", key=name).text = text


def _add_points(root: ET.Element, points: Sequence[Any], places: Any, crs: Any) -> None:
    """Add ground control points to a virtual raster, at places in a CRS: (N, 2)."""
    kept = ET.SubElement(root, "GCPList", Projection=crs.to_wkt())
    for point, (x, y) in zip(points, places, strict=True):
        place = {"Pixel": point.col, "Line": point.row, "X": x, "Y": y, "Z": point.z or 0}
        values = {name: repr(float(value)) for name, value in place.items()}
        ET.SubElement(kept, "GCP", {"Id": str(point.id), **values})


_POINTS = "ground control points"
_COEFFICIENTS = "rational polynomial coefficients, on flat ground"
_EXACT = 0.5  # pixels


def find_warp(dataset: Any) -> str:
    """Return what a raster without a geotransform is warped by; "" for most rasters.

    A CRS alone places nothing: RPCs are used even if the raster declares a CRS.

    Args:
        dataset: An open raster.
    """
    points, crs = dataset.gcps
    if dataset.transform != Affine.identity():
        return ""
    if points and crs is not None:
        return _POINTS
    return "" if dataset.rpcs is None else _COEFFICIENTS


def stored_place(dataset: Any) -> tuple[Affine, Any]:
    """Return the transform and the CRS of the pixels of a raster as they are stored.

    Ground control points give them where they alone place it and all of them lie within half a
    pixel of one affine transform. The identity is what rasterio returns for a raster without a
    geotransform, and a stored one is that of no place on the ground: its y would grow southwards
    from the origin of the CRS. So a CRS with it counts for nothing.

    Args:
        dataset: An open raster.

    Returns:
        The transform, and the CRS as rasterio returns it; the identity and None for a raster
        without a place.
    """
    if dataset.transform != Affine.identity():
        return dataset.transform, dataset.crs
    nowhere = Affine.identity(), None
    if find_warp(dataset) != _POINTS:
        return nowhere
    points, crs = dataset.gcps
    fitted = from_gcps(points)
    if fitted.is_degenerate:
        return nowhere
    to_pixels = ~fitted
    misses = [math.dist(to_pixels @ (point.x, point.y), (point.col, point.row)) for point in points]
    return (fitted, crs) if max(misses) < _EXACT else nowhere


_POLES = {True: 5041, False: 5042}  # Universal Polar Stereographic, north and south
_UTM_ENDS = (-80.0, 84.0)


def open_warped(dataset: Any) -> tuple[tuple[Any, ...], str]:
    """Open a virtual raster that warps another by its ground control points or RPCs.

    Its grid is in the CRS of the points; in the UTM zone of the scene if that CRS is geographic or
    the raster has RPCs. The size of its pixels is the one that gdalwarp chooses. Its alpha is 0
    outside of the other raster's footprint.

    Args:
        dataset: An open raster, which has to stay open as long as the result.

    Returns:
        The virtual rasters, of which each reads from the one before and the last one is warped, and
        what it is warped by; none and "" for a raster that has a transform or nothing to warp by.

    Raises:
        SceneError: The points or RPCs define no mapping, such as points in one line.
    """
    warp = find_warp(dataset)
    if warp == _POINTS:
        return _warp_by_points(dataset), warp
    if warp == _COEFFICIENTS:
        target = utm_zone(dataset.rpcs.long_off, dataset.rpcs.lat_off)
        # There is no elevation model: the ground is taken to lie at the height offset of the RPCs.
        what = "its rational polynomial coefficients"
        height = dataset.rpcs.height_off
        # GDAL would take the degrees of the RPCs for coordinates in a CRS that the raster declares.
        return (_warp(dataset, target, what, src_crs="EPSG:4326", RPC_HEIGHT=height),), warp
    return (), ""


def _warp_by_points(dataset: Any) -> tuple[Any, ...]:
    points, crs = dataset.gcps
    known, what = CRS.from_user_input(crs), f"its {len(points)} ground control points"
    if not known.is_geographic:
        return (_warp(dataset, known, what, src_crs=crs),)
    places = np.array([(point.x, point.y) for point in points])
    target = _zone_of(places, known)
    placed = _open_placed(dataset, target, places, known)
    try:
        return placed, _warp(placed, target, what, src_crs=target.to_wkt(), name=dataset.name)
    except SceneError:
        placed.close()
        raise


def _open_placed(dataset: Any, target: CRS, places: Any, crs: CRS) -> Any:
    """Open a virtual raster whose ground control points are those of another in a projected CRS.

    GDAL fits a polynomial to the points. In degrees none fits around a pole, and the part of a
    scene beyond the antimeridian would be lost.
    """
    moved = Transformer.from_crs(crs, target, always_xy=True).transform(*places.T)
    with MemoryFile(ext=".vrt") as file:
        rasterio.shutil.copy(dataset, file.name, driver="VRT")
        root = ET.fromstring(file.read())
    for degrees in root.findall("GCPList"):
        root.remove(degrees)
    _add_points(root, dataset.gcps[0], np.transpose(moved), target)
    return rasterio.open(ET.tostring(root, encoding="unicode"))


def utm_zone(longitude: float, latitude: float) -> CRS:
    """Return the UTM zone of a place in WGS 84, or the polar system beyond the zones.

    Args:
        longitude: In degrees.
        latitude: In degrees.

    Example:
        >>> utm_zone(32.6, 0.3).to_epsg(), utm_zone(-70.9, -53.2).to_epsg()
        (32636, 32719)
    """
    if not _UTM_ENDS[0] <= latitude <= _UTM_ENDS[1]:
        return CRS.from_epsg(_POLES[latitude > 0])
    zone = math.floor((longitude + 180) / 6) % 60 + 1
    return CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)


def _zone_of(places: Any, crs: CRS) -> CRS:
    """Return the zone of the middle of places, also of places on both sides of the antimeridian."""
    to_degrees = Transformer.from_crs(crs, WGS_84, always_xy=True)
    longitude, latitude = np.radians(to_degrees.transform(*places.T))
    east, north = np.cos(latitude) * [np.sin(longitude), np.cos(longitude)]
    x, y, z = east.mean(), north.mean(), np.sin(latitude).mean()  # in the middle of the globe
    return utm_zone(*np.degrees([np.arctan2(x, y), np.arctan2(z, np.hypot(x, y))]).tolist())


def _warp(dataset: Any, target: CRS, what: str, *, name: str = "", **options: Any) -> Any:
    try:
        return WarpedVRT(
            dataset,
            crs=target.to_wkt(),
            resampling=Resampling.bilinear,
            add_alpha=ColorInterp.alpha not in dataset.colorinterp,
            **options,
        )
    except (CPLE_BaseError, RasterioError) as error:
        raise SceneError(
            f"cannot georeference {name or dataset.name} by {what}: {error}",
            hint="set points that are not in one line with gdal_translate -gcp, or remove them "
            "with gdal_edit -unsetgcp or -unsetrpc",
            path=name or dataset.name,
        ) from error
