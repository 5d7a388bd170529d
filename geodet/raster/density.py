"""Rasters of densities, coloured in QGIS by a style beside them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import rasterize

from geodet.files.outputs import replacing
from geodet.geometry.arrays import Floats
from geodet.raster.geotiff import writing_geotiff

__all__ = ["find_cells_of", "write_density"]

# Viridis at 0, 1/4 ... 1: van der Walt and Smith 2015, bids.github.io/colormap.
_COLOURS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
_HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_HIGH = 98  # per cent of the cells with objects; the few above have the last colour, too


def write_density(path: Path, densities: Floats, transform: Affine, crs: CRS, unit: str) -> None:
    """Write a GeoTIFF of densities, and the style by which QGIS shows it in colours.

    Args:
        path: The GeoTIFF; the style lies beside it and ends in ``.qml``.
        densities: (H, W), 0 where there is no object, NaN where none was searched; shown
            transparent there.
        transform: From columns and rows to the CRS.
        crs: A CRS.
        unit: What the densities are, for the band's description.

    Raises:
        OutputError: A file cannot be written.
    """
    height, width = densities.shape
    profile = {"width": width, "height": height, "count": 1, "dtype": "float32"}
    profile |= {"crs": crs.to_wkt(), "transform": transform, "compress": "deflate"}
    profile |= {"tiled": True, "blockxsize": 256, "blockysize": 256, "predictor": 3}
    if np.isnan(densities).any():
        profile |= {"nodata": np.nan}
    with replacing(path) as temporary, writing_geotiff(temporary, profile) as raster:
        raster.write(densities.astype(np.float32), 1)
        raster.set_band_description(1, unit)
    with replacing(path.with_suffix(".qml")) as temporary:
        temporary.write_text(_qgis_ramp(densities), encoding="utf-8")


def find_cells_of(
    polygons: NDArray[np.object_], shape: tuple[int, ...], transform: Affine
) -> NDArray[np.bool_]:
    """Whether each cell of a raster touches one of some polygons: (H, W).

    Args:
        polygons: Polygons in the CRS of the raster.
        shape: H and W.
        transform: From columns and rows to the CRS.
    """
    if not len(polygons):
        return np.zeros(shape, np.bool_)
    burned = rasterize(polygons, shape, transform=transform, all_touched=True, dtype=np.uint8)
    return np.asarray(burned, np.bool_)


def _qgis_ramp(densities: Floats) -> str:
    """Return a QGIS style: viridis from 0 to nearly the largest density, 0 transparent."""
    there = densities[densities > 0]
    high = float(np.percentile(there, _HIGH)) if there.size else 1.0
    root = ET.Element("qgis", version="3.22.0", styleCategories="AllStyleCategories")
    pipe = ET.SubElement(root, "pipe")
    about = {"type": "singlebandpseudocolor", "band": "1", "opacity": "0.8"}
    about |= {"classificationMin": "0", "classificationMax": f"{high:.6g}"}
    renderer = ET.SubElement(pipe, "rasterrenderer", about)
    shader = ET.SubElement(ET.SubElement(renderer, "rastershader"), "colorrampshader")
    shader.attrib |= {"colorRampType": "INTERPOLATED", "clip": "0", "classificationMode": "1"}
    shader.attrib |= {"minimumValue": "0", "maximumValue": f"{high:.6g}"}
    _add_colour(shader, 0.0, _COLOURS[0], alpha=0)
    for step, colour in enumerate(_COLOURS):
        _add_colour(shader, max(high * step / (len(_COLOURS) - 1), high * 1e-6), colour)
    ET.indent(root, " ")
    return _HEAD + ET.tostring(root, encoding="unicode") + "\n"


def _add_colour(shader: ET.Element, value: float, colour: str, alpha: int = 255) -> None:
    about = {"value": f"{value:.6g}", "label": f"{value:.3g}", "color": colour}
    ET.SubElement(shader, "item", about | {"alpha": str(alpha)})
