import csv
import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from factories_models import architecture, paint_chip, write_coco, write_tileset
from safetensors.torch import load_file

import geodet.train
import geodet.training.selection
from geodet.boxes import pairwise_iou
from geodet.config import Config
from geodet.engine.inference import build_predictor
from geodet.errors import OutputError, TilesetError, TrainingError
from geodet.evaluation.metrics import Scores
from geodet.models.checkpoint import load_model
from geodet.models.losses import Losses
from geodet.tilesets.tileset import read_chip, read_tileset
from geodet.train import train
from geodet.training.runs import load_state

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


@pytest.fixture(scope="module")
def tileset(tmp_path_factory):
    return write_tileset(tmp_path_factory.mktemp("tileset"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_tileset(tmp_path_factory.mktemp("small"), train=3, val=1)


@pytest.fixture(scope="module")
def run(tileset, tmp_path_factory):
    """Train once: the report of the run, the reports of its epochs."""
    epochs = []
    output = tmp_path_factory.mktemp("run") / "squares.safetensors"
    report = train(tileset, output, SQUARES, device="cpu", progress=epochs.append)
    return report, epochs


def read_log(output):
    with (output.with_suffix(".run") / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_loss_falls(run):
    losses = [epoch.figures["loss"] for epoch in run[1]]
    assert losses[-1] < 0.3 * losses[0]


def test_the_model_finds_the_squares(run, tileset):
    report, _ = run
    assert report.best_f1 > 0.5
    model = load_model(report.model)
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
    about = load_model(report.model).description
    assert (about.name, about.description) == ("squares", "painted squares")
    assert (about.classes, about.dtype, about.gsd) == (("square",), "uint8", 0.5)
    assert about.bands == ("red", "green", "blue")
    assert about.architecture == SQUARES.model
    best = epochs[report.best_epoch - 1].figures
    assert about.figures == {k: best[k] for k in ("f1", "precision", "recall", "score_threshold")}
    assert about.score_threshold == best["score_threshold"]
    assert about.training == {
        "data": tileset.name,
        "train_images": 8,
        "train_objects": 24,
        "val_images": 4,
        "val_objects": 12,
        "epochs": 12,
        "seed": 0,
    }


def test_a_run_leaves_a_log_a_state_and_a_board(run):
    report, epochs = run
    folder = report.model.with_suffix(".run")
    names = sorted(file.name.partition(".tfevents")[0] for file in folder.iterdir())
    assert names == ["events.out", "log.csv", "state.pt"]
    assert sorted(file.name for file in folder.parent.iterdir()) == [folder.name, report.model.name]
    rows = read_log(report.model)
    assert [row["epoch"] for row in rows] == [str(n) for n in range(1, 13)]
    for row, epoch in zip(rows, epochs, strict=True):
        assert {k: float(v) for k, v in row.items() if k != "epoch"} == epoch.figures
    assert load_state(folder / "state.pt")["counts"]["epoch"] == 12


class _PowerCutError(Exception):
    pass


def cut_after(epoch):
    def progress(report):
        if report.epoch == epoch:
            raise _PowerCutError

    return progress


@pytest.mark.parametrize("changes", [{}, {"optimizer": "sgd", "workers": 1, "validate_every": 3}])
def test_a_resumed_run_ends_like_an_uninterrupted_one(small, tmp_path, changes):
    config = configured(epochs=4, **changes)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    reference = train(small, whole, config, device="cpu")
    with pytest.raises(_PowerCutError, match=r"^$"):
        train(small, parts, config, device="cpu", progress=cut_after(2))
    seen = []
    report = train(small, parts, config, device="cpu", resume=True, progress=seen.append)
    assert [epoch.epoch for epoch in seen] == [3, 4]
    assert (report.best_epoch, report.best_f1) == (reference.best_epoch, reference.best_f1)
    states = [load_state(p.with_suffix(".run") / "state.pt") for p in (whole, parts)]
    for part in ("network", "averaged"):
        for key, value in states[0][part].items():
            torch.testing.assert_close(states[1][part][key], value, rtol=0, atol=1e-6)
    a, b = load_file(whole), load_file(parts)
    assert all(torch.equal(a[key], b[key]) for key in a)
    kept = ("epoch", "loss", "learning_rate", "f1")
    logs = [[[row[k] for k in kept] for row in read_log(path)] for path in (whole, parts)]
    assert logs[0] == logs[1]


def test_resuming_a_finished_run_changes_nothing(small, tmp_path):
    output = tmp_path / "a.safetensors"
    first = train(small, output, configured(epochs=1), device="cpu")
    before = output.read_bytes()
    again = train(small, output, configured(epochs=1), device="cpu", resume=True)
    assert (again.best_epoch, again.best_f1) == (first.best_epoch, first.best_f1)
    assert output.read_bytes() == before
    assert len(read_log(output)) == 1


def test_the_same_seed_gives_the_same_model(small, tmp_path):
    models = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(
            small, tmp_path / f"{name}.safetensors", configured(epochs=1, seed=seed), device="cpu"
        )
        models.append(load_file(tmp_path / f"{name}.safetensors"))
    first, again, other = models
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["trunk.stem.conv.weight"], other["trunk.stem.conv.weight"])


def break_loss(monkeypatch, value, *, steps):
    """Let the loss become a value that is not finite in some steps, counted from 1."""
    original, done = geodet.train.build_criterion, []

    def build(*args, **counts):
        criterion = original(*args, **counts)

        def compute(outputs, targets):
            losses = criterion(outputs, targets)
            done.append(1)
            return Losses(losses.box * value, losses.box) if len(done) in steps else losses

        return compute

    monkeypatch.setattr(geodet.train, "build_criterion", build)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(small, tmp_path, monkeypatch, value):
    output = tmp_path / "a.safetensors"
    break_loss(monkeypatch, value, steps=range(3, 99))  # two steps an epoch
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) in epoch 2") as caught:
        train(small, output, configured(epochs=3), device="cpu")
    assert "train.learning_rate" in caught.value.hint
    assert load_model(output).description.name == "a"
    assert load_state(output.with_suffix(".run") / "state.pt")["counts"]["epoch"] == 1
    assert len(read_log(output)) == 1


def test_a_lone_step_that_is_not_finite_is_skipped(small, tmp_path, monkeypatch, caplog):
    output, seen = tmp_path / "a.safetensors", []
    caplog.set_level(logging.WARNING, logger="geodet")
    break_loss(monkeypatch, float("nan"), steps=[1, 4])  # two steps an epoch
    train(small, output, configured(epochs=3), device="cpu", progress=seen.append)
    assert [epoch.figures["skipped_steps"] for epoch in seen] == [1, 1, 0]
    assert all(math.isfinite(epoch.figures["loss"]) for epoch in seen)
    assert "the loss became nan in epoch 1: the step is skipped" in caplog.text
    state = load_state(output.with_suffix(".run") / "state.pt")
    assert state["schedule"]["last_epoch"] == 4
    assert state["network"]["trunk.stem.norm.num_batches_tracked"] == 4
    assert all(value.isfinite().all() for value in state["averaged"].values())


def test_pixels_that_are_not_finite_cost_one_step(small, tmp_path, monkeypatch):
    """They reach the norms' statistics before the loss tells."""
    original, done = geodet.train.standardise, []

    def standardise(*args):
        done.append(1)
        return original(*args) * (float("inf") if len(done) == 2 else 1)

    monkeypatch.setattr(geodet.train, "standardise", standardise)
    output = tmp_path / "a.safetensors"
    train(small, output, configured(epochs=1), device="cpu")
    state = load_state(output.with_suffix(".run") / "state.pt")
    assert all(value.isfinite().all() for value in state["network"].values())
    assert state["schedule"]["last_epoch"] == 1


@pytest.mark.parametrize("rate", [1e10, 1e38])
def test_a_huge_learning_rate_stops_the_run(small, tmp_path, rate):
    with pytest.raises(TrainingError, match=r"the \w+ became \S+ in epoch \d") as caught:
        train(small, tmp_path / "a.safetensors", configured(learning_rate=rate), device="cpu")
    assert "lower train.learning_rate" in caught.value.hint


def test_a_gradient_that_is_not_finite_stops_the_run(small, tmp_path, monkeypatch):
    original = geodet.train.build_criterion

    def build(*args, **counts):
        criterion = original(*args, **counts)

        def compute(outputs, targets):
            losses = criterion(outputs, targets)
            zero = (outputs.logits - outputs.logits).sum()  # whose root has no finite slope
            return losses._replace(box=losses.box + zero.sqrt())

        return compute

    monkeypatch.setattr(geodet.train, "build_criterion", build)
    with pytest.raises(TrainingError, match="the gradient became nan in epoch 1"):
        train(small, tmp_path / "a.safetensors", configured(epochs=1), device="cpu")
    assert not (tmp_path / "a.safetensors").exists()


def test_a_model_that_is_there_is_not_replaced(small, tmp_path):
    output = tmp_path / "a.safetensors"
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"a\.safetensors is there already") as caught:
        train(small, output, SQUARES, device="cpu")
    assert "--overwrite" in caught.value.hint
    assert output.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [output]
    train(small, output, configured(epochs=1), device="cpu", overwrite=True)
    assert load_model(output).description.name == "a"


