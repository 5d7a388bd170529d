import pytest
import torch
from factories_models import architecture
from hypothesis import given
from hypothesis import strategies as st

import geodet.training.chip_loader
from geodet.config import Config, TrainConfig
from geodet.errors import ConfigError
from geodet.models.retinanet import RetinaNet
from geodet.training.chip_loader import EpochSampler, _check_norms, _choose_workers


@given(
    count=st.integers(1, 40),
    batch_size=st.integers(1, 6),
    world_size=st.integers(1, 5),
    seed=st.integers(0, 5),
)
def test_the_processes_share_an_epoch(count, batch_size, world_size, seed):
    samplers = [
        EpochSampler(count, seed=seed, batch_size=batch_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    drawn = []
    for epoch in range(3):
        for sampler in samplers:
            sampler.epoch = epoch
        shares = [list(sampler) for sampler in samplers]
        assert {len(share) for share in shares} == {len(samplers[0])}
        indices = [index for share in shares for index in share]
        assert {index % count for index in indices} == set(range(count))
        assert len(indices) % batch_size == len(indices) % world_size == 0
        assert len(indices) < count + batch_size * world_size
        drawn += indices
    assert len(set(drawn)) == len(drawn)  # each crop is varied anew


@given(count=st.integers(1, 20), fewest=st.integers(0, 70), world_size=st.integers(1, 3))
def test_few_crops_are_drawn_again_until_an_epoch_is_full(count, fewest, world_size):
    samplers = [
        EpochSampler(count, seed=2, batch_size=3, rank=rank, world_size=world_size, fewest=fewest)
        for rank in range(world_size)
    ]
    drawn = []
    for epoch in range(2):
        for sampler in samplers:
            sampler.epoch = epoch
        indices = [index for sampler in samplers for index in sampler]
        assert max(count, fewest) <= len(indices) < max(count, fewest) + 3 * world_size
        often = [sum(index % count == crop for index in indices) for crop in range(count)]
        assert max(often) - min(often) <= 1
        drawn += indices
    assert len(set(drawn)) == len(drawn)  # each crop is varied anew


@given(count=st.integers(1, 40), share=st.integers(1, 4), world_size=st.integers(1, 4))
def test_each_step_has_the_chips_that_one_process_would_take(count, share, world_size):
    batch_size = share * world_size

    def steps(rank, of):
        size = batch_size // of
        sampler = EpochSampler(count, seed=1, batch_size=batch_size, rank=rank, world_size=of)
        sampler.epoch = 2
        indices = list(sampler)
        return [indices[i : i + size] for i in range(0, len(indices), size)]

    parts = [steps(rank, world_size) for rank in range(world_size)]
    for whole, *shares in zip(steps(0, 1), *parts, strict=True):
        assert sorted(whole) == sorted(index for share in shares for index in share)


def test_the_order_differs_by_epoch_and_seed_and_is_repeatable():
    def order(seed, epoch):
        sampler = EpochSampler(30, seed=seed)
        sampler.epoch = epoch
        return [index % 30 for index in sampler]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def torch_refuses(config):
    size = config.train.chip_size
    try:
        RetinaNet(config.model, bands=3, classes=1).train()(torch.randn(1, 3, size, size))
    except ValueError as error:
        return "Expected more than 1 value per channel" in str(error)
    return False


BACKBONE, HEADS = {"head_norm": "none"}, {"backbone_norm": "group", "channels": 32}


@pytest.mark.parametrize(
    ("levels", "backbone", "model", "size"),
    [
        ((2, 3), 5, {}, 32),
        ((2, 3), 5, BACKBONE, 32),
        ((2, 3), 5, HEADS, 32),
        ((3, 6), 5, HEADS, 64),
        ((3, 6), 5, HEADS, 65),
        ((3, 6), 5, HEADS | {"head_convs": 0}, 64),
        ((3, 6), 5, HEADS | {"head_convs": 0, "box_head_convs": 1}, 64),
        ((3, 6), 5, HEADS | {"head_convs": 1, "box_head_convs": 0}, 64),
        ((3, 6), 5, HEADS | {"head_norm": "group"}, 64),
        ((3, 6), 5, BACKBONE, 33),
    ],
)
def test_a_batch_norm_is_refused_what_torch_refuses(levels, backbone, model, size):
    config = Config(
        model=architecture(levels, backbone, **model),
        train=TrainConfig(batch_size=1, chip_size=size),
    )
    if torch_refuses(config):
        with pytest.raises(ConfigError, match=f"train.batch_size 1 .* {size} .* value") as caught:
            _check_norms(config, processes=1)
        assert "train.batch_size to 2" in caught.value.hint
    else:
        _check_norms(config, processes=1)
    _check_norms(config, processes=2)  # whose norms see each other's chips
    two = config.train.model_copy(update={"batch_size": 2})
    _check_norms(config.model_copy(update={"train": two}), processes=1)


def test_frozen_norms_measure_nothing():
    train = TrainConfig(batch_size=1, chip_size=32, init="a", frozen_stages=5)
    _check_norms(Config(model=architecture((2, 3), 5), train=train), processes=1)
    some = train.model_copy(update={"frozen_stages": 4})
    with pytest.raises(ConfigError, match="single value at stride 32"):
        _check_norms(Config(model=architecture((2, 3), 5), train=some), processes=1)


@pytest.mark.parametrize(
    ("device", "cores", "processes", "expected"),
    [
        ("cpu", 16, 1, 0),
        ("cuda", 1, 1, 0),
        ("cuda", 4, 1, 3),
        ("cuda", 16, 4, 3),
        ("cuda", 64, 1, 8),
    ],
)
def test_workers_are_chosen_by_the_cores_that_the_process_may_use(
    monkeypatch, device, cores, processes, expected
):
    monkeypatch.setattr(geodet.training.chip_loader, "count_cores", lambda: cores)
    monkeypatch.setattr(geodet.training.chip_loader, "local_processes", lambda: processes)
    assert _choose_workers(None, torch.device(device)) == expected
    assert _choose_workers(5, torch.device(device)) == 5
