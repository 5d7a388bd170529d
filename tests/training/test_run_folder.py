import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from factories_models import architecture, describe, seeded_network
from tensorboardX import RecordWriter
from tensorboardX.proto.event_pb2 import Event

from geodet.config import Config, TrainConfig
from geodet.errors import OutputError, TrainingError
from geodet.models.checkpoint import save_model
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.training.objective import build_optimizer
from geodet.training.run_folder import (
    RunLog,
    RunState,
    begin_run,
    keep_model,
    load_state,
    restore_model,
    resume_run,
    save_run,
    save_state,
)
from geodet.training.run_records import read_run
from geodet.training.same_run import digest_labels


def test_a_state_is_read_back_unchanged(tmp_path):
    network = seeded_network()
    optimizer = build_optimizer(network, TrainConfig())
    network(torch.randn(1, 3, 32, 32)).logits.sum().backward()
    optimizer.step()
    state = {"epoch": 3, "f1": 0.5, "network": network.state_dict()}
    save_state(tmp_path / "state.pt", state | {"optimizer": optimizer.state_dict()})
    loaded = load_state(tmp_path / "state.pt")
    assert (loaded["epoch"], loaded["f1"]) == (3, 0.5)
    for key, value in network.state_dict().items():
        assert torch.equal(loaded["network"][key], value)
    build_optimizer(network, TrainConfig()).load_state_dict(loaded["optimizer"])
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_a_state_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match=r"nothing to resume: no file .*state\.pt") as caught:
        load_state(tmp_path / "state.pt")
    assert "without --resume" in caught.value.hint


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_broken_state_is_an_error(tmp_path, share):
    path = tmp_path / "state.pt"
    save_state(path, {"weight": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(TrainingError, match=r"cannot resume from .*state\.pt") as caught:
        load_state(path)
    assert "--overwrite" in caught.value.hint


class _Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from a state ran')",))


def test_code_in_a_state_does_not_run(tmp_path):
    torch.save({"epoch": _Bomb()}, tmp_path / "state.pt")
    with pytest.raises(TrainingError, match="cannot resume from"):
        load_state(tmp_path / "state.pt")


@pytest.mark.parametrize("failure", [OSError(28, "No space left"), RuntimeError("write failed")])
def test_a_failed_write_leaves_the_older_state(tmp_path, monkeypatch, failure):
    path = tmp_path / "state.pt"
    save_state(path, {"epoch": 1})

    def fail(_state, file):
        file.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OutputError, match=r"cannot write .*state\.pt") as caught:
        save_state(path, {"epoch": 2})
    assert "free space" in caught.value.hint
    assert load_state(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def read_log(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_log_has_one_row_per_epoch_with_the_name_of_the_run(tmp_path):
    with RunLog(tmp_path) as log:
        log.write(1, {"loss": 0.5})
        assert read_log(tmp_path) == [
            {"run": tmp_path.stem, "epoch": "1", "loss": "0.5"}
        ]  # at once, for who watches
        log.write(2, {"loss": 0.25, "f1": 0.75})
    assert read_log(tmp_path) == [
        {"run": tmp_path.name, "epoch": "1", "loss": "0.5", "f1": ""},
        {"run": tmp_path.name, "epoch": "2", "loss": "0.25", "f1": "0.75"},
    ]
    assert len(list(tmp_path.glob("events.out.tfevents*"))) == 1


def read_events(folder):
    """Return all records of the file for TensorBoard."""
    (path,) = folder.glob("events.out.tfevents*")
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        length = int.from_bytes(data[place : place + 8], "little")
        found.append(Event.FromString(data[place + 12 : place + 12 + length]))
        place += length + 16  # with two checksums
    return found


def read_scalars(folder):
    """Return the epoch, the name and the value of each figure for TensorBoard."""
    return [
        (event.step, one.tag, one.simple_value)
        for event in read_events(folder)
        for one in event.summary.value
    ]


def test_tensorboard_reads_each_epoch_when_it_ends(tmp_path):
    with RunLog(tmp_path) as log:
        log.write(1, {"loss": 0.5, "f1": 0.25})
        assert read_scalars(tmp_path) == [(1, "loss", 0.5), (1, "f1", 0.25)]
        log.write(2, {"loss": 0.125})
        assert read_scalars(tmp_path)[2:] == [(2, "loss", 0.125)]


def test_tensorboard_keeps_the_epochs_done_of_a_resumed_run(tmp_path):
    with RunLog(tmp_path, epochs_done=2) as log:
        log.write(3, {"loss": 0.5})
    begun = [event.step for event in read_events(tmp_path) if event.HasField("session_log")]
    assert begun == [3]  # TensorBoard drops this step and those after it


def fail_as_a_full_disk(*_):
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_an_error_where_tensorboards_file_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(RecordWriter, "flush", fail_as_a_full_disk)
    with (
        pytest.raises(OutputError, match=r"cannot write .*tfevents.*: .*No space") as caught,
        RunLog(tmp_path) as log,
    ):
        log.write(1, {f"figure {n}": 0.5 for n in range(30)})  # more than fit into a queue
    assert "free space" in caught.value.hint


def test_closing_the_log_replaces_no_error_that_ended_the_run(tmp_path, monkeypatch):
    close = RecordWriter.close

    def fail(records):
        close(records)
        fail_as_a_full_disk()

    monkeypatch.setattr(RecordWriter, "close", fail)
    log = RunLog(tmp_path)
    log.write(1, {"loss": 0.5})
    with pytest.raises(KeyboardInterrupt, match="the first"), log:
        raise KeyboardInterrupt("the first")
    assert read_scalars(tmp_path) == [(1, "loss", 0.5)]


def test_a_resumed_log_keeps_the_rows_of_the_epochs_done(tmp_path):
    with RunLog(tmp_path) as log:
        for epoch in (1, 2, 3):
            log.write(epoch, {"loss": 1 / 2**epoch})
    with RunLog(tmp_path, epochs_done=2) as log:
        log.write(3, {"loss": 9.0, "f1": 0.5})
    rows = read_log(tmp_path)
    assert [(row["epoch"], row["loss"]) for row in rows] == [
        ("1", "0.5"),
        ("2", "0.25"),
        ("3", "9.0"),
    ]
    assert [row["f1"] for row in rows] == ["", "", "0.5"]


def test_a_new_run_starts_a_new_log(tmp_path):
    for loss in (1.0, 2.0):
        with RunLog(tmp_path) as log:
            log.write(1, {"loss": loss})
    assert [row["loss"] for row in read_log(tmp_path)] == ["2.0"]


def test_a_run_that_begins_anew_leaves_no_figures_of_the_run_before(tmp_path):
    folder = tmp_path / "a.run"
    begin_run(folder, Config(), resume=False)
    with RunLog(folder) as log:
        log.write(1, {"loss": 1.0, "f1": 0.9})
    (folder / "notes.txt").write_text("mine")
    begin_run(folder, Config(), resume=True)
    assert len(read_log(folder)) == 1
    begin_run(folder, configured("train", epochs=7), resume=False)
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "run.json"]
    run = read_run(folder)
    assert (run.epochs, run.epochs_planned, run.best) == (0, 7, {})


def configured(section, **changes):
    return Config.model_validate({section: changes})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("train", "learning_rate", 0.5),
        ("model", "head_norm", "none"),
        ("data", "gsd", 0.5),
        ("match", "iou", 0.6),
        ("augment", "flips", False),
        ("detect", "iou_threshold", 0.3),
        ("detect", "max_candidates", 7),
    ],
)
def test_a_run_resumes_only_with_its_own_settings(tmp_path, section, key, value):
    folder = tmp_path / "a.run"
    begin_run(folder, Config(), resume=False)
    save_run(folder, RunState(epoch=3), {}, Config(), data="x")
    assert resume_run(folder, {}, Config(), data="x") == RunState(epoch=3)
    expected = rf"a\.run was started with {section}\.{key} = .*, not {value!r}"
    with pytest.raises(TrainingError, match=expected) as caught:
        resume_run(folder, {}, configured(section, **{key: value}), data="x")
    assert "the same settings" in caught.value.hint
    with pytest.raises(TrainingError, match="was started with other images or labels"):
        resume_run(folder, {}, Config(), data="y")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("train", "workers", 3),
        ("train", "cache_mib", 1),
        ("train", "patience", 2),
        ("train", "int8", False),
        ("detect", "chip_size", 128),
    ],
)
def test_how_a_run_computes_may_change(tmp_path, section, key, value):
    begin_run(tmp_path / "a.run", Config(), resume=False)
    save_run(tmp_path / "a.run", RunState(epoch=3), {}, Config(), data="x")
    now = configured(section, **{key: value})
    assert resume_run(tmp_path / "a.run", {}, now, data="x").epoch == 3


