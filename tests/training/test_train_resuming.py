"""Trainings that are cut off and go on."""

import json
import pydoc

import pytest
import torch
from factories_models import write_tileset
from factories_training import (
    SQUARES,
    PowerCutError,
    configured,
    cut_after,
    read_log,
    read_state,
    small_fixture,  # noqa: F401 - a fixture
)
from safetensors.torch import load_file

import geodet.training.best_model
from geodet.errors import OutputError, TrainingError
from geodet.evaluation.threshold_curves import MatchCounts
from geodet.training.train import run_training


@pytest.mark.parametrize("changes", [{}, {"optimizer": "sgd", "workers": 1, "validate_every": 3}])
def test_a_resumed_run_ends_like_an_uninterrupted_one(small, tmp_path, changes):
    config = configured(epochs=4, **changes)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    reference = run_training(small, whole, config, device="cpu")
    with pytest.raises(PowerCutError, match=r"^$"):
        run_training(small, parts, config, device="cpu", progress=cut_after(2))
    seen = []
    report = run_training(small, parts, config, device="cpu", resume=True, progress=seen.append)
    assert [epoch.epoch for epoch in seen] == [3, 4]
    assert (report.best_epoch, report.best_f1) == (reference.best_epoch, reference.best_f1)
    states = [read_state(path) for path in (whole, parts)]
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
    first = run_training(small, output, configured(epochs=1), device="cpu")
    before = output.read_bytes()
    again = run_training(small, output, configured(epochs=1), device="cpu", resume=True)
    assert (again.best_epoch, again.best_f1) == (first.best_epoch, first.best_f1)
    assert output.read_bytes() == before
    assert len(read_log(output)) == 1


def test_nothing_to_resume_is_an_error(small, tmp_path):
    with pytest.raises(TrainingError, match=r"nothing to resume: no file .*state\.pt"):
        run_training(small, tmp_path / "a.safetensors", SQUARES, device="cpu", resume=True)


def test_resuming_with_another_network_is_an_error(small, tmp_path):
    output = tmp_path / "a.safetensors"
    run_training(small, output, configured(epochs=1), device="cpu")
    before = output.read_bytes()
    wider = SQUARES.model_copy(
        update={
            "model": SQUARES.model.model_copy(update={"channels": 24}),
            "train": configured(epochs=1).train,
        }
    )
    expected = r"a\.run was started with model\.channels = 16, not 24"
    with pytest.raises(TrainingError, match=expected) as caught:
        run_training(small, output, wider, device="cpu", resume=True)
    assert "the same settings" in caught.value.hint
    assert output.read_bytes() == before


def test_an_earlier_run_is_not_overwritten_unasked(small, tmp_path):
    output = tmp_path / "a.safetensors"
    run_training(small, output, configured(epochs=1), device="cpu")
    output.unlink()
    before = (tmp_path / "a.run" / "state.pt").read_bytes()
    with pytest.raises(OutputError, match="holds the state of an earlier run") as caught:
        run_training(small, output, configured(epochs=1), device="cpu")
    assert "--resume" in caught.value.hint
    assert (tmp_path / "a.run" / "state.pt").read_bytes() == before


def test_resuming_with_other_labels_is_an_error(tmp_path):
    data = write_tileset(tmp_path / "data", train=2, val=1)
    output = tmp_path / "a.safetensors"
    run_training(data, output, configured(epochs=1), device="cpu")
    labels = json.loads((data / "train.json").read_text())
    labels["annotations"][0]["bbox"][2] += 1
    (data / "train.json").write_text(json.dumps(labels))
    with pytest.raises(
        TrainingError, match=r"a\.run was started with other images or labels"
    ) as caught:
        run_training(data, output, configured(epochs=1), device="cpu", resume=True)
    assert "--overwrite" in caught.value.hint


