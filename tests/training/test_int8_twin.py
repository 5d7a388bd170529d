"""The eight-bit file at the end of a training."""

import numpy as np
import pytest
import rasterio
from factories_models import random_squares, write_coco, write_pixels, write_tileset
from factories_tilesets import NORTH_UP
from factories_training import SQUARES, configured

import geodet.training.int8_twin
import geodet.training.training_page
from geodet.errors import ModelFileError
from geodet.files.outputs import int8_path
from geodet.onnx.backend import build_engine, load_model
from geodet.training.train import run_training


@pytest.fixture(scope="module")
def tileset(tmp_path_factory):
    return write_tileset(tmp_path_factory.mktemp("tileset"))


def train(tileset, output, config, monkeypatch):
    monkeypatch.setattr("geodet.training.int8_twin.can_write_int8", lambda: True)
    return run_training(tileset, output, config, device="cpu", overwrite=True)


def test_a_model_that_learnt_gets_its_eight_bit_file(tileset, tmp_path, monkeypatch):
    output = tmp_path / "squares.safetensors"
    report = train(tileset, output, SQUARES, monkeypatch)
    assert report.int8 == int8_path(output)
    assert build_engine(load_model(output), "int8", "cpu").precision == "int8"


def test_one_whose_eight_bits_find_something_else_has_none(tileset, tmp_path, monkeypatch, said):
    output = tmp_path / "squares.safetensors"
    int8_path(output).write_bytes(b"of other weights")
    monkeypatch.setattr("geodet.evaluation.int8_export._LEAST_AGREEMENT", 1.01)
    report = train(tileset, output, configured(epochs=2), monkeypatch)
    assert report.int8 is None
    assert not int8_path(output).exists()
    assert any("no eight-bit file of squares.safetensors: " in line for line in said())


def test_a_setting_turns_it_off(tileset, tmp_path, monkeypatch):
    int8_path(tmp_path / "a.safetensors").write_bytes(b"of other weights")
    report = train(
        tileset, tmp_path / "a.safetensors", configured(epochs=1, int8=False), monkeypatch
    )
    assert report.int8 is None
    assert not int8_path(tmp_path / "a.safetensors").exists()


def test_the_chips_of_a_training_are_read_as_it_read_them(tmp_path, monkeypatch):
    """By position, although ``data.band_names`` calls the bands otherwise than the chips do."""
    read = []

    def stop(*given, **_):
        read.append(given[3].data.bands)
        raise ModelFileError("seen", hint="", name="squares")

    for part in ("train", "val"):
        path, boxes = tmp_path / "tiles" / f"{part}.tif", random_squares(0)
        pixels = np.random.default_rng(0).integers(0, 255, (3, 64, 64), np.uint8)
        write_pixels(path, pixels, transform=NORTH_UP, crs="EPSG:32610")
        with rasterio.open(path, "r+") as raster:
            raster.descriptions = ("blue", "green", "red")
        write_coco(path.with_suffix(".json"), {path.name: boxes})
    monkeypatch.setattr(geodet.training.int8_twin, "export_int8", stop)
    monkeypatch.setattr(geodet.training.training_page, "detect_images", stop)
    named = SQUARES.data.model_copy(update={"band_names": ("red", "green", "blue")})
    config = configured(epochs=1).model_copy(update={"data": named})
    train(tmp_path / "tiles", tmp_path / "squares.safetensors", config, monkeypatch)
    assert read == [(1, 2, 3)] * 2
