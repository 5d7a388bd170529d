"""A training from beginning to end, and what it refuses."""

import math

import pytest
import torch
from factories_models import paint_chip, random_squares, write_tileset
from factories_training import (
    SQUARES,
    configured,
    read_log,
    small_fixture,  # noqa: F401 - a fixture
)
from overlaps import pairwise_iou
from safetensors.torch import load_file

from geodet.detection.predictor import build_predictor
from geodet.errors import OutputError
from geodet.models.checkpoint import load_checkpoint
from geodet.tilesets.displayed_images import read_chip
from geodet.tilesets.tileset import read_tileset
from geodet.training.run_folder import load_state
from geodet.training.train import run_training


@pytest.fixture(scope="module")
def tileset(tmp_path_factory):
    return write_tileset(tmp_path_factory.mktemp("tileset"))


@pytest.fixture(scope="module")
def run(tileset, tmp_path_factory):
    """Train once: the report of the run, the reports of its epochs."""
    epochs = []
    output = tmp_path_factory.mktemp("run") / "squares.safetensors"
    report = run_training(tileset, output, SQUARES, device="cpu", progress=epochs.append)
    return report, epochs


def test_training_lowers_the_loss(run):
    losses = [epoch.figures["loss"] for epoch in run[1]]
    assert losses[-1] < 0.3 * losses[0]


def test_the_model_finds_the_squares(run, tileset):
    report, _ = run
    assert report.best_f1 > 0.5
    model = load_checkpoint(report.model)
    predictor = build_predictor(model, SQUARES.detect, "cpu")
    images = read_tileset(tileset, SQUARES.data).split("val")
    hits = labels = 0
    for image in images:
        (decoded,) = predictor([read_chip(image, ())])
        iou = pairwise_iou(image.boxes, decoded.detections.boxes)
        hits += int((iou.max(axis=1, initial=0) >= 0.5).sum())
        labels += len(image.boxes)
    assert hits / labels > 0.5


def test_the_report_is_that_of_the_best_epoch(run):
    report, epochs = run
    figures = [epoch.figures["f1"] for epoch in epochs]
    assert report.best_f1 == max(figures) == figures[report.best_epoch - 1]
    assert [epoch.epoch for epoch in epochs] == list(range(1, 13))
    assert {epoch.epochs for epoch in epochs} == {12}
    assert report.seconds > 0


def test_the_model_describes_itself(run, tileset):
    report, epochs = run
    about = load_checkpoint(report.model).description
    assert (about.name, about.description) == ("squares", "painted squares")
    assert (about.classes, about.dtype, about.gsd) == (("square",), "uint8", 0.5)
    assert about.bands == ("red", "green", "blue")
    assert about.architecture == SQUARES.model.model_copy(update={"anchors": "given"})
    best = epochs[report.best_epoch - 1].figures
    names = ("f1", "precision", "recall", "score_threshold", "ap", "ap50")
    assert about.figures == {name: best[name] for name in names}
    assert about.score_threshold == best["score_threshold"]
    assert about.training == {
        "data": tileset.name,
        "train_images": 8,
        "train_objects": 24,
        "val_images": 4,
        "val_objects": 12,
        "best_epoch": report.best_epoch,
        "epochs": 12,
        "seed": 0,
    }


def test_a_run_leaves_a_log_a_state_and_a_board(run):
    report, epochs = run
    folder = report.model.with_suffix(".run")
    names = sorted(file.name.partition(".tfevents")[0] for file in folder.iterdir())
    logs = ["events.out", "log.csv", "report.html", "run.json"]
    assert names == ["best.safetensors", *logs, "state.pt"]
    assert sorted(file.name for file in folder.parent.iterdir()) == [folder.name, report.model.name]
    rows = read_log(report.model)
    assert [row["epoch"] for row in rows] == [str(n) for n in range(1, 13)]
    for row, epoch in zip(rows, epochs, strict=True):
        assert row.pop("run") == report.model.stem
        assert {k: float(v) for k, v in row.items() if k != "epoch"} == epoch.figures
    assert load_state(folder / "state.pt")["counts"]["epoch"] == 12


def test_the_same_seed_gives_the_same_model(small, tmp_path):
    models = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run_training(
            small, tmp_path / f"{name}.safetensors", configured(epochs=1, seed=seed), device="cpu"
        )
        models.append(load_file(tmp_path / f"{name}.safetensors"))
    first, again, other = models
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["backbone.stem.conv.weight"], other["backbone.stem.conv.weight"])