def test_a_state_of_other_counts_is_an_error(tmp_path):
    begin_run(tmp_path / "a.run", Config(), resume=False)
    config = Config().model_dump_json()
    state = {"counts": {"years": 1}, "config": config, "data": "x"}
    save_state(tmp_path / "a.run" / "state.pt", state)
    with pytest.raises(TrainingError, match=r"the run in .*a\.run does not fit"):
        resume_run(tmp_path / "a.run", {}, Config(), data="x")


def tileset():
    boxes, none = np.array([[0.0, 0.0, 5.0, 5.0]]), np.zeros((0, 4))
    image = LabelledImage(
        Path("here/a.png"), 64, 64, boxes, np.array([0]), none, "p", "train", None
    )
    return Tileset(Path("here"), ("car", "bus"), (image,))


@pytest.mark.parametrize(
    "change",
    [
        {"boxes": np.array([[0.0, 0.0, 5.0, 5.5]])},
        {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int)},
        {"labels": np.array([1])},
        {"ignored": np.array([[0.0, 0.0, 5.0, 5.0]])},
        {"path": Path("here/b.png")},
        {"split": "val"},
    ],
)
def test_a_digest_notices_changed_labels(change):
    began = tileset()
    changed = replace(began, images=(replace(began.images[0], **change),))
    assert digest_labels(changed) != digest_labels(began)


