"""A training changes nothing in the process of a library's user."""

import os
import random
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
import tensorboardX  # noqa: F401 - what a library sets on its first import is its own
import torch
from factories_training import (
    configured,
    small_fixture,  # noqa: F401 - a fixture
)

from geodet.training.pixel_variations import _import_albumentations
from geodet.training.train import run_training

LOADS_NOTHING = """
import sys
import geodet.detection.detect, geodet.models.checkpoint, geodet.onnx.export, geodet.training.train
print(sorted({"albumentations", "cv2", "tensorboardX"} & sys.modules.keys()))
"""

STARTS_LIGHTNING = """
import logging
{}
from geodet.training.distributed import launch_processes
launch_processes("bfloat16", "cpu")
"""

ASKS_NOBODY = """
import os, urllib.request
def refuse(*_, **__):
    raise SystemExit("asked the network")
urllib.request.urlopen = urllib.request.OpenerDirector.open = refuse
from geodet.training.pixel_variations import _import_albumentations
print(_import_albumentations().__name__, os.environ.get("NO_ALBUMENTATIONS_UPDATE"))
"""


def run_alone(script, **changes):
    env = {k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"} | changes
    return subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )


def print_of(script, **changes):
    return run_alone(script, **changes).stdout.strip()


def state_of_the_process():
    return {
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        "gradients": torch.is_grad_enabled(),
        "determinism": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "dtype": torch.get_default_dtype(),
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002 - the global one is meant
        "random": random.getstate(),
    }


def test_training_changes_neither_settings_nor_random_numbers_of_the_process(small, tmp_path):
    _import_albumentations()
    before = state_of_the_process()
    run_training(small, tmp_path / "a.safetensors", configured(epochs=1), device="cpu")
    assert state_of_the_process() == before


def test_libraries_that_only_training_needs_are_imported_when_it_runs():
    assert print_of(LOADS_NOTHING) == "[]"


@pytest.mark.parametrize(
    ("set_up", "speaks"),
    [("", False), ("logging.basicConfig()", False), ("logging.basicConfig(level='INFO')", True)],
)
def test_lightning_speaks_only_where_the_program_asks_for_it(set_up, speaks):
    told = run_alone(STARTS_LIGHTNING.format(set_up)).stderr
    assert ("Using bfloat16" in told) == speaks
    assert told == "" or speaks


def test_albumentations_is_imported_without_its_request_for_a_newer_version():
    assert print_of(ASKS_NOBODY) == "albumentations None"
    assert print_of(ASKS_NOBODY, NO_ALBUMENTATIONS_UPDATE="0") == "albumentations 0"
