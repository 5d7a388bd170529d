"""Rasters of one band with a colour table, as red, green and blue."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.transform import Affine

from geodet.scene_lists import is_gdal_path

__all__ = ["expanded_palette"]

_COLOURS = ("Red", "Green", "Blue", "Alpha")


def expanded_palette(dataset: Any) -> Any | None:
    """Expand a palette by a virtual raster, so that colours are averaged and not their numbers.

    Where the palette is transparent, the number is nodata or the mask says so, alpha is 0.

    Args:
        dataset: Open; has to stay open no longer than this call.

    Returns:
        An open virtual raster of three bands, or of four with alpha; None without a palette.
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
    """Name a raster as GDAL does: by its file, but a subdataset by its own name."""
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
        kept = ET.SubElement(root, "GCPList", Projection=crs.to_wkt())
        for point in points:
            place = {"Pixel": point.col, "Line": point.row, "X": point.x, "Y": point.y}
            values = {name: repr(float(value)) for name, value in place.items()}
            values |= {"Id": str(point.id), "Z": repr(float(point.z or 0))}
            ET.SubElement(kept, "GCP", values)
