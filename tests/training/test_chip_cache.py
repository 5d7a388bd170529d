import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.geometry.windows import Window
from geodet.raster.chip import Chip
from geodet.training.training_chips import ChipCache


def chip(width, height, *, seed=0, bands=3, dtype="uint8"):
    random = np.random.default_rng(seed)
    pixels = (random.random((bands, height, width)) * 200).astype(dtype)
    return Chip(Window(0, 0, width, height), pixels, random.random((height, width)) < 0.5)


def cache(sizes, *, bands=3, dtype="uint8", budget=2**20):
    return ChipCache(sizes, bands=bands, dtype=np.dtype(dtype), budget=budget)


def same(a, b):
    return (
        a.window == b.window
        and a.pixels.dtype == b.pixels.dtype
        and np.array_equal(a.pixels, b.pixels)
        and np.array_equal(a.valid, b.valid)
    )


@given(
    sizes=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=8),
    bands=st.integers(1, 4),
    dtype=st.sampled_from(["uint8", "uint16", "float32", "float64"]),
    budget=st.integers(0, 3000),
)
def test_a_stored_chip_is_read_back(sizes, bands, dtype, budget):
    made = cache(sizes, bands=bands, dtype=dtype, budget=budget)
    chips = [chip(*size, seed=i, bands=bands, dtype=dtype) for i, size in enumerate(sizes)]
    for index, one in enumerate(chips):
        assert made.read(index) is None
        made.write(index, one)
    for index, one in enumerate(chips):
        found = made.read(index)
        assert (found is not None) == (index < len(made))
        assert found is None or same(found, one)
    kept = sum(one.pixels.nbytes + one.valid.nbytes for one in chips[: len(made)])
    assert kept <= budget
    everything = sum(one.pixels.nbytes + one.valid.nbytes + 65 for one in chips)
    assert len(made) == len(sizes) or everything > budget


@pytest.mark.parametrize("other", [{"dtype": "uint16"}, {"bands": 2}])
def test_a_chip_of_another_kind_is_not_kept(other):
    made = cache([(4, 5)])
    made.write(0, chip(4, 5, **other))
    assert made.read(0) is None


def test_a_stored_chip_is_read_only():
    made = cache([(4, 5)])
    made.write(0, chip(4, 5))
    with pytest.raises(ValueError, match="read-only"):
        made.read(0).pixels[:] = 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_shares_the_cache():
    made, one = cache([(4, 5)]), chip(4, 5)
    child = os.fork()
    if not child:
        made.write(0, one)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert same(made.read(0), one)


def test_a_spawned_process_starts_with_an_empty_cache():
    made = cache([(4, 5)])
    made.write(0, chip(4, 5))
    other = pickle.loads(pickle.dumps(made))
    assert other.read(0) is None
    other.write(0, chip(4, 5, seed=1))
    assert same(made.read(0), chip(4, 5))
