import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from factories_models import architecture, write_tileset
from safetensors.torch import load_file

import geodet.train
from geodet.boxes import pairwise_iou
from geodet.config import Config
from geodet.errors import OutputError, TrainingError
from geodet.inference import build_predictor
from geodet.models.checkpoint import load_model
from geodet.models.losses import Losses
from geodet.runs import load_state
from geodet.sampling import read_chip
from geodet.tilesets.tileset import read_tileset
from geodet.train import train

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


def break_loss(monkeypatch, after, value):
    """Let the loss become a value that is not finite after some steps."""
    original, steps = geodet.train.RetinaNetLoss, []

    def build(*args):
        criterion = original(*args)

        def compute(outputs, targets):
            losses = criterion(outputs, targets)
            steps.append(1)
            return losses if len(steps) <= after else Losses(losses.box * value, losses.box)

        return compute

    monkeypatch.setattr(geodet.train, "RetinaNetLoss", build)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(small, tmp_path, monkeypatch, value):
    output = tmp_path / "a.safetensors"
    break_loss(monkeypatch, 2, value)  # two steps an epoch
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) in epoch 2") as caught:
        train(small, output, configured(epochs=3), device="cpu")
    assert "train.learning_rate" in caught.value.hint
    assert load_model(output).description.name == "a"
    assert load_state(output.with_suffix(".run") / "state.pt")["counts"]["epoch"] == 1
    assert len(read_log(output)) == 1


@pytest.mark.parametrize("rate", [1e10, 1e38])
def test_a_huge_learning_rate_stops_the_run(small, tmp_path, rate):
    with pytest.raises(TrainingError, match=r"the \w+ became \S+ in epoch \d") as caught:
        train(small, tmp_path / "a.safetensors", configured(learning_rate=rate), device="cpu")
    assert "lower train.learning_rate" in caught.value.hint


def test_a_gradient_that_is_not_finite_stops_the_run(small, tmp_path, monkeypatch):
    original = geodet.train.RetinaNetLoss

    def build(*args):
        criterion = original(*args)

        def compute(outputs, targets):
            losses = criterion(outputs, targets)
            zero = (outputs.logits - outputs.logits).sum()  # whose root has no finite slope
            return losses._replace(box=losses.box + zero.sqrt())

        return compute

    monkeypatch.setattr(geodet.train, "RetinaNetLoss", build)
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


_TWO = """
import sys, torch
from pathlib import Path
from geodet.config import Config
from geodet.train import train

torch.set_num_threads(1)
config = Config.model_validate_json(Path(sys.argv[1]).read_text())
report = train(Path(sys.argv[2]), Path(sys.argv[3]), config, device="cpu")
print("finished")
"""


def test_two_processes_train_one_model(small, tmp_path):
    script, config, output = (tmp_path / n for n in ("two.py", "c.json", "two.safetensors"))
    script.write_text(_TWO)
    config.write_text(configured(epochs=2).model_dump_json())
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [sys.executable, *launch, str(script), str(config), str(small), str(output)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("finished") == 2
    assert [row["epoch"] for row in read_log(output)] == ["1", "2"]
    assert load_model(output).description.training["epochs"] == 2
    folder = output.with_suffix(".run")
    assert len(list(folder.glob("events.*"))) == 1
    # Three images make two of each process; each step takes one from both.
    assert load_state(folder / "state.pt")["schedule"]["last_epoch"] == 4
