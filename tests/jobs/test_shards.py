"""Shards of a job: which bands each has, and who tells it which shard it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.errors import ConfigError
from geodet.jobs.shards import Shard, bands_of_shard, parse_shard, shard_from_environment

SCENES = st.lists(st.lists(st.integers(1, 1000), max_size=6), max_size=8)


@given(SCENES, st.integers(1, 12))
def test_each_band_is_in_one_shard_and_the_shards_are_equal(pixels, count):
    shards = [list(bands_of_shard(pixels, Shard(n, count))) for n in range(1, count + 1)]
    bands = [(scene, band) for shard in shards for scene, some in shard for band in some]
    assert bands == [(s, b) for s, sizes in enumerate(pixels) for b in range(len(sizes))]
    sizes = [sum(pixels[scene][band] for scene, some in shard for band in some) for shard in shards]
    sizes_of_bands = [size for scene in pixels for size in scene]
    for size in sizes:
        assert abs(size - sum(sizes_of_bands) / count) <= max(sizes_of_bands, default=0)


def test_a_shard_may_be_some_bands_of_one_scene():
    assert [list(bands_of_shard([[1] * 10], Shard(n, 3))) for n in (1, 2, 3)] == [
        [(0, range(3))],
        [(0, range(3, 7))],
        [(0, range(7, 10))],
    ]


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "a/b", "1/2/3", "-1/4", "1/0"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ConfigError, match="shard"):
        parse_shard(text)


def array(task, first, last, count, **more):
    names = ("ID", "MIN", "MAX", "COUNT")
    numbers = (task, first, last, count)
    return {f"SLURM_ARRAY_TASK_{name}": str(n) for name, n in zip(names, numbers, strict=True)} | {
        f"SLURM_ARRAY_TASK_{name}": str(n) for name, n in more.items()
    }


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({}, "1/1"),
        ({"RANK": "0", "WORLD_SIZE": "4"}, "1/4"),
        ({"RANK": "3", "WORLD_SIZE": "4"}, "4/4"),
        ({"RANK": "3"}, "1/1"),
        (array(0, 0, 63, 64), "1/64"),
        (array(64, 1, 64, 64, STEP=1), "64/64"),
        (array(20, 0, 30, 4, STEP=10), "3/4"),
        (array(2, 1, 4, 4) | {"RANK": "9", "WORLD_SIZE": "10"}, "2/4"),
    ],
)
def test_a_scheduler_says_which_shard_it_is(environment, shard):
    assert str(shard_from_environment(environment)) == shard


def test_an_array_with_holes_has_no_shards():
    with pytest.raises(ConfigError, match=r"3 tasks, not those from 3 to 9.*unknown"):
        shard_from_environment(array(7, 3, 9, 3))
    with pytest.raises(ConfigError, match="WORLD_SIZE is 'many'"):
        shard_from_environment({"RANK": "0", "WORLD_SIZE": "many"})
