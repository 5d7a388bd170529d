import pytest

from geodet.files.closable import Closing


class Lamp(Closing):
    closed = 0

    def close(self):
        self.closed += 1


def test_the_end_of_the_block_closes_it():
    with Lamp() as lamp:
        assert lamp.closed == 0
    assert lamp.closed == 1


def test_an_error_closes_it_and_is_raised():
    lamp = Lamp()
    with pytest.raises(ValueError, match="no bulb"), lamp:
        raise ValueError("no bulb")
    assert lamp.closed == 1
