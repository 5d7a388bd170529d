from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.geometry.windows import Window, WindowGrid

ALIGNS = st.integers(0, 9)


@st.composite
def grids(draw, longest=90, aligns=ALIGNS):
    size = draw(st.integers(1, 40))
    sides = st.integers(1, longest)
    overlap = draw(st.integers(0, size - 1))
    align = min(draw(aligns), size - overlap)
    before = st.integers(0, max(align - 1, 0))
    return WindowGrid(draw(sides), draw(sides), size, overlap, align, draw(before), draw(before))


def starts(length, size, overlap):
    """List the starts as the plan says it in words: a stride apart, the last one flush."""
    found = [0]
    while found[-1] + size < length:
        found.append(min(found[-1] + size - overlap, length - size))
    return found


def cells(window):
    return np.s_[window.row_off : window.row_end, window.col_off : window.col_end]


@given(grids())
def test_the_cores_partition_the_raster(grid):
    owners = np.zeros((grid.height, grid.width), int)
    for index in range(len(grid)):
        core = grid.core(index)
        assert owners[cells(core)].shape == (core.height, core.width)
        owners[cells(core)] += 1
    assert (owners == 1).all()


@given(grids(aligns=st.just(0)))
def test_windows_lie_inside_in_rows_and_have_the_size_where_the_raster_has_it(grid):
    columns = starts(grid.width, grid.size, grid.overlap)
    rows = starts(grid.height, grid.size, grid.overlap)
    width, height = min(grid.size, grid.width), min(grid.size, grid.height)
    assert list(grid) == [Window(c, r, width, height) for r in rows for c in columns]
    assert (grid.columns, grid.rows) == (len(columns), len(rows))
    for window in grid:
        assert 0 <= window.col_off < window.col_end <= grid.width
        assert 0 <= window.row_off < window.row_end <= grid.height