@pytest.mark.parametrize("name", ["model.pt", "model", "model.safetensors.bak"])
def test_a_models_name_has_its_suffix(small, tmp_path, name):
    with pytest.raises(OutputError, match=f"cannot write a model to .*{name}") as caught:
        train(small, tmp_path / name, SQUARES, device="cpu")
    assert ".safetensors" in caught.value.hint


def test_the_folder_must_be_there(small, tmp_path):
    with pytest.raises(OutputError, match=r"no folder .*gone for a\.safetensors") as caught:
        train(small, tmp_path / "gone" / "a.safetensors", SQUARES, device="cpu")
    assert "make it first" in caught.value.hint


def test_a_file_in_the_place_of_the_runs_folder_is_an_error(small, tmp_path):
    (tmp_path / "a.run").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot make .*a\.run"):
        train(small, tmp_path / "a.safetensors", SQUARES, device="cpu")


def test_nothing_to_resume_is_an_error(small, tmp_path):
    with pytest.raises(TrainingError, match=r"nothing to resume: no file .*state\.pt"):
        train(small, tmp_path / "a.safetensors", SQUARES, device="cpu", resume=True)


def test_without_validation_images_the_last_weights_are_kept(tmp_path):
    data = write_tileset(tmp_path / "data", train=2, val=0)
    report = train(data, tmp_path / "a.safetensors", configured(epochs=2), device="cpu")
    assert (report.best_epoch, report.best_f1) == (2, -1.0)
    about = load_model(report.model).description
    assert (about.score_threshold, about.figures) == (0.3, {})
    state = load_state(report.model.with_suffix(".run") / "state.pt")
    key = "classifier.last.bias"
    torch.testing.assert_close(load_file(report.model)[key], state["averaged"][f"module.{key}"])


