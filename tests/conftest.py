"""Painted scenes and a small untrained model: what most tests need, and no binary files."""

import functools
import logging
import os
import warnings

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from factories_rasters import BACKGROUND, BYTE_IN, OBJECT
from hypothesis import HealthCheck, settings
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from remote_server import serving

import geodet.raster.source_access
from geodet.config import ModelConfig
from geodet.detection import window_plan
from geodet.models.checkpoint import load_checkpoint, save_model
from geodet.models.description import ModelDescription, iter_bundled
from geodet.models.device import resolve_precision
from geodet.models.retinanet import RetinaNet
from geodet.onnx.backend import load_model
from geodet.onnx.precision_probe import remember_precision
from geodet.raster.source import open_source

torch.set_num_threads(1)  # the networks here are too small for more

# A machine under load is not a bug, and make_scene may paint anew in every example.
_QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
# The same examples in every run, so that a failure is the change's; others, and more, on demand.
settings.register_profile("geodet", derandomize=True, max_examples=50, **_QUIET)
settings.register_profile("explore", **_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "geodet"))

TINY = ModelConfig(
    backbone="resnet18",
    backbone_level=3,
    levels=(2, 2),
    channels=16,
    head_convs=1,
    anchor_sizes=(10.0,),
    anchor_scales=(1.0,),
    anchor_ratios=(1.0,),
)


@pytest.fixture(autouse=True)
def _same_environment():
    """Undo what a command changes in the environment of its process, such as --restricted."""
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _never_synced():
    """Leave files to the system's cache: no test pulls the plug."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _same_precision(tmp_path_factory):
    """Make "auto" choose floats, also in processes that a test starts: no timing decides a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        chosen = resolve_precision("auto", torch.device("cpu"))
        for name, _ in iter_bundled():
            remember_precision(load_model(name), str(chosen).removeprefix("torch."))
        # A test that wants eight bits after its training asks for them: they take seconds.
        patch.setattr("geodet.training.int8_twin.can_write_int8", lambda: False)
        yield


@pytest.fixture(autouse=True)
def _same_log_level():
    """Undo what a command, in a test before or in a fixture, did to the levels of the log."""
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("geodet").setLevel(logging.NOTSET)


@pytest.fixture
def make_scene(tmp_path):
    """Return a function that paints a raster and returns its path.

    The ground is noise of the seed, the same for every dtype but for its unit: bytes, bytes times
    257 in uint16, times 128 in int16, bytes over 255 in floats. ``objects`` and ``holes`` are boxes
    x1 y1 x2 y2 in whole pixels; objects are bright, or as bright as their fifth number says, holes
    have no data by whichever of nodata, alpha and mask is asked for. ``rotation`` is in degrees,
    ``origin`` the world coordinates of the upper left corner. Without an EPSG code the raster has
    no georeference at all.
    """

    def make(
        name="scene.tif",
        *,
        width=96,
        height=80,
        epsg=32633,
        dtype="uint8",
        bands=3,
        nodata=None,
        rotation=0.0,
        pixel_size=0.6,
        origin=(500_000.0, 4_500_000.0),
        objects=(),
        holes=(),
        alpha=False,
        mask=False,
        tiled=False,
        descriptions=(),
        seed=0,
        **profile,
    ):
        pixels = paint((bands, height, width), dtype, objects, seed)
        valid = np.ones((height, width), bool)
        for x1, y1, x2, y2 in holes:
            valid[y1:y2, x1:x2] = False
        if nodata is not None:
            pixels[:, ~valid] = nodata
        if alpha:
            opaque = np.where(valid, np.iinfo(dtype).max, 0).astype(dtype)
            pixels = np.concatenate([pixels, opaque[None]])
        options = {
            "driver": {".png": "PNG", ".jpg": "JPEG"}.get(name[-4:], "GTiff"),
            "width": width,
            "height": height,
            "count": len(pixels),
            "dtype": dtype,
            "nodata": nodata,
        }
        if epsg is not None:
            turned = Affine.translation(*origin) @ Affine.rotation(rotation)
            options["transform"] = turned @ Affine.scale(pixel_size, -pixel_size)
            options["crs"] = f"EPSG:{epsg}"
        if tiled:
            options |= {"tiled": True, "blockxsize": 32, "blockysize": 32}
        with (
            warnings.catch_warnings(),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_PAM_ENABLED=False),
        ):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(tmp_path / name, "w", **options | profile) as raster:
                if alpha:
                    raster.colorinterp = [*raster.colorinterp[:-1], ColorInterp.alpha]
                for band, text in enumerate(descriptions, start=1):
                    raster.set_band_description(band, text)
                raster.write(pixels)
                if mask:
                    raster.write_mask(valid)
        return tmp_path / name

    return make


