import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.detection.ahead import iter_ahead, map_ahead


def counting(stop, taken, *, fails_at=None):
    for number in range(stop):
        if number == fails_at:
            raise ValueError(f"number {number}")
        taken.append(number)
        yield number


@given(st.integers(0, 20), st.integers(1, 4))
def test_items_come_in_their_order(stop, most):
    assert list(iter_ahead(counting(stop, []), most=most, name="ahead")) == list(range(stop))


def test_no_more_are_computed_than_may_wait():
    taken = []
    items = iter_ahead(counting(50, taken), most=3, name="ahead")
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(taken) < 1 + 3 + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(taken) == 1 + 3 + 1  # taken, waiting, and the one that waits for room
    items.close()


@pytest.mark.parametrize("fails_at", [0, 3])
def test_an_error_comes_where_its_item_would_have_come(fails_at):
    found = []
    with pytest.raises(ValueError, match=f"number {fails_at}"):
        found.extend(iter_ahead(counting(9, [], fails_at=fails_at), most=2, name="ahead"))
    items = iter_ahead(counting(9, [], fails_at=fails_at), most=2, name="ahead")
    assert [next(items) for _ in range(fails_at)] == list(range(fails_at))
    with pytest.raises(ValueError, match=f"number {fails_at}"):
        next(items)


@pytest.mark.parametrize("used", [1, 5])
def test_closing_ends_the_thread_and_closes_the_generator(used):
    is_closed = threading.Event()

    def endless():
        try:
            while True:
                yield threading.current_thread().name
        finally:
            is_closed.set()

    before = threading.active_count()
    inner = iter_ahead(endless(), most=1, name="inner")
    items = iter_ahead(inner, most=2, name="outer")
    assert [next(items) for _ in range(used)] == ["inner"] * used
    items.close()
    assert is_closed.is_set()
    assert threading.active_count() == before


@given(st.integers(0, 20), st.integers(1, 4))
def test_results_of_threads_come_in_the_order_of_their_items(stop, threads):
    def slower_if_even(number):
        time.sleep(0.002 * (number % 2 == 0))
        return number * 10

    found = list(map_ahead(slower_if_even, range(stop), threads=threads, name="map"))
    assert found == [number * 10 for number in range(stop)]


def test_as_many_items_are_taken_as_keep_the_threads_busy():
    taken = []
    results = map_ahead(str, counting(50, taken), threads=2, name="map")
    assert (next(results), len(taken)) == ("0", 3)
    assert (next(results), len(taken)) == ("1", 4)
    results.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("map")]


@pytest.mark.parametrize("fails_at", [0, 3])
@pytest.mark.parametrize("fails_in", ["items", "function"])
def test_an_error_comes_after_the_results_before_it(fails_in, fails_at):
    def check(number):
        if number == fails_at and fails_in == "function":
            raise ValueError(f"number {number}")
        return number

    items = counting(9, [], fails_at=fails_at if fails_in == "items" else None)
    results = map_ahead(check, items, threads=2, name="map")
    assert [next(results) for _ in range(fails_at)] == list(range(fails_at))
    with pytest.raises(ValueError, match=f"number {fails_at}"):
        next(results)
    assert not [one for one in threading.enumerate() if one.name.startswith("map")]
