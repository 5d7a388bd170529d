"""What the benchmarks share: a large scene made of a painted town, and a line on the machine."""

from __future__ import annotations

import os
import platform
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import rasterio
import torch
import torchvision
from affine import Affine
from pyproj import CRS

import geodet
from geodet.config import ModelConfig
from geodet.config.recipes import resolve_config
from geodet.demo.town import paint_town
from geodet.detection.ahead import map_ahead
from geodet.detection.predictor import Predictor
from geodet.geometry.geobox import GeoBox
from geodet.models.checkpoint import save_model
from geodet.models.description import ModelDescription
from geodet.models.engine import ChipTensors
from geodet.models.inputs import standardise
from geodet.models.retinanet import RetinaNet
from geodet.raster.geotiff import write_raster

TILE = 2048
GSD = 0.6


def print_machine() -> None:
    """Print what the figures were measured on."""
    cpu = torch.cpu.get_capabilities().get("cpu_name", platform.processor())
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    print(
        f"geodet {geodet.__version__}, torch {torch.__version__}, torchvision "
        f"{torchvision.__version__}, rasterio {rasterio.__version__}, Python "
        f"{platform.python_version()}; CPU {cpu} x {os.cpu_count()}, GPU {gpu}"
    )


def forward_all(predictor: Predictor, batches: Iterable[ChipTensors]) -> None:
    """Run the network alone, as many passes at a time as detect does; nothing is decoded.

    Args:
        predictor: The network.
        batches: Chips in memory.
    """
    pair = predictor.for_pairs()
    engine = (pair or predictor).engine

    def forward(batch: ChipTensors) -> None:
        engine.forward(*engine.start(batch), predictor.values)

    deque(map_ahead(forward, batches, threads=1 if pair is None else 2, name="bare"), maxlen=0)
    if predictor.device.type == "cuda":
        torch.cuda.synchronize()


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


def make_untrained_model(folder: Path, recipe: str, *, share: float = 2e-3) -> Path:
    """Save a recipe's network with random weights, for what depends on its size alone.

    Args:
        folder: Where the file goes.
        recipe: A recipe of geodet's.
        share: Of the anchors of a painted town, those that shall pass the threshold.
    """
    torch.manual_seed(0)
    config = resolve_config(recipe).model
    network = RetinaNet(config, bands=3, classes=1).eval()
    torch.nn.init.normal_(network.classifier.last.weight, std=0.3)  # else all anchors say the same
    town = torch.from_numpy(paint_town(TILE // 4, TILE // 4, seed=7, gsd=GSD).pixels)[None]
    seen = torch.ones(1, *town.shape[-2:], dtype=torch.bool)
    with torch.inference_mode():
        logits = network(standardise(town, seen, *_STATISTICS)).logits.flatten()
    weakest = logits.sort(descending=True).values[round(share * len(logits))]
    path = folder / f"{recipe}.safetensors"
    save_model(path, network, _describe(recipe, float(weakest.sigmoid()), config))
    return path


_STATISTICS = ([110.0] * 3, [50.0] * 3)


def _describe(recipe: str, threshold: float, config: ModelConfig) -> ModelDescription:
    return ModelDescription(
        name=recipe,
        architecture=config,
        classes=("object",),
        bands=("red", "green", "blue"),
        dtype="uint8",
        mean=_STATISTICS[0],
        std=_STATISTICS[1],
        low=(0.0,) * 3,
        high=(255.0,) * 3,
        gsd=GSD,
        score_threshold=threshold,
    )


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
