import pytest

import geodet.detection.stopwatch
from geodet.detection.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by what is appended to the list."""
    steps = []
    monkeypatch.setattr(geodet.detection.stopwatch.time, "perf_counter", lambda: float(sum(steps)))
    return steps


def test_stages_add_up_in_the_order_in_which_they_first_came(clock):
    watch = Stopwatch()
    for seconds in (1, 4):
        with watch.measure("read"):
            clock.append(seconds)
        with watch.measure("forward"):
            clock.append(10 * seconds)
    assert list(watch.seconds.items()) == [("read", 5.0), ("forward", 50.0)]


def test_an_error_ends_its_stage_and_passes(clock):
    watch = Stopwatch()

    def fail():
        with watch.measure("read"):
            clock.append(3)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert watch.seconds == {"read": 3.0}


def test_waiting_for_items_is_timed_and_their_use_is_not(clock):
    def slow():
        for item in "ab":
            clock.append(2)
            yield item
        clock.append(1)  # the end is waited for, too

    watch, seen = Stopwatch(), []
    for item in watch.measure_each("read", slow()):
        clock.append(100)
        seen.append(item)
    assert (seen, watch.seconds) == (["a", "b"], {"read": 5.0})


def test_the_device_is_waited_for_before_and_after_a_stage(clock):
    watch = Stopwatch(settle=lambda: clock.append(7))
    with watch.measure("forward"):
        pass
    assert watch.seconds == {"forward": 7.0}
    assert clock == [7, 7]