def test_a_digest_does_not_depend_on_the_place_of_the_data():
    began = tileset()
    moved = replace(began.images[0], path=Path("/there/a.png"))
    assert digest_labels(replace(began, root=Path("/there"), images=(moved,))) == digest_labels(
        began
    )
    assert digest_labels(replace(began, classes=("bus", "car"))) != digest_labels(began)


def test_one_process_restores_the_model_from_its_copy(tmp_path):
    output, state = tmp_path / "a.safetensors", RunState(epoch=3, best_epoch=2)
    begin_run(tmp_path / "a.run", Config(), resume=False)
    save_model(output, seeded_network(), describe(architecture()))
    epoch_2 = output.read_bytes()
    keep_model(output)
    output.write_bytes(b"somebody's")
    restore_model(output, state, is_main=True)
    assert output.read_bytes() == b"somebody's"  # what is there stays
    output.unlink()
    restore_model(output, state, is_main=False)
    assert not output.exists()
    restore_model(output, state, is_main=True)
    assert output.read_bytes() == epoch_2


def test_a_damaged_copy_is_not_restored(tmp_path):
    output = tmp_path / "a.safetensors"
    begin_run(tmp_path / "a.run", Config(), resume=False)
    save_model(output, seeded_network(), describe(architecture()))
    keep_model(output)
    kept = tmp_path / "a.run" / "best.safetensors"
    kept.write_bytes(kept.read_bytes()[:-1])
    output.unlink()
    with pytest.raises(TrainingError, match=r"a\.safetensors is missing.*best\.safetensors is not"):
        restore_model(output, RunState(epoch=3, best_epoch=2), is_main=True)
    assert not output.exists()


def test_the_copy_of_an_earlier_run_is_not_restored(tmp_path):
    output = tmp_path / "a.safetensors"
    begin_run(tmp_path / "a.run", Config(), resume=False)
    output.write_bytes(b"old")
    keep_model(output)
    output.unlink()
    begin_run(tmp_path / "a.run", Config(), resume=False)
    with pytest.raises(TrainingError, match="with it the weights of the best epoch, 2"):
        restore_model(output, RunState(best_epoch=2), is_main=True)
    restore_model(output, RunState(epoch=4), is_main=True)  # no epoch has been the best yet
    assert not output.exists()
