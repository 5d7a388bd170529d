import mmap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.geometry.arrays import all_true, drop_spare_pages, empty_apart, is_all_true


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
    drop_spare_pages()


def test_the_pages_of_an_array_that_is_gone_serve_the_next_of_its_size():
    drop_spare_pages()
    array = empty_apart((3, 512, 512), np.uint8)
    held, part = owner(array), array[1, :5]
    del array
    assert owner(empty_apart((3, 512, 512), np.uint8)) is not held  # a view is left
    del part
    assert owner(empty_apart((512, 512, 3), np.bool_)) is held


def test_pages_of_another_size_make_room():
    drop_spare_pages()
    held = owner(empty_apart((3, 512, 512), np.uint8))
    empty_apart((4, 512, 512), np.uint8)
    assert owner(empty_apart((3, 512, 512), np.uint8)) is not held


@given(st.lists(st.tuples(st.sampled_from([2**17, 2**18, 3 * 2**17]), st.booleans()), max_size=30))
def test_no_two_arrays_in_use_share_pages(steps):
    kept = []
    for size, is_kept in steps:
        array = empty_apart((size,), np.uint8)
        array[:] = len(kept)
        kept += [array] if is_kept else []
    for number, array in enumerate(kept):
        assert (array == number).all()


def test_threads_do_not_share_pages():
    def fill(number):
        array = empty_apart((2**17,), np.uint8)
        array[:] = number
        return bool((array == number).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fill, list(range(200)) * 3))


def test_an_array_of_true_takes_no_memory_and_cannot_be_written():
    array = all_true((3, 40, 50))
    assert array.shape == (3, 40, 50)
    assert array.dtype == np.bool_
    assert array.all()
    assert not any(array.strides)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = False


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_all_values_are_true_or_not(values):
    array = np.array(values)
    assert is_all_true(array) == all(values)
    assert is_all_true(np.broadcast_to(array[:1], (5,))) == values[0]
    assert is_all_true(all_true((2, 3)))