def test_a_run_ends_when_f1_no_longer_rises(small, tmp_path, monkeypatch):
    f1 = iter([0.2, 0.5, 0.5, 0.4, 0.3, 0.6])

    def validate(*_, **__):
        share = next(f1)  # precision and recall alike
        return MatchCounts(0.3, round(100 * share), 100, 100)

    monkeypatch.setattr(geodet.training.best_model, "best_counts", validate)
    config, output, seen = configured(epochs=6, patience=3), tmp_path / "a.safetensors", []
    with pytest.raises(PowerCutError, match=r"^$"):
        run_training(small, output, config, device="cpu", progress=cut_after(4))
    report = run_training(small, output, config, device="cpu", resume=True, progress=seen.append)
    assert [epoch.epoch for epoch in seen] == [5]
    assert (report.epochs, report.stopped_early, report.best_f1) == (5, True, 0.5)
    assert report.best_epoch == 3  # of equals the later one, which makes the run no fresher
    again = run_training(small, output, config, device="cpu", resume=True)
    assert (again.epochs, again.stopped_early) == (5, True)
    longer = config.model_copy(update={"train": config.train.model_copy(update={"patience": None})})
    last = run_training(small, output, longer, device="cpu", resume=True)
    assert (last.epochs, last.stopped_early, last.best_epoch) == (6, False, 6)


@pytest.mark.parametrize("at", ["save_run", "RunLog.write"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_run_that_stops_beside_its_log_has_a_row_for_each_epoch(
    small, tmp_path, monkeypatch, at, is_done
):
    output, config, calls = tmp_path / "a.safetensors", configured(epochs=3), []
    owner, _, name = f"geodet.training.train.{at}".rpartition(".")
    function = pydoc.locate(f"{owner}.{name}")

    def stop(*given, **options):
        calls.append(None)
        if len(calls) == 2 and is_done:
            function(*given, **options)
        if len(calls) == 2:
            raise PowerCutError
        return function(*given, **options)

    with monkeypatch.context() as patched:
        patched.setattr(f"{owner}.{name}", stop)
        with pytest.raises(PowerCutError, match=r"^$"):
            run_training(small, output, config, device="cpu")
    run_training(small, output, config, device="cpu", resume=True)
    assert [row["epoch"] for row in read_log(output)] == ["1", "2", "3"]


def test_a_run_stopped_before_its_first_state_says_how_to_begin_anew(small, tmp_path, monkeypatch):
    output, config = tmp_path / "a.safetensors", configured(epochs=1)

    def stop(*_given, **_options):
        raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr("geodet.training.train.save_run", stop)
        with pytest.raises(PowerCutError, match=r"^$"):
            run_training(small, output, config, device="cpu")
    with pytest.raises(OutputError, match="exists already") as refused:
        run_training(small, output, config, device="cpu")
    assert refused.value.hint == "--overwrite (overwrite=True) replaces it"
    with pytest.raises(TrainingError, match="nothing to resume") as unable:
        run_training(small, output, config, device="cpu", resume=True)
    assert unable.value.hint == "start the run without --resume, with --overwrite"


def test_a_resumed_run_restores_a_deleted_model_file(small, tmp_path):
    output = tmp_path / "a.safetensors"
    first = run_training(small, output, configured(epochs=1), device="cpu")
    before = output.read_bytes()
    output.unlink()
    again = run_training(small, output, configured(epochs=1), device="cpu", resume=True)
    assert (again.best_epoch, again.best_f1) == (first.best_epoch, first.best_f1)
    assert output.read_bytes() == before
    output.unlink()
    (tmp_path / "a.run" / "best.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"a\.safetensors is missing.*best epoch, 1") as caught:
        run_training(small, output, configured(epochs=1), device="cpu", resume=True)
    assert "--overwrite" in caught.value.hint
    assert not output.exists()


def test_two_trainings_do_not_write_one_model(small, tmp_path):
    output, config = tmp_path / "m.safetensors", configured(epochs=1)
    refused = []

    def meanwhile(_report):
        with pytest.raises(OutputError, match="another run is writing") as caught:
            run_training(small, output, config, device="cpu", overwrite=True)
        refused.append(caught.value)

    run_training(small, output, config, device="cpu", progress=meanwhile)
    assert len(refused) == 1
    assert not list(tmp_path.glob(".geodet-*.lock"))