def test_validation_waits_for_its_epochs(small, tmp_path):
    seen = []
    config = configured(epochs=3, validate_every=2)
    train(small, tmp_path / "a.safetensors", config, device="cpu", progress=seen.append)
    assert ["f1" in epoch.figures for epoch in seen] == [False, True, True]


def test_resuming_with_another_network_is_an_error(small, tmp_path):
    output = tmp_path / "a.safetensors"
    train(small, output, configured(epochs=1), device="cpu")
    before = output.read_bytes()
    wider = SQUARES.model_copy(
        update={"model": SQUARES.model.model_copy(update={"channels": 24}), "train": SQUARES.train}
    )
    expected = r"a\.run began with model\.channels = 16, not 24"
    with pytest.raises(TrainingError, match=expected) as caught:
        train(small, output, wider, device="cpu", resume=True)
    assert "the settings that it began with" in caught.value.hint
    assert output.read_bytes() == before


def test_an_earlier_run_is_not_begun_anew_unasked(small, tmp_path):
    output = tmp_path / "a.safetensors"
    train(small, output, configured(epochs=1), device="cpu")
    output.unlink()
    before = (tmp_path / "a.run" / "state.pt").read_bytes()
    with pytest.raises(OutputError, match="holds the state of an earlier run") as caught:
        train(small, output, configured(epochs=1), device="cpu")
    assert "--resume" in caught.value.hint
    assert (tmp_path / "a.run" / "state.pt").read_bytes() == before