def test_an_existing_model_is_not_replaced_unasked(small, tmp_path):
    output = tmp_path / "a.safetensors"
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"a\.safetensors exists already") as caught:
        run_training(small, output, SQUARES, device="cpu")
    assert "--overwrite" in caught.value.hint
    assert output.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [output]
    run_training(small, output, configured(epochs=1), device="cpu", overwrite=True)
    assert load_checkpoint(output).description.name == "a"
    first, again = output.read_bytes(), configured(epochs=1, init=str(output))
    with pytest.raises(OutputError, match=r"a\.safetensors is an input and would be overwritten"):
        run_training(small, output, again, device="cpu", overwrite=True)
    assert output.read_bytes() == first


def test_an_eight_bit_file_of_that_name_is_not_replaced_unasked(small, tmp_path):
    (tmp_path / "a.int8.onnx").write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"a\.int8\.onnx exists already: a\.safetensors would"):
        run_training(small, tmp_path / "a.safetensors", configured(epochs=1), device="cpu")
    assert (tmp_path / "a.int8.onnx").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["model.pt", "model", "model.safetensors.bak"])
def test_a_model_of_another_suffix_is_refused(small, tmp_path, name):
    with pytest.raises(OutputError, match=f"cannot write a model to .*{name}") as caught:
        run_training(small, tmp_path / name, SQUARES, device="cpu")
    assert ".safetensors" in caught.value.hint


def test_a_model_in_a_missing_folder_is_refused(small, tmp_path):
    with pytest.raises(OutputError, match=r"no folder .*gone for a\.safetensors") as caught:
        run_training(small, tmp_path / "gone" / "a.safetensors", SQUARES, device="cpu")
    assert "create the folder first" in caught.value.hint


def test_a_file_in_the_place_of_the_runs_folder_is_an_error(small, tmp_path):
    (tmp_path / "a.run").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot create .*a\.run"):
        run_training(small, tmp_path / "a.safetensors", SQUARES, device="cpu")


def test_validation_runs_every_few_epochs_and_after_the_last(small, tmp_path):
    seen = []
    config = configured(epochs=3, validate_every=2)
    run_training(small, tmp_path / "a.safetensors", config, device="cpu", progress=seen.append)
    assert ["f1" in epoch.figures for epoch in seen] == [False, True, True]


def test_each_step_is_reported(small, tmp_path):
    steps = []
    run_training(
        small,
        tmp_path / "a.safetensors",
        configured(epochs=2),
        device="cpu",
        step_progress=steps.append,
    )
    assert [(s.epoch, s.step) for s in steps] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert {(s.epochs, s.steps) for s in steps} == {(2, 2)}
    assert all(s.loss > 0 and s.chips_per_second > 0 for s in steps)


def test_a_run_that_starts_from_a_model_knows_its_classes_by_name(tmp_path):
    first, then = tmp_path / "first.safetensors", tmp_path / "then.safetensors"
    data = write_tileset(tmp_path / "data", train=3, val=1, classes=("hut", "car"))
    run_training(data, first, configured(epochs=1), device="cpu")
    data = write_tileset(tmp_path / "more", train=3, val=1, classes=("car", "boat", "hut"))
    start = configured(epochs=1, init=str(first), learning_rate=1e-9)
    run_training(data, then, start, device="cpu")
    hut, car = load_file(first)["classifier.last.bias"].tolist()
    boat = -math.log(1 / start.train.prior - 1)
    biases = load_file(then)["classifier.last.bias"].tolist()
    assert biases == pytest.approx([car, boat, hut], abs=1e-5)
    assert hut != pytest.approx(car, abs=1e-4)


def test_a_run_that_starts_from_a_model_keeps_its_inputs(run, tmp_path):
    """Three images of a brighter day measure other statistics than the weights know."""
    first, _ = run
    brighter = write_tileset(tmp_path / "brighter", train=3, val=1)
    for number in range(3):
        paint_chip(brighter / f"train_{number}.png", random_squares(number), dark=40)

    def inputs(name, **changes):
        output = tmp_path / f"{name}.safetensors"
        run_training(brighter, output, configured(epochs=1, **changes), device="cpu")
        about = load_checkpoint(output).description
        return about.mean, about.std

    known = load_checkpoint(first.model).description
    assert inputs("later", init=str(first.model)) == (known.mean, known.std)
    assert inputs("alone") != (known.mean, known.std)
