"""Places of value that lie apart."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geodet.suggesting.spread import choose_spread

SIDE = 6


def grid(values):
    y, x = np.divmod(np.arange(SIDE**2), SIDE)
    return np.asarray(values, float), np.stack([x, y], axis=-1).astype(float), np.ones(SIDE**2)


@given(arrays.arrays(float, SIDE**2, elements=st.floats(0, 9)), st.integers(1, 40))
def test_as_many_different_places_as_asked_for_the_best_one_first(values, budget):
    chosen = choose_spread(*grid(values), budget)
    assert len(set(chosen.tolist())) == len(chosen) == min(budget, SIDE**2)
    assert values[chosen[0]] == values.max()


@given(arrays.arrays(float, SIDE**2, elements=st.floats(0.1, 9)), st.integers(1, 4))
def test_no_two_neighbours_while_there_is_another_choice(values, budget):
    _, centres, _ = grid(values)
    chosen = centres[choose_spread(*grid(values), budget)]
    apart = np.abs(chosen[:, None] - chosen[None]).max(axis=-1)  # 1 between neighbours
    assert (apart[~np.eye(len(chosen), dtype=bool)] >= 2).all()


def test_nothing_of_value_is_spread_evenly():
    _, centres, _ = grid(np.zeros(SIDE**2))
    chosen = centres[choose_spread(*grid(np.zeros(SIDE**2)), 4)]
    assert sorted(map(tuple, chosen)) == [(0, 0), (0, 5), (5, 0), (5, 5)]


def test_places_that_are_taken_keep_others_away():
    values, centres, sides = grid(np.ones(SIDE**2))
    values[0] = 9
    assert choose_spread(values, centres, sides, 1).tolist() == [0]
    beside = choose_spread(values, centres, sides, 1, taken=np.array([[1.0, 1.0]]))
    assert centres[beside[0]].max() >= 3


def test_two_images_of_one_place_are_not_both_chosen():
    values, centres = np.array([5.0, 4.9, 1.0]), np.array([[0.0, 0], [0, 0], [50, 0]])
    assert choose_spread(values, centres, np.ones(3), 2).tolist() == [0, 2]