def test_resuming_with_other_labels_is_an_error(tmp_path):
    data = write_tileset(tmp_path / "data", train=2, val=1)
    output = tmp_path / "a.safetensors"
    train(data, output, configured(epochs=1), device="cpu")
    labels = json.loads((data / "train.json").read_text())
    labels["annotations"][0]["bbox"][2] += 1
    (data / "train.json").write_text(json.dumps(labels))
    with pytest.raises(TrainingError, match=r"a\.run began with other images or labels") as caught:
        train(data, output, configured(epochs=1), device="cpu", resume=True)
    assert "--overwrite" in caught.value.hint


def test_a_run_ends_when_f1_no_longer_rises(small, tmp_path, monkeypatch):
    f1 = iter([0.2, 0.5, 0.5, 0.4, 0.3, 0.6])

    def validate(*_, **__):
        share = next(f1)  # precision and recall alike
        return Scores(0.3, round(100 * share), 100, 100)

    monkeypatch.setattr(geodet.training.selection, "best_scores", validate)
    config, output, seen = configured(epochs=6, patience=3), tmp_path / "a.safetensors", []
    with pytest.raises(_PowerCutError, match=r"^$"):
        train(small, output, config, device="cpu", progress=cut_after(4))
    report = train(small, output, config, device="cpu", resume=True, progress=seen.append)
    assert [epoch.epoch for epoch in seen] == [5]
    assert (report.epochs, report.stopped_early, report.best_f1) == (5, True, 0.5)
    assert report.best_epoch == 3  # of equals the later one, which makes the run no fresher
    again = train(small, output, config, device="cpu", resume=True)
    assert (again.epochs, again.stopped_early) == (5, True)
    longer = config.model_copy(update={"train": config.train.model_copy(update={"patience": None})})
    last = train(small, output, longer, device="cpu", resume=True)
    assert (last.epochs, last.stopped_early, last.best_epoch) == (6, False, 6)


def test_a_run_without_validation_is_never_stale(tmp_path):
    data = write_tileset(tmp_path / "data", train=2, val=0)
    config = configured(epochs=3, patience=1)
    report = train(data, tmp_path / "a.safetensors", config, device="cpu")
    assert (report.epochs, report.stopped_early) == (3, False)


def test_each_step_is_reported(small, tmp_path):
    steps = []
    train(
        small,
        tmp_path / "a.safetensors",
        configured(epochs=2),
        device="cpu",
        step_progress=steps.append,
    )
    assert [(s.epoch, s.step) for s in steps] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert {(s.epochs, s.steps) for s in steps} == {(2, 2)}
    assert all(s.loss > 0 and s.chips_per_second > 0 for s in steps)


_SCRIPT = """
import sys, time, torch
from pathlib import Path
from geodet.config import Config
from geodet.train import train

torch.set_num_threads(int(sys.argv[4]))
config = Config.model_validate_json(Path(sys.argv[1]).read_text())

def step(report):
    if sys.argv[5:] == [f"{report.epoch}.{report.step}"]:
        print("here", flush=True)
        time.sleep(600)

train(Path(sys.argv[2]), Path(sys.argv[3]), config, device="cpu", step_progress=step)
print("finished")
"""


def run_script(folder, config, data, output, *, threads, launcher=(), stop=()):
    """Start a training in a process of its own, which halts after a step such as 2.1."""
    (folder / "script.py").write_text(_SCRIPT)
    (folder / "config.json").write_text(config.model_dump_json())
    files = [folder / "script.py", folder / "config.json", data, output, threads]
    return subprocess.Popen(
        [sys.executable, *launcher, *map(str, files), *stop],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )


def read_state(output):
    return load_state(output.with_suffix(".run") / "state.pt")


def test_a_killed_run_ends_like_an_uninterrupted_one(small, tmp_path):
    config = configured(epochs=3)
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    train(small, whole, config, device="cpu")
    with run_script(
        tmp_path, config, small, killed, threads=torch.get_num_threads(), stop=["2.1"]
    ) as process:
        assert process.stdout.readline() == "here\n"
        process.kill()
    assert process.returncode != 0
    assert read_state(killed)["counts"]["epoch"] == 1
    train(small, killed, config, device="cpu", resume=True)
    for part in ("network", "averaged"):
        for key, value in read_state(whole)[part].items():
            torch.testing.assert_close(read_state(killed)[part][key], value, rtol=0, atol=1e-6)
    assert [row["loss"] for row in read_log(killed)] == [row["loss"] for row in read_log(whole)]


def test_two_processes_train_the_model_of_one(small, tmp_path):
    """Three images make four chips an epoch: each step takes one to each process."""
    config = configured(epochs=2, optimizer="sgd", learning_rate=1e-3)  # rounding grows with it
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with run_script(tmp_path, config, small, two, threads=1, launcher=launcher) as process:
        printed, _ = process.communicate(timeout=600)
    assert (process.returncode, printed.count("finished")) == (0, 2)
    train(small, one, config, device="cpu")
    for part in ("network", "averaged"):
        for key, value in read_state(one)[part].items():
            torch.testing.assert_close(read_state(two)[part][key], value, rtol=1e-3, atol=1e-4)
    assert list(load_file(two)) == list(load_file(one))
    for a, b in zip(read_log(two), read_log(one), strict=True):
        for name in ("loss", "classification_loss", "box_loss", "gradient_norm", "f1"):
            assert float(a[name]) == pytest.approx(float(b[name]), rel=1e-3)
    assert len(list(two.with_suffix(".run").glob("events.*"))) == 1


def one_epoch(data, folder, **changes):
    config = configured(epochs=1, **changes)
    return train(data, folder / "a.safetensors", config, device="cpu")


def test_a_class_without_objects_stays_a_class(tmp_path):
    data = write_tileset(tmp_path / "data", train=2, val=1, classes=("square", "ghost"))
    for name in ("train.json", "val.json"):
        labels = json.loads((data / name).read_text())
        for entry in labels["annotations"]:
            entry["category_id"] = 1
        (data / name).write_text(json.dumps(labels))
    report = one_epoch(data, tmp_path, class_weights="balanced")
    assert load_model(report.model).description.classes == ("square", "ghost")


def test_one_image_trains(tmp_path):
    data = write_tileset(tmp_path / "data", train=1, val=0)
    report = one_epoch(data, tmp_path, batch_size=16)
    assert load_model(report.model).description.training["train_images"] == 1


def test_images_without_any_object_are_an_error(tmp_path):
    data = tmp_path / "data"
    paint_chip(data / "a.png")
    paint_chip(data / "b.png")
    write_coco(data / "train.json", {"a.png": [], "b.png": []})
    with pytest.raises(TilesetError, match=r"no objects in the \d training images") as caught:
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
    assert load_model(report.model).description.training["train_objects"] == 3
    assert math.isfinite(float(read_log(report.model)[0]["loss"]))
    assert report.best_f1 == 0  # nothing to find, and nothing or something was found


def test_five_thousand_boxes_in_a_chip_train(tmp_path):
    data = tmp_path / "data"
    corners = np.stack(np.meshgrid(np.arange(71), np.arange(71)), axis=-1).reshape(-1, 2)[:5000]
    crowd = np.concatenate([corners, corners + 3], axis=1) * (64 / 74)
    paint_chip(data / "a.png")
    paint_chip(data / "b.png")
    write_coco(data / "train.json", {"a.png": crowd})
    write_coco(data / "val.json", {"b.png": []})
    report = one_epoch(data, tmp_path)
    assert load_model(report.model).description.training["train_objects"] == 5000
