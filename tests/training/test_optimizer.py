import math

import pytest
import torch
from factories_models import seeded_network
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from geodet.config import TrainConfig
from geodet.training.objective import average_weights, build_optimizer, build_schedule


def rates(steps, **changes):
    """Return the learning rate of every step of a run."""
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


def test_the_papers_rate_falls_to_a_tenth_twice():
    seen = rates(90, schedule="step", warmup=0.1)
    assert seen[:9] == pytest.approx([2.0 * (step + 1) / 10 for step in range(9)])
    assert seen[9:60] == [2.0] * 51
    assert seen[60:80] == pytest.approx([0.2] * 20)
    assert seen[80:] == pytest.approx([0.02] * 11)


@given(steps=st.integers(1, 200), warmup=st.floats(0, 0.99))
def test_the_steps_are_at_two_thirds_and_eight_ninths_of_all(steps, warmup):
    rising = max(1, round(steps * warmup))
    for step, rate in enumerate(rates(steps, warmup=warmup, schedule="step")):
        if step >= rising:
            share = step / steps
            wanted = 2.0 if share < 2 / 3 else 0.2 if share < 8 / 9 else 0.02
            assert rate == pytest.approx(wanted)


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
def test_biases_and_norms_are_not_decayed(name):
    network = seeded_network()
    network.backbone.stem.conv.weight.requires_grad_(False)
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
    averaged = average_weights(network, decay)
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
    averaged = average_weights(network, 0.5)
    for _ in range(2):
        network(torch.randn(2, 3, 32, 32) + 3)
        averaged.update_parameters(network)
    own, mean = (
        network.backbone.stem.norm.running_mean,
        averaged.module.backbone.stem.norm.running_mean,
    )
    assert 0 < mean.norm() < own.norm()
