"""What a program that imports geodet and detects keeps: its settings, and a short start."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, sys, warnings, logging, signal, locale
import numpy as np


def settings():
    import rasterio, torch
    from rasterio.env import getenv, hasenv
    from pyogrio import get_gdal_config_option
    options = ("GDAL_CACHEMAX", "GDAL_NUM_THREADS", "OGR_SQLITE_SYNCHRONOUS", "VRT_SHARED_SOURCE",
               "GDAL_DISABLE_READDIR_ON_OPEN", "OGR_SQLITE_CACHE", "SQLITE_USE_OGR_VFS")
    return {
        "environment": dict(os.environ),
        "rasterio": [hasenv(), repr(getenv()) if hasenv() else ""],
        "gdal": {name: get_gdal_config_option(name) for name in options},
        "torch": [torch.get_num_threads(), torch.get_num_interop_threads(), torch.is_grad_enabled(),
                  str(torch.get_default_dtype()), torch.backends.cudnn.benchmark,
                  torch.are_deterministic_algorithms_enabled(), torch.initial_seed(),
                  torch.get_float32_matmul_precision()],
        "warnings": [str(one) for one in warnings.filters],
        "numpy": [np.geterr(), repr(np.random.get_state()[1][:5])],
        "logging": [logging.root.level, len(logging.root.handlers), logging.lastResort.level],
        "signals": [str(signal.getsignal(signal.SIGINT)), str(signal.getsignal(signal.SIGTERM))],
        "paths": [sys.path, sys.excepthook is sys.__excepthook__, os.getcwd(), locale.setlocale(0)],
    }


if sys.argv[1] == "settings":
    # What the import of other libraries changes is not ours.
    import geopandas, pyarrow, pyogrio, rasterio, scipy.sparse, scipy.special, torch, torchvision
before = settings() if sys.argv[1] == "settings" else None
import geodet
from geodet.config import DetectConfig
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.models.checkpoint import load_checkpoint

options = DetectOptions(device="cpu", preview=None)
from pathlib import Path
folder = Path(sys.argv[2])
report = detect_to_files(
    [folder / "scene.tif"], [folder / "out.gpkg"], load_checkpoint(folder / sys.argv[3]),
    DetectConfig(precision="float32"), options,
)
assert sum(report.labels.values()) > 0
after = settings() if before else None
print(json.dumps({"before": before, "after": after, "modules": sorted(sys.modules)}))
"""

NOT_NEEDED = (
    "albumentations",
    "cv2",
    "tensorboardX",
    "matplotlib",
    "faster_coco_eval",
    "onnx",
    "onnxruntime",
    "lightning_fabric",
    "typer",
)


@pytest.fixture
def detect_in_a_process(make_scene, make_model, tmp_path):
    """Return a function that detects in a process of its own and returns what that prints."""
    make_scene(width=200, height=150)

    def run(what):
        command = [sys.executable, "-c", SCRIPT, what, str(tmp_path), str(make_model())]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_the_settings_of_the_process_are_left_alone(detect_in_a_process):
    found = detect_in_a_process("settings")
    for what, before in found["before"].items():
        assert found["after"][what] == before, what


def test_a_detection_loads_nothing_that_it_does_not_need(detect_in_a_process):
    modules = detect_in_a_process("modules")["modules"]
    assert {name.split(".")[0] for name in modules} & set(NOT_NEEDED) == set()
    own = [name for name in modules if name.split(".")[0] == "geodet"]
    print(f"one detection imports {len(own)} modules of geodet")
    assert len(own) < 250  # of some 480