def paint(shape, dtype, objects, seed):
    pixels = np.random.default_rng(seed).integers(*BACKGROUND, shape)
    for x1, y1, x2, y2, *brightness in objects:
        pixels[:, y1:y2, x1:x2] = brightness[0] if brightness else OBJECT
    if np.dtype(dtype).kind == "f":
        return (pixels / 255).astype(dtype)
    return (pixels * BYTE_IN.get(np.dtype(dtype).name, 1)).astype(dtype)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Return a function that writes a tiny model with weights of a seed and returns its path.

    Keywords replace fields of its description. It finds some dozens of objects in a chip of noise:
    its score threshold is a quantile of what it says of one.
    """
    folder = tmp_path_factory.mktemp("models")

    def make(name="tiny.safetensors", *, seed=0, share=0.03, **fields):
        bands = len(fields.get("bands", "rgb"))
        description = {
            "name": "tiny",
            "architecture": TINY,
            "classes": ("tree",),
            "bands": ("red", "green", "blue"),
            "dtype": "uint8",
            "mean": (60.0,) * bands,
            "std": (25.0,) * bands,
            "low": (0.0,) * bands,
            "high": (255.0,) * bands,
            "gsd": 0.6,
        } | fields
        architecture, classes = description["architecture"], tuple(description["classes"])
        network = seeded_network(architecture, bands, classes, seed)
        if "score_threshold" not in fields:
            description["score_threshold"] = score_quantile(network, bands, 1 - share)
        save_model(folder / name, network, ModelDescription(**description))
        return folder / name

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model):
    """Return a loaded model of three bands of bytes at 0.6 m per pixel with one class, tree."""
    return load_checkpoint(make_model())


@functools.cache
def seeded_network(architecture, bands, classes, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = RetinaNet(architecture, bands=bands, classes=len(classes)).eval()
        # As they are initialised all anchors say the same; an untrained network must say something.
        torch.nn.init.normal_(network.classifier.last.weight, std=0.3)
        torch.nn.init.normal_(network.regressor.last.weight, std=0.03)
    means = logits_of_noise(network, bands).mean(dim=(0, 1))
    with torch.no_grad():  # no class is likelier than another
        bias = network.classifier.last.bias.view(-1, len(classes))
        bias -= means
    return network


def score_quantile(network, bands, quantile):
    return float(torch.quantile(logits_of_noise(network, bands), quantile).sigmoid())


def logits_of_noise(network, bands):
    noise = torch.randn((1, bands, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return network(noise).logits


@pytest.fixture
def bands_of_one_row(monkeypatch):
    """Cut scenes into bands of one row of windows, so that small ones have several."""
    monkeypatch.setattr(window_plan, "_BAND_PIXELS", 1)
    monkeypatch.setattr(window_plan, "_BAND_BATCHES", 0)


@pytest.fixture
def said(caplog):
    """Return a function that lists what geodet's log said at a level, warnings unless told."""
    caplog.set_level(logging.INFO, logger="geodet")

    def texts(level=logging.WARNING):
        return [r.getMessage() for r in caplog.records if r.levelno == level]

    return texts


@pytest.fixture
def server(tmp_path):
    """Serve the files in ``tmp_path``."""
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def handles(monkeypatch):
    """Return the list of all handles of rasters that a test opens, in their order."""
    opened = []

    def open_and_note(path, **options):
        opened.append(open_source(path, **options))
        return opened[-1]

    monkeypatch.setattr(geodet.raster.source_access, "open_source", open_and_note)
    return opened
