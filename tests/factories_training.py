"""Short trainings on painted squares, and what a run leaves behind."""

import csv

import pytest
from factories_models import architecture, write_tileset

from geodet.config import Config
from geodet.training.packed_boxes import PackedBoxes
from geodet.training.run_folder import load_state

SQUARES = Config.model_validate(
    {
        "model": architecture((2, 2), 2, anchor_sizes=(12.0,)).model_dump(),
        "data": {"gsd": 0.5},
        "augment": {"scale": 0.05, "blur": 0.0},
        "train": {
            "epochs": 12,
            "batch_size": 2,
            "chip_size": 64,
            "learning_rate": 0.01,
            "weight_decay": 0.0,
            "warmup": 0.1,
            "clip_norm": 10.0,
            "ema_decay": 0.8,
            "precision": "float32",
            "description": "painted squares",
        },
    }
)


def configured(**changes):
    return SQUARES.model_copy(update={"train": SQUARES.train.model_copy(update=changes)})


@pytest.fixture(name="small", scope="module")
def small_fixture(tmp_path_factory):
    """Provide a tileset of three images to train on and one to validate with."""
    return write_tileset(tmp_path_factory.mktemp("small"), train=3, val=1)


def read_log(output):
    with (output.with_suffix(".run") / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read_state(output):
    return load_state(output.with_suffix(".run") / "state.pt")


class PowerCutError(Exception):
    """What ends a run in the middle."""


def cut_after(epoch):
    def progress(report):
        if report.epoch == epoch:
            raise PowerCutError

    return progress


def for_one_chip(assigner):
    """Return an assigner of a single chip: of anchors by level, objects and regions."""

    def assign(levels, boxes, ignored):
        return assigner(levels, PackedBoxes([boxes]), PackedBoxes([ignored]))[0]

    return assign
