"""What the benchmarks share: a large scene made of a painted town, and a line on the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import rasterio
import torch
import torchvision
from affine import Affine
from pyproj import CRS

import geodet
from geodet.geobox import GeoBox
from geodet.painting import paint_town
from geodet.rasters import write_raster

TILE = 2048
GSD = 0.6


def print_machine() -> None:
    """Say what the figures were measured on."""
    cpu = torch.cpu.get_capabilities().get("cpu_name", platform.processor())
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    print(
        f"geodet {geodet.__version__}, torch {torch.__version__}, torchvision "
        f"{torchvision.__version__}, rasterio {rasterio.__version__}, Python "
        f"{platform.python_version()}; CPU {cpu} x {os.cpu_count()}, GPU {gpu}"
    )


def make_scene(folder: Path, side: int) -> Path:
    """Make a scene of any size on little disk: a VRT that repeats one painted town.

    Args:
        folder: Where the town and the VRT go.
        side: Pixels, a multiple of 2048.
    """
    town = folder / "town.tif"
    if not town.exists():
        painting = paint_town(TILE, TILE, seed=7, gsd=GSD)
        geobox = GeoBox(TILE, TILE, Affine(GSD, 0, 447000, 0, -GSD, 5411000), CRS.from_epsg(32633))
        write_raster(town, painting.pixels, geobox)
    scene = folder / f"scene_{side}.vrt"
    scene.write_text(_vrt(town.name, side), encoding="utf-8")
    return scene


def _vrt(town: str, side: int) -> str:
    bands = "".join(_band(town, side, band) for band in (1, 2, 3))
    return (
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>447000, {GSD}, 0, 5411000, 0, -{GSD}</GeoTransform>{bands}</VRTDataset>"
    )


def _band(town: str, side: int, band: int) -> str:
    colour = ("Red", "Green", "Blue")[band - 1]
    sources = "".join(
        f'<SimpleSource><SourceFilename relativeToVRT="1">{town}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>"
        f'<SrcRect xOff="0" yOff="0" xSize="{TILE}" ySize="{TILE}"/>'
        f'<DstRect xOff="{x}" yOff="{y}" xSize="{TILE}" ySize="{TILE}"/></SimpleSource>'
        for y in range(0, side, TILE)
        for x in range(0, side, TILE)
    )
    return (
        f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>'
        f"{sources}</VRTRasterBand>"
    )
