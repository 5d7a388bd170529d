import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.merging import sweeps
from geodet.merging.sweeps import layers_of, longest_side, sweep_across, sweep_within

seeds = st.integers(0, 2**32 - 1)
reaches = st.sampled_from([1e-9, 0.05, 1 / 3, 0.8, 1.0])
offsets = st.sampled_from([0.0, -50.0, 1e7, -1e7])


def make_boxes(seed, count=40, *, spread=40, sizes=(1, 12)):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, spread, (count, 2))
    return np.hstack([low, low + rng.integers(*sizes, (count, 2))]).astype(float)


def near(a, b, reach):
    """Tell which boxes of two sets have centres nearer than the reach on both axes: (N, M)."""
    apart = np.abs((a[:, None, :2] + a[:, None, 2:]) - (b[None, :, :2] + b[None, :, 2:])) / 2
    sides = (a[:, None, 2:] - a[:, None, :2]) + (b[None, :, 2:] - b[None, :, :2])
    return (apart < sides / 2 * reach).all(axis=2)


def listed(sweep):
    return [
        (int(sweep.sought.rows[i]), int(sweep.among.rows[j]))
        for sought, found in sweep
        for i, j in zip(sought, found, strict=True)
    ]


@given(seeds, reaches, offsets)
def test_no_neighbour_in_a_layer_is_missed_and_none_is_listed_twice(seed, reach, offset):
    boxes = make_boxes(seed, sizes=(4, 15)) + offset
    (layer,) = layers_of(boxes, longest_side(boxes) if seed % 2 else 4 * 4 - 1)
    pairs = [tuple(sorted(pair)) for pair in listed(sweep_within(layer, reach))]
    assert len(pairs) == len(set(pairs))
    assert {(i, j) for i, j in np.argwhere(near(boxes, boxes, reach)) if i < j} <= set(pairs)
    assert not any(i == j for i, j in pairs)


@given(seeds, reaches, offsets, st.booleans())
def test_no_neighbour_in_a_coarser_layer_is_missed(seed, reach, offset, is_swapped):
    fine = make_boxes(seed, sizes=(1, 4), spread=120) + offset - 40  # some lie beside the others
    coarse = make_boxes(seed + 1, sizes=(4, 16)) + offset
    layer, among = layers_of(fine, 3.0)[0], layers_of(coarse, 15.0)[0]
    sweep = sweep_across(layer, among, reach, is_swapped=is_swapped)
    pairs = listed(sweep)
    assert sweep.is_swapped == is_swapped
    assert len(pairs) == len(set(pairs)) == sweep.candidates
    assert set(map(tuple, np.argwhere(near(fine, coarse, reach)).tolist())) <= set(pairs)


@given(seeds)
def test_layers_part_the_boxes_that_have_an_area(seed):
    boxes = make_boxes(seed, sizes=(0, 300))
    boxes[::7, [0, 2]] = boxes[::7, [2, 0]]  # some lie the wrong way round
    layers = layers_of(boxes, longest_side(boxes))
    rows = np.concatenate([layer.rows for layer in layers])
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sorted(rows) == np.flatnonzero((sides > 0).all(axis=1)).tolist()
    for layer in layers:
        np.testing.assert_array_equal(layer.columns.T, boxes[layer.rows])
        assert layer.longest == layer.sides.max()
        assert layer.shortest == layer.sides.max(axis=0).min() > layer.longest / 4.001
    bounds = [layer.longest for layer in layers]
    assert bounds == sorted(bounds, reverse=True)


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_the_size_of_the_parts_changes_nothing_but_their_size(monkeypatch, at_once):
    boxes = make_boxes(3, spread=20)
    sweep = sweep_within(layers_of(boxes, 100.0)[0], 1.0)
    whole = listed(sweep)
    monkeypatch.setattr(sweeps, "_AT_ONCE", at_once)
    largest = max(int((stop - start).max()) for start, stop in sweep.ranges)
    assert listed(sweep) == whole
    assert max(len(part) for part, _ in sweep) <= max(at_once, largest)
    assert len(whole) == sweep.candidates


def test_far_apart_boxes_are_not_compared():
    """A million boxes that do not touch would be 5e11 pairs."""
    x, y = np.meshgrid(np.arange(300.0) * 10, np.arange(300.0) * 10)
    low = np.stack([x.ravel(), y.ravel()], axis=1)
    (layer,) = layers_of(np.hstack([low, low + 9]), 9.0)
    assert sweep_within(layer, 1 / 3).candidates == 0
    assert sweep_within(layer, 1.0).candidates < 5 * len(low)


def test_no_boxes_have_no_layers():
    nothing = np.zeros((0, 4))
    assert longest_side(nothing) == 0
    assert layers_of(nothing, 0.0) == []
    assert layers_of(np.array([[1.0, 1, 1, 5]]), 4.0) == []
