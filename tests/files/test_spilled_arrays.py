import numpy as np
import pytest

from geodet.errors import OutputError
from geodet.files.spilled_arrays import SpilledArrays


@pytest.mark.parametrize("most_bytes", [0, 100, 10**6])
def test_arrays_come_back_as_they_were(tmp_path, most_bytes):
    rng = np.random.default_rng(0)
    groups = {
        key: (
            rng.random((key, 4)),
            rng.integers(0, 9, key),
            np.zeros((0, 4, 2)),
            rng.random(3) > 0.5,
        )
        for key in (7, 0, 3, 11)
    }
    with SpilledArrays(tmp_path, most_bytes=most_bytes) as spilled:
        for key, arrays in groups.items():
            spilled.add(key, arrays)
        for key, arrays in groups.items():
            for before, after in zip(arrays, spilled.read(key), strict=True):
                np.testing.assert_array_equal(before, after, strict=True)
            spilled.remove(key)
        spilled.add(1, groups[7])
        np.testing.assert_array_equal(spilled.read(1)[0], groups[7][0])
    assert not list(tmp_path.iterdir())


def test_arrays_that_are_not_contiguous_are_written_by_their_values(tmp_path):
    with SpilledArrays(tmp_path, most_bytes=0) as spilled:
        spilled.add(0, [np.arange(12).reshape(3, 4).T])
        assert spilled.read(0)[0].tolist() == np.arange(12).reshape(3, 4).T.tolist()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with (
        SpilledArrays(tmp_path / "none", most_bytes=0) as spilled,
        pytest.raises(OutputError, match=r"cannot write .*none"),
    ):
        spilled.add(0, [np.zeros(3)])
