"""Detections on labelled images of any size."""

import numpy as np
import pytest
import torch
from factories_models import architecture, labelled, painted, seeded_network, write_pixels
from pretended_predictor import AtOnce

import geodet.evaluation.evaluated_chips
from geodet.config import DetectConfig
from geodet.detection.predictor import Predictor
from geodet.detection.scene_run import detect_scene
from geodet.errors import ModelFileError
from geodet.evaluation.evaluated_chips import choose_input_values, predict_images
from geodet.geometry.boxes import Detections
from geodet.models.decode import Decoded
from geodet.models.input_values import InputValues
from geodet.models.torch_engine import TorchEngine
from geodet.raster.scene import Scene


class BrightnessSeer(AtOnce, Predictor):
    """Finds a box around each bright 8 x 8 px square, and records the sizes of the chips."""

    def __init__(self):
        super().__init__(
            TorchEngine(seeded_network(architecture()), torch.device("cpu"), torch.float32),
            values=InputValues((0.0,) * 3, (1.0,) * 3),
            score_threshold=0.1,
            iou_threshold=0.5,
            max_candidates=1000,
        )
        self.sizes = []

    def __call__(self, chips):
        self.sizes += [chip.pixels.shape[1:] for chip in chips]
        return [Decoded(_bright_squares(chip.pixels[0]), 0) for chip in chips]


def _bright_squares(band):
    bright = np.pad(band > 200, 1)
    corner = bright[1:, 1:] & ~bright[:-1, 1:] & ~bright[1:, :-1]
    rows, columns = np.nonzero(corner)
    boxes = np.stack([columns, rows, columns + 8, rows + 8], axis=1)
    return Detections(boxes, np.full(len(boxes), 0.9), np.zeros(len(boxes)))


SQUARES = [[x, y, x + 8, y + 8] for x in (3, 28, 60, 90) for y in (3, 30, 62)]


def sorted_boxes(detections):
    return sorted(detections.boxes.tolist())


@pytest.mark.parametrize("limit", [128 * 96, 128 * 96 - 1])
def test_windows_of_large_images_give_the_same_detections(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(geodet.evaluation.evaluated_chips, "_WHOLE_PIXELS", limit)
    image = painted(tmp_path / "a.png", SQUARES, size=(128, 96))
    seer = BrightnessSeer()
    config = DetectConfig(chip_size=48, overlap=16)
    (found,) = predict_images(seer, [image], (), config)
    assert sorted_boxes(found) == sorted(SQUARES)
    whole = limit == 128 * 96
    assert max(seer.sizes) == ((96, 128) if whole else (44, 44))  # aligned, of at most 48


def test_large_images_are_read_in_the_windows_of_detect(tmp_path, monkeypatch):
    monkeypatch.setattr(geodet.evaluation.evaluated_chips, "_WHOLE_PIXELS", 1)
    image = painted(tmp_path / "a.png", SQUARES, size=(128, 96))
    config = DetectConfig(chip_size=64, overlap=8)
    (found,) = predict_images(BrightnessSeer(), [image], (1, 2, 3), config)
    with Scene(image.path) as scene:
        expected = detect_scene(scene, BrightnessSeer(), config).detections
    assert found.boxes.tolist() == expected.boxes.tolist()


def test_detections_stay_with_their_image(tmp_path, monkeypatch):
    monkeypatch.setattr(geodet.evaluation.evaluated_chips, "_WHOLE_PIXELS", 70 * 70)
    sizes = [(64, 64), (128, 96), (64, 64), (64, 64)]
    images = [
        painted(tmp_path / f"{n}.png", [[n, 2, n + 8, 10]], size=size)
        for n, size in enumerate(sizes)
    ]
    config = DetectConfig(chip_size=64, overlap=16)
    found = predict_images(BrightnessSeer(), images, (), config)
    assert [part.boxes[0, 0] for part in found] == [0, 1, 2, 3]


@pytest.mark.parametrize("limit", [1, 10**6])
def test_images_of_any_size_with_other_bands_are_refused(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(geodet.evaluation.evaluated_chips, "_WHOLE_PIXELS", limit)
    image = painted(tmp_path / "a.png", bands=1)
    with pytest.raises(ModelFileError, match=r"a\.png has 1 bands, and the model needs 3"):
        predict_images(BrightnessSeer(), [image], ())


def test_the_value_range_comes_from_evenly_spread_images(tmp_path, tiny_model, monkeypatch):
    """Of three images, the first and the third are read."""
    monkeypatch.setattr(geodet.evaluation.evaluated_chips, "_SAMPLED", 2)
    pixels = np.random.default_rng(0).integers(60, 190, (3, 3, 32, 32), np.uint8) // [
        [[[1]]],
        [[[2]]],
        [[[3]]],
    ]
    images = [
        labelled(write_pixels(tmp_path / f"{n}.png", one.astype(np.uint8)))
        for n, one in enumerate(pixels)
    ]
    about, config = tiny_model.description, DetectConfig(value_range="scene")
    values = choose_input_values(images, (), about, config, name="set")
    looked_at = np.concatenate(pixels[::2], axis=2).reshape(3, -1)
    gain = (np.array(values.high) - values.low) / 255
    np.testing.assert_allclose(gain, looked_at.std(axis=1).mean() / np.mean(about.std), 1e-3)
    np.testing.assert_allclose(np.mean(about.mean) * gain + values.low, looked_at.mean(), 1e-3)
    assert choose_input_values(images, (1,), about, config, name="set") is None


def test_images_of_several_data_types_are_not_rescaled(tmp_path, tiny_model, said):
    images = [painted(tmp_path / "a.png"), painted(tmp_path / "b.tif", dtype="uint16")]
    for value_range in ("scene", None, (0, 99)):
        config = DetectConfig(value_range=value_range)
        assert choose_input_values(images, (), tiny_model.description, config, name="set") is None
    assert said() == ["set: the images hold uint16 and uint8 values, which are not rescaled"] * 2
