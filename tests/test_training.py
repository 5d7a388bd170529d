import csv
import math

import pytest
import torch
from factories_models import seeded_network
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from geodet.config import TrainConfig
from geodet.errors import OutputError, TrainingError
from geodet.runs import RunLog, load_state, save_state
from geodet.training import averaged_weights, build_optimizer, build_schedule


def rates(steps, **changes):
    """Give the learning rate of every step of a run."""
    config = TrainConfig(**{"learning_rate": 2.0, "warmup": 0.1} | changes)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule = build_schedule(optimizer, config, steps)
    seen = []
    for _ in range(steps):
        seen.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return [*seen, schedule.get_last_lr()[0]]


def test_the_rate_rises_linearly_and_falls_along_a_cosine():
    seen = rates(100)
    assert seen[:10] == pytest.approx([2.0 * (step + 1) / 11 for step in range(10)])
    assert seen[10:] == pytest.approx(
        [1 + math.cos(math.pi * (step - 10) / 90) for step in range(10, 101)]
    )


@given(steps=st.integers(1, 60), warmup=st.floats(0, 0.99))
def test_the_rate_is_positive_and_ends_at_zero(steps, warmup):
    seen = rates(steps, warmup=warmup)
    assert all(0 < rate <= 2.0 for rate in seen[:-1])
    assert max(seen) == pytest.approx(2.0) or steps < 3 or warmup > 0.5
    top = seen.index(max(seen))
    assert seen[: top + 1] == sorted(seen[: top + 1])
    assert seen[top:] == sorted(seen[top:], reverse=True)
    if steps > max(1, round(steps * warmup)):
        assert seen[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_vectors_are_not_decayed(name):
    network = seeded_network()
    network.trunk.stem.conv.weight.requires_grad_(False)
    optimizer = build_optimizer(network, TrainConfig(optimizer=name, weight_decay=0.1))
    decayed, others = optimizer.param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert {p.ndim for p in decayed["params"]} == {4}
    assert {p.ndim for p in others["params"]} == {1}
    learnt = [p for p in network.parameters() if p.requires_grad]
    grouped = {id(p) for group in (decayed, others) for p in group["params"]}
    assert grouped == {id(p) for p in learnt}
    assert isinstance(optimizer, {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[name])
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}


class _Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("steps", torch.tensor(0))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.998])
def test_averages_equal_a_hand_written_loop(decay):
    network = _Counted()
    averaged = averaged_weights(network, decay)
    wanted = None
    for step in range(40):
        with torch.no_grad():
            network.weight.copy_(torch.randn(3))
            network.mean.copy_(torch.randn(2))
            network.steps += 1
        averaged.update_parameters(network)
        now = (network.weight.detach().clone(), network.mean.clone())
        if wanted is None:
            wanted = now
        else:
            share = min(decay, (1 + step) / (10 + step))
            wanted = [share * old + (1 - share) * new for old, new in zip(wanted, now, strict=True)]
        torch.testing.assert_close(averaged.module.weight.detach(), wanted[0])
        torch.testing.assert_close(averaged.module.mean, wanted[1])
        assert averaged.module.steps == step + 1
    assert averaged.module is not network


def test_averages_include_the_norms_statistics():
    network = seeded_network().train()
    averaged = averaged_weights(network, 0.5)
    for _ in range(2):
        network(torch.randn(2, 3, 32, 32) + 3)
        averaged.update_parameters(network)
    own, mean = network.trunk.stem.norm.running_mean, averaged.module.trunk.stem.norm.running_mean
    assert 0 < mean.norm() < own.norm()


def test_a_state_comes_back(tmp_path):
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
    assert "without --resume" in caught.value.hint


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


def test_a_log_has_one_row_an_epoch(tmp_path):
    with RunLog(tmp_path) as log:
        log.write(1, {"loss": 0.5})
        assert read_log(tmp_path) == [{"epoch": "1", "loss": "0.5"}]  # at once, for who watches
        log.write(2, {"loss": 0.25, "f1": 0.75})
    assert read_log(tmp_path) == [
        {"epoch": "1", "loss": "0.5", "f1": ""},
        {"epoch": "2", "loss": "0.25", "f1": "0.75"},
    ]
    assert len(list(tmp_path.glob("events.out.tfevents*"))) == 1


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
