"""A detection with an ONNX file, where PyTorch is not installed."""

import json
import subprocess
import sys

import pytest

from geodet.models.checkpoint import load_checkpoint
from geodet.onnx.export import export_model

SCRIPT = """
import importlib.machinery, sys


class Without(importlib.machinery.PathFinder):  # as if they were not installed
    @classmethod
    def find_spec(cls, name, *rest):
        return None if name in ("torch", "torchvision", "onnx") else super().find_spec(name, *rest)


sys.meta_path = [
    Without if one is importlib.machinery.PathFinder else one for one in sys.meta_path
]
from geodet_cli.main import run
try:
    run()
except SystemExit as left:
    code = left.code or 0
found = {name.split(".")[0] for name in sys.modules}
if sys.platform.startswith("linux"):
    status = open("/proc/self/status").read().split()
    print("peak kB", status[status.index("VmHWM:") + 1], file=sys.stderr)
print(sorted(found & {"torch", "torchvision", "onnx"}), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def geodet_without_torch(tmp_path):
    """Return a function that runs a command in a process that cannot import PyTorch."""

    def run(*words):
        command = [sys.executable, "-c", SCRIPT, *map(str, words)]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)

    return run


def test_an_onnx_file_detects(geodet_without_torch, make_scene, make_model, tmp_path):
    export_model(load_checkpoint(make_model()), tmp_path / "tiny.onnx", reader="plain")
    scene = make_scene(width=200, height=150)
    done = geodet_without_torch("detect", scene, "-o", "found.gpkg", "-m", "tiny.onnx", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert sum(report["labels"].values()) > 0
    assert (report["device"], report["precision"]) == ("cpu", "float32")
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_what_is_missing_is_named(geodet_without_torch, make_scene, make_model, device):
    words = ("detect", make_scene(), "-o", "found.gpkg", "-m", make_model(), "--device", device)
    done = geodet_without_torch(*words)
    assert done.returncode == 1
    wanted = {"auto": "needs the package torch", "cuda": "no device 'cuda'"}[device]
    assert wanted in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel for the peak")
def test_a_window_in_integers_takes_less_than_500_mib(geodet_without_torch, make_scene):
    scene = make_scene(width=1200, height=1100, bands=3)
    words = ("-m", "urban-trees", "--set", "detect.resample=false", "--json", "--device", "cpu")
    done = geodet_without_torch("detect", scene, "-o", "found.gpkg", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["precision"] == "int8"
    (line,) = (one for one in done.stderr.splitlines() if one.startswith("peak kB"))
    assert int(line.split()[-1]) < 500 * 1024, line
