from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from factories_models import architecture, write_tileset
from factories_training import SQUARES
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from geodet.config import Config
from geodet.detection.predictor import build_predictor
from geodet.errors import ConfigError, TilesetError
from geodet.geometry.oriented_boxes import hulls, oriented_corners, oriented_of_boxes
from geodet.models.box_coding import encode_oriented
from geodet.models.checkpoint import load_checkpoint
from geodet.models.engine import Outputs
from geodet.tilesets.displayed_images import read_chip
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.tileset import read_tileset
from geodet.training.augmentation import Crop, share_oriented
from geodet.training.boxes_to_learn import with_boxes_to_learn
from geodet.training.losses import Target
from geodet.training.objective import build_loss
from geodet.training.train import run_training

SHIP = np.array([[30.0, 20.0, 24.0, 8.0, 0.5]])
crops = st.builds(
    Crop,
    st.integers(-20, 20),
    st.integers(-20, 20),
    st.integers(16, 64),
    st.integers(16, 64),
    st.integers(0, 3),
    st.booleans(),
)


@given(crops)
def test_oriented_boxes_move_as_axis_aligned_ones(crop):
    boxes = np.array([[4.0, 6, 20, 12], [0, 0, 3, 30]])
    moved = crop.move_oriented(oriented_of_boxes(boxes))
    np.testing.assert_allclose(hulls(moved), crop.move(boxes), atol=1e-9)


@given(crops, st.floats(-1.5, 1.5))
def test_oriented_boxes_turn_with_the_pixels(crop, angle):
    crop = replace(crop, angle=angle)
    corners = oriented_corners(SHIP)[0]
    as_points = np.hstack([corners, corners])  # boxes without an extent
    np.testing.assert_allclose(
        np.sort(crop.move(as_points)[:, :2], axis=0),
        np.sort(oriented_corners(crop.move_oriented(SHIP))[0], axis=0),
        atol=1e-9,
    )


def test_axis_aligned_boxes_of_turned_crops_are_the_bounds_of_the_turned_object():
    crop = Crop(0, 0, 64, 64, angle=-0.5)
    moved = crop.move(hulls(SHIP), SHIP)
    np.testing.assert_allclose(moved[0, 2:] - moved[0, :2], [24, 8])
    loose = crop.move(hulls(SHIP))
    assert np.prod(loose[0, 2:] - loose[0, :2]) > 2.5 * 24 * 8


def test_a_sliver_of_an_oriented_box_is_no_object():
    rows = np.repeat(SHIP, 3, axis=0)
    rows[:, 0] = 30, -10, 58
    seen, is_object = share_oriented(rows, (0, 0, 64, 64), whole=False)
    assert is_object.tolist() == [True, False, True]
    assert seen[2, 2] < 24
    assert seen[2, 4] == pytest.approx(0.5)


@pytest.mark.parametrize("loss", ["smooth_l1", "l1"])
def test_the_box_loss_is_least_for_the_right_angle(loss):
    config = Config(model=architecture(boxes="oriented"), train={"box_loss": loss})
    compute = build_loss(config.train, config.model, class_counts=[1])
    anchors = torch.tensor([[18.0, 8, 42, 32]])
    goal = torch.tensor(SHIP, dtype=torch.float32)
    target = Target(torch.tensor(hulls(SHIP)).float(), torch.tensor([0]), torch.zeros(0, 4), goal)

    def box_loss(angle):
        turned = goal + torch.tensor([0, 0, 0, 0, angle])
        deltas = encode_oriented(turned, anchors)[None]
        return float(compute(Outputs(torch.zeros(1, 1, 1), deltas, anchors), [target]).box)

    assert box_loss(0.0) == pytest.approx(0, abs=1e-6)
    assert 0 < box_loss(0.1) < box_loss(0.3)


def test_a_loss_of_axis_aligned_boxes_is_refused():
    with pytest.raises(ConfigError, match="choose smooth_l1 or l1"):
        Config(model={"boxes": "oriented"}, train={"box_loss": "giou"})


def test_labels_without_angles_are_refused_and_others_completed():
    nothing, one = np.zeros((0, 4)), np.zeros(1, np.int64)
    boxes = np.array([[0.0, 0, 9, 4]])
    plain = LabelledImage(Path("a.png"), 64, 64, boxes, one, nothing, "a", "train", None)
    tileset = Tileset(Path("tiles"), ("ship",), (plain,))
    config = Config(model={"boxes": "oriented"}).model
    assert with_boxes_to_learn(tileset, Config().model) is tileset
    with pytest.raises(TilesetError, match="no oriented boxes"):
        with_boxes_to_learn(tileset, config)
    ship = replace(plain, boxes=hulls(SHIP) + 1, oriented=SHIP)
    both = with_boxes_to_learn(replace(tileset, images=(plain, ship)), config)
    np.testing.assert_allclose(both.images[0].oriented, [[4.5, 2, 9, 4, 0]])
    np.testing.assert_allclose(both.images[1].boxes, hulls(SHIP))


def write_bars(folder, count=4):
    """Write images of bright bars at angles, labelled as YOLO-OBB."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("bar\n")
    for number in range(count):
        image = Image.new("RGB", (64, 64), (30, 30, 30))
        rows = [[x, 32, 26, 9, random.uniform(-1.5, 1.5)] for x in (18, 46)]
        quads = oriented_corners(np.array(rows))
        for quad in quads:
            ImageDraw.Draw(image).polygon(list(map(tuple, quad)), fill=(220, 220, 220))
        image.save(folder / "images" / f"{number}.png")
        lines = [f"0 {' '.join(map(str, (quad / 64).ravel()))}\n" for quad in quads]
        (folder / "labels" / f"{number}.txt").write_text("".join(lines))
    return folder


def test_a_run_writes_a_model_of_oriented_boxes(tmp_path):
    config = SQUARES.model_copy(update={"model": architecture(boxes="oriented")})
    config = config.model_copy(
        update={"train": config.train.model_copy(update={"epochs": 1, "int8": False})}
    )
    report = run_training(write_bars(tmp_path / "bars"), tmp_path / "bars.safetensors", config)
    model = load_checkpoint(report.model)
    assert model.description.architecture.boxes == "oriented"
    predictor = build_predictor(model, config.detect, "cpu", score_threshold=0.01)
    images = read_tileset(tmp_path / "bars", config.data, part="all").images
    (decoded,) = predictor([read_chip(images[0], ())])
    assert decoded.detections.oriented.shape == (len(decoded.detections), 5)
    with pytest.raises(TilesetError, match="no oriented boxes"):
        run_training(write_tileset(tmp_path / "squares"), tmp_path / "no.safetensors", config)
