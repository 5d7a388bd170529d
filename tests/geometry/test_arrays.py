import mmap

import numpy as np
import pytest

from geodet.geometry.arrays import empty_apart


def owner(array):
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float64, ">i2"])
@pytest.mark.parametrize("shape", [(3, 400, 500), (2, 3, 4), (0, 5), (1,)])
def test_an_array_has_its_shape_and_keeps_what_is_written(shape, dtype):
    array = empty_apart(shape, dtype)
    array[...] = 1
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert (array == 1).all()


def test_only_a_large_array_has_memory_of_its_own():
    assert isinstance(owner(empty_apart((3, 512, 512), np.uint8)), mmap.mmap)
    assert not isinstance(owner(empty_apart((3, 16, 16), np.uint8)), mmap.mmap)


def test_memory_is_freed_with_the_last_view():
    array = empty_apart((3, 512, 512), np.uint8)
    held, part = owner(array), array[1, :5]
    del array
    with pytest.raises(BufferError, match="exported"):
        held.close()
    del part
    held.close()