@given(grids(), st.integers(1, 12))
def test_strips_change_nothing_but_the_order(grid, columns):
    cut = replace(grid, strip_columns=columns)
    assert {*zip(cut, map(cut.core, range(len(cut))), strict=True)} == {
        *zip(grid, map(grid.core, range(len(grid))), strict=True)
    }
    lefts = sorted({window.col_off for window in grid})
    order = [(lefts.index(w.col_off) // columns, w.row_off, w.col_off) for w in cut]
    assert order == sorted(order)
    assert cut.strips == order[-1][0] + 1
    assert cut.lines == cut.strips * grid.rows == cut.line(len(cut))


@given(grids(), st.integers(0, 12))
def test_a_line_is_a_row_of_windows_of_a_strip(grid, columns):
    grid = replace(grid, strip_columns=columns)
    lines = [grid.windows_of_line(line) for line in range(grid.lines)]
    assert [index for line in lines for index in line] == list(range(len(grid)))
    assert [grid.line(line[0]) for line in lines] == list(range(grid.lines))
    assert all(grid.line(index) == number for number, line in enumerate(lines) for index in line)
    for number, line in enumerate(lines):
        assert len({grid[index].row_off for index in line}) == 1
        is_last = (number + 1) % grid.rows == 0
        below = grid.height if is_last else grid[lines[number + 1][0]].row_off
        assert {grid.row_below(index) for index in line} == {below}


def test_a_strip_has_a_column_at_least():
    with pytest.raises(ValueError, match="a strip of -1 columns has no windows"):
        WindowGrid(9, 9, 3, 1, strip_columns=-1)


def spans(windows, axis):
    """List (start, end) along an axis, in order and once."""
    return sorted(
        {(w.col_off, w.col_end) if axis == "columns" else (w.row_off, w.row_end) for w in windows}
    )


@given(grids(aligns=st.integers(1, 9)), st.sampled_from(["columns", "rows"]))
def test_aligned_windows_are_few_and_even_and_start_at_multiples(grid, axis):
    length = grid.width if axis == "columns" else grid.height
    before = grid.left if axis == "columns" else grid.top
    found = spans(grid, axis)
    assert (found[0][0], found[-1][1]) == (-before, length)
    assert len(found) == getattr(grid, axis)
    assert all((start + before) % grid.align == 0 for start, _ in found)
    assert all(end - max(start, 0) <= grid.size for start, end in found)
    assert len(found) == 1 or all(end - start <= grid.size for start, end in found)
    shared = [a[1] - b[0] for a, b in pairwise(found)]
    assert all(pixels == grid.overlap for pixels in shared[:-1])
    assert all(pixels >= grid.overlap for pixels in shared[-1:])
    *rest, last = [end - start for start, end in found]
    whole = length + before
    assert len({*rest}) <= 1
    assert max(rest, default=whole) - grid.align < last <= max(rest, default=whole)
    # No grid of fewer windows of this size, overlap and alignment covers the axis.
    most = (grid.size - grid.overlap) // grid.align * grid.align
    assert len(found) == 1 or (len(found) - 1) * most + grid.overlap < whole


@given(grids(aligns=st.just(0)))
def test_neighbours_share_the_overlap_at_least(grid):
    for left, right in pairwise(grid[: grid.columns]):
        assert left.col_end - right.col_off >= grid.overlap


@given(grids())
def test_a_core_keeps_half_the_overlap_from_each_interior_edge(grid):
    for index, window in enumerate(grid):
        core, half = grid.core(index), grid.overlap // 2
        assert core.col_off - window.col_off >= (half if window.col_off > 0 else 0)
        assert core.row_off - window.row_off >= (half if window.row_off > 0 else 0)
        assert window.col_end - core.col_end >= (half if window.col_end < grid.width else 0)
        assert window.row_end - core.row_end >= (half if window.row_end < grid.height else 0)


@given(grids(), st.data())
def test_an_object_is_whole_in_the_window_that_owns_its_centre(grid, data):
    longest = 2 * (grid.overlap // 2)
    low, length = [], []
    for side in (grid.width, grid.height):
        length.append(data.draw(st.floats(0, min(longest, side))))
        low.append(data.draw(st.floats(0, side - length[-1])))
    (x1, y1), (x2, y2) = low, np.add(low, length)
    centre = (x1 + x2) / 2, (y1 + y2) / 2
    owners = [
        window
        for window, core in zip(grid, map(grid.core, range(len(grid))), strict=True)
        if core.col_off <= centre[0] < core.col_end or centre[0] == core.col_end == grid.width
        if core.row_off <= centre[1] < core.row_end or centre[1] == core.row_end == grid.height
    ]
    assert len(owners) == 1
    window = owners[0]
    tiny = 1e-9  # of the sums above
    assert window.col_off - tiny <= x1
    assert x2 <= window.col_end + tiny
    assert window.row_off - tiny <= y1
    assert y2 <= window.row_end + tiny


@given(grids(), st.slices(40))
def test_a_grid_is_indexed_like_a_list(grid, piece):
    windows = [grid[i] for i in range(len(grid))]
    assert len(windows) == len(grid)
    assert list(grid) == windows
    assert grid[piece] == windows[piece]
    assert [grid[-i] for i in range(1, len(grid) + 1)] == windows[::-1]
    assert grid.core(-1) == grid.core(len(grid) - 1)
    assert windows[-1] in grid
    assert grid.index(windows[-1]) == len(windows) - 1


@pytest.mark.parametrize("index", [4, -5, 99])
def test_an_index_beyond_the_grid_is_an_error(index):
    grid = WindowGrid(20, 20, 10, 0)
    with pytest.raises(IndexError, match=f"window {index} of a grid of 4"):
        grid[index]
    with pytest.raises(IndexError, match=f"window {index} of a grid of 4"):
        grid.core(index)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 4, 1), "a raster of 0 x 5 px has no windows"),
        ((5, -1, 4, 1), "a raster of 5 x -1 px has no windows"),
        ((5, 5, 4, 4), r"overlap 4 must be in \[0, size\), and size is 4"),
        ((5, 5, 4, -1), "overlap -1 must be in"),
        ((5, 5, 0, 0), "overlap 0 must be in .*, and size is 0"),
        ((5, 5, 4, 0, 2, 2, 0), "multiples of 2 cannot be counted from 2 columns and 0 rows"),
        ((5, 5, 4, 0, 2, 0, -1), "multiples of 2 cannot be counted from 0 columns and -1 rows"),
        ((5, 5, 4, 0, 0, 1, 0), "multiples of 0 cannot be counted from 1 columns and 0 rows"),
    ],
)
def test_an_impossible_grid_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        WindowGrid(*arguments)


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (-3, 4)])
def test_a_window_has_a_positive_size(size):
    with pytest.raises(ValueError, match=f"a positive size, not {size[0]} x {size[1]}"):
        Window(0, 0, *size)


def test_a_large_grid_is_not_made_of_a_list():
    grid = WindowGrid(10**9, 10**9, 512, 64)
    assert len(grid) == grid.columns**2 > 10**12
    assert grid[-1] == Window(10**9 - 512, 10**9 - 512, 512, 512)
