"""Tilesets that are small, empty, crowded or without a part."""

import json
import logging
import math

import numpy as np
import pytest
import torch
from factories_models import paint_chip, write_coco, write_tileset
from factories_training import configured, read_log, read_state
from PIL import Image
from readings_html import read_page, text_of
from safetensors.torch import load_file

from geodet.errors import TilesetError
from geodet.models.checkpoint import load_checkpoint
from geodet.training.train import run_training


def one_epoch(data, folder, **changes):
    config = configured(epochs=1, **changes)
    return run_training(data, folder / "a.safetensors", config, device="cpu")


def test_a_class_without_objects_stays_a_class(tmp_path):
    data = write_tileset(tmp_path / "data", train=2, val=1, classes=("square", "ghost"))
    for name in ("train.json", "val.json"):
        labels = json.loads((data / name).read_text())
        for entry in labels["annotations"]:
            entry["category_id"] = 1
        (data / name).write_text(json.dumps(labels))
    report = one_epoch(data, tmp_path, class_weights="balanced")
    assert load_checkpoint(report.model).description.classes == ("square", "ghost")


def test_training_on_one_image_writes_a_model(tmp_path):
    data = write_tileset(tmp_path / "data", train=1, val=0)
    report = one_epoch(data, tmp_path, batch_size=16)
    assert load_checkpoint(report.model).description.training["train_images"] == 1


def test_an_image_without_a_split_trains_without_validation(tmp_path, caplog):
    data = write_tileset(tmp_path / "data", train=1, val=0)
    (data / "val.json").unlink()
    (data / "train.json").rename(data / "labels.json")
    config = configured(epochs=1)
    output = tmp_path / "a.safetensors"
    with pytest.raises(TilesetError, match="there is one image") as caught:
        run_training(data, output, config, device="cpu")
    assert "data.val_fraction=0" in caught.value.hint
    without = config.data.model_copy(update={"val_fraction": 0.0})
    with caplog.at_level(logging.INFO):
        report = run_training(
            data, output, config.model_copy(update={"data": without}), device="cpu"
        )
    assert "no split of its own, data.val_fraction = 0: 1 train, 0 val" in caplog.text
    assert "no validation to choose the best epoch and the score threshold" in caplog.text
    assert report.best_f1 == -1
    assert load_checkpoint(report.model).description.score_threshold == 0.3


def test_images_without_any_object_are_an_error(tmp_path):
    data = tmp_path / "data"
    paint_chip(data / "a.png")
    paint_chip(data / "b.png")
    write_coco(data / "train.json", {"a.png": [], "b.png": []})
    with pytest.raises(TilesetError, match=r"no objects in its \d training images") as caught:
        one_epoch(data, tmp_path)
    assert "labels" in caught.value.hint
    assert not list(tmp_path.glob("a.*"))


def test_odd_boxes_and_sizes_train(tmp_path, caplog):
    """A box without area, one twice, images of several sizes, some smaller than a chip, no val."""
    data, sizes = tmp_path / "data", {"small.png": 40, "fit.png": 64, "big.png": 150}
    square = [8, 8, 20, 20]
    boxes = {"small.png": [square, square], "fit.png": [square, [30, 30, 30, 40]], "big.png": []}
    for name, size in sizes.items():
        paint_chip(data / name, [square], size=(size, size))
    paint_chip(data / "empty.png")
    write_coco(data / "train.json", boxes)
    write_coco(data / "val.json", {"empty.png": []})
    labels = json.loads((data / "train.json").read_text())
    for entry in labels["images"]:
        entry["width"] = entry["height"] = sizes[entry["file_name"]]
    (data / "train.json").write_text(json.dumps(labels))
    caplog.set_level(logging.WARNING, logger="geodet")
    report = one_epoch(data, tmp_path)
    assert "1 boxes have no area" in caplog.text
    assert load_checkpoint(report.model).description.training["train_objects"] == 3
    assert math.isfinite(float(read_log(report.model)[0]["loss"]))
    assert report.best_f1 == -1  # nothing to find


def test_five_thousand_boxes_in_a_chip_train(tmp_path):
    data = tmp_path / "data"
    corners = np.stack(np.meshgrid(np.arange(71), np.arange(71)), axis=-1).reshape(-1, 2)[:5000]
    crowd = np.concatenate([corners, corners + 3], axis=1) * (64 / 74)
    paint_chip(data / "a.png")
    paint_chip(data / "b.png")
    write_coco(data / "train.json", {"a.png": crowd})
    write_coco(data / "val.json", {"b.png": []})
    report = one_epoch(data, tmp_path)
    assert load_checkpoint(report.model).description.training["train_objects"] == 5000


def test_without_validation_images_the_last_weights_are_kept(tmp_path):
    data = write_tileset(tmp_path / "data", train=2, val=0)
    report = run_training(data, tmp_path / "a.safetensors", configured(epochs=2), device="cpu")
    assert (report.best_epoch, report.best_f1) == (2, -1.0)
    about = load_checkpoint(report.model).description
    assert (about.score_threshold, about.figures) == (0.3, {})
    state = read_state(report.model)
    key = "classifier.last.bias"
    torch.testing.assert_close(load_file(report.model)[key], state["averaged"][f"module.{key}"])


def test_validation_images_without_an_object_choose_nothing(tmp_path, caplog):
    data = write_tileset(tmp_path / "data", train=2, val=1)
    labels = json.loads((data / "val.json").read_text())
    (data / "val.json").write_text(json.dumps(labels | {"annotations": []}))
    report = run_training(data, tmp_path / "a.safetensors", configured(epochs=2), device="cpu")
    assert (report.best_epoch, report.best_f1) == (2, -1.0)
    about = load_checkpoint(report.model).description
    assert (about.score_threshold, about.figures) == (0.3, {})
    assert "has no objects in its 1 validation images" in caplog.text
    assert "no validation to choose the best epoch and the score threshold" in caplog.text
    titles = [text_of(title) for title in read_page(report.report).iter("h2")]
    assert titles == ["Training", "Data", "How it was made"]
    assert [row for row in read_log(report.model) if row.get("val_loss")] == []


def test_a_run_without_validation_is_never_stale(tmp_path):
    data = write_tileset(tmp_path / "data", train=2, val=0)
    config = configured(epochs=3, patience=1)
    report = run_training(data, tmp_path / "a.safetensors", config, device="cpu")
    assert (report.epochs, report.stopped_early) == (3, False)


@pytest.mark.parametrize(("bands", "is_said"), [((), True), ((1, 2, 3, 4), False)])
def test_imagery_that_is_flagged_as_alpha_is_warned_of(tmp_path, caplog, bands, is_said):
    data = write_tileset(tmp_path / "data", train=2, val=1)
    values = np.random.default_rng(0).integers(0, 200, (4, 64, 64), np.uint8)
    for path in data.rglob("*.png"):
        with Image.open(path) as opened:
            pixels = np.asarray(opened)
        mode = np.dstack([pixels.reshape(64, 64, -1)[..., :3], values[3]])
        Image.fromarray(mode, "RGBA").save(path)
    config = configured(epochs=1)
    config = config.model_copy(update={"data": config.data.model_copy(update={"bands": bands})})
    run_training(data, tmp_path / "a.safetensors", config, device="cpu")
    said = [one for one in caplog.messages if "band 4 of the training images is flagged" in one]
    assert [one.endswith("data.bands=[1,2,3,4] reads it") for one in said] == [True] * is_said
