from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from factories_models import architecture, seeded_network
from hypothesis import given
from hypothesis import strategies as st

import geodet.detection.window_plan
from geodet.config import DetectConfig, ModelConfig
from geodet.detection.predictor import Predictor
from geodet.detection.window_plan import (
    count_band_rows,
    free_memory,
    list_bands,
    plan_windows,
)
from geodet.geometry.windows import WindowGrid, WindowLimits
from geodet.models.input_values import InputValues
from geodet.models.torch_engine import TorchEngine

OPEN = DetectConfig()


def make_predictor(object_px=None, backbone="resnet18", **keys):
    return Predictor(
        TorchEngine(
            seeded_network(architecture(**keys)).eval(), torch.device("cpu"), torch.bfloat16
        ),
        values=InputValues((0.0,) * 3, (1.0,) * 3),
        score_threshold=0.5,
        iou_threshold=0.5,
        max_candidates=10,
        object_px=object_px,
        architecture=ModelConfig(backbone=backbone),
    )


@given(st.integers(8192, 60_000), st.integers(8192, 60_000), st.floats(0, 53))
def test_the_overlap_costs_at_most_a_tenth_of_a_large_scene(predictor_of, width, height, length):
    plan = plan_windows(predictor_of(length), OPEN, width, height)
    across, down = plan.grid[0], plan.grid[len(plan.grid) - 1]
    assert across.width <= plan.grid.size >= down.width
    columns = [plan.grid[i] for i in range(plan.grid.columns)]
    rows = [plan.grid[i * plan.grid.columns] for i in range(plan.grid.rows)]
    read = sum(w.width for w in columns) * sum(w.height for w in rows)
    assert read / (width * height) <= 1.105


@pytest.fixture(scope="module")
def predictor_of():
    """Make predictors for objects of any length, of one network."""
    predictor = make_predictor()

    def of(length):
        predictor.object_px = length
        return predictor

    return of


def test_small_scenes_are_one_window(predictor_of):
    plan = plan_windows(predictor_of(12), OPEN, 700, 400)
    assert [(w.width, w.height) for w in plan.grid] == [(700, 400)]
    assert plan.batch_size == 1


@given(st.floats(54, 400))
def test_the_overlap_holds_the_largest_objects(predictor_of, length):
    assert plan_windows(predictor_of(length), OPEN, 10_000, 10_000).grid.overlap >= length


@pytest.mark.parametrize(
    ("backbone", "size", "overlap"),
    [
        ("resnet18", None, 64),
        ("resnet18", 512, 64),
        ("efficientnet_lite0", None, 96),
        ("efficientnet_lite0", 800, 96),
        ("efficientnet_lite0", 512, 128),
        ("efficientnet_lite0", 320, 80),  # no more than a quarter
    ],
)
def test_networks_that_look_further_have_more_overlap(backbone, size, overlap):
    config = DetectConfig(chip_size=size)
    assert plan_windows(make_predictor(12, backbone), config, 9000, 9000).grid.overlap == overlap


@given(
    size=st.none() | st.integers(32, 3000),
    overlap=st.none() | st.integers(0, 1000),
    batch=st.none() | st.integers(1, 9),
    sides=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_a_given_size_overlap_and_batch_size_are_used(predictor_of, size, overlap, batch, sides):
    if size and overlap and overlap > size // 2:
        overlap = size // 2
    config = DetectConfig(chip_size=size, overlap=overlap, batch_size=batch)
    plan = plan_windows(predictor_of(40), config, *sides)
    assert size is None or plan.grid.size == size
    assert overlap is None or plan.grid.overlap == overlap
    assert batch is None or plan.batch_size == batch
    assert plan.batch_size >= 1


def test_starts_are_multiples_of_the_coarsest_stride(predictor_of):
    predictor = predictor_of(12)
    stride = predictor.stride
    assert stride == 2 ** max(architecture().backbone_level, *architecture().levels)
    for window in plan_windows(predictor, OPEN, 9000, 4000).grid:
        assert (window.col_off % stride, window.row_off % stride) == (0, 0)


@given(st.integers(0, 2**36))
def test_windows_shrink_in_steps_where_little_memory_is_free(predictor_of, free):
    """A quarter of what is free is taken, at most 640 MiB and at least 40 MiB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geodet.detection.window_plan, "free_memory", lambda: free)
        memory = geodet.detection.window_plan._memory(torch.device("cpu"))
    assert memory in [640 * 2**20 / 2**k for k in range(5)]
    assert memory <= free / 4 or memory == 40 * 2**20
    assert memory > free / 8 or memory == 640 * 2**20


def test_windows_are_smaller_where_little_memory_is_free(predictor_of, monkeypatch):
    predictor = predictor_of(12)
    before = plan_windows(predictor, OPEN, 20_000, 20_000)
    need = predictor.bytes_per_pixel
    monkeypatch.setattr(geodet.detection.window_plan, "_MEMORY", need * 800**2 + 1)
    after = plan_windows(predictor, OPEN, 20_000, 20_000)
    assert (before.grid.size > 800, after.grid.size) == (True, 800)


@given(rows=st.integers(0, 3000), height=st.integers(100, 4000), length=st.floats(0, 120))
def test_windows_are_as_tall_as_the_scene_keeps_rows(predictor_of, rows, height, length):
    predictor = predictor_of(length)
    free = plan_windows(predictor, OPEN, 20_000, height).grid
    grid = plan_windows(predictor, OPEN, 20_000, height, limits=WindowLimits(rows)).grid
    if rows >= min(free.size, height) or rows < 4 * free.overlap:
        assert grid == free
    else:
        assert (grid.size, grid.overlap) == (rows, free.overlap)
        assert max(window.height for window in grid) <= rows


def test_a_given_size_is_used_whatever_the_scene_keeps(predictor_of):
    config = DetectConfig(chip_size=512)
    limits = WindowLimits(rows=400)
    assert plan_windows(predictor_of(12), config, 9000, 9000, limits=limits).grid.size == 512


@given(width=st.integers(100, 60_000), columns=st.integers(1, 70_000))
def test_strips_are_equal_and_as_wide_as_the_scene_keeps_columns(predictor_of, width, columns):
    free = plan_windows(predictor_of(12), OPEN, width, 3000).grid
    grid = plan_windows(
        predictor_of(12), OPEN, width, 3000, limits=WindowLimits(columns=columns)
    ).grid
    assert replace(grid, strip_columns=0) == free
    stride = free[0].width - free.overlap
    assert (grid.strips == 1) is (
        columns >= stride * free.columns + free.overlap or free.columns == 1
    )
    firsts = [grid.windows_of_line(line) for line in range(0, grid.lines, grid.rows)]
    assert sum(map(len, firsts)) == grid.columns
    for strip in firsts[:-1]:
        assert len(strip) == 1 or grid[strip[-1]].col_end - grid[strip[0]].col_off <= columns
    assert len(firsts[0]) - len(firsts[-1]) < len(firsts)


def test_no_band_has_windows_of_two_strips():
    grid = WindowGrid(7, 9, size=1, overlap=0, strip_columns=3)
    bands = list_bands(grid, 1, range(63), rows=4)
    assert [len(band) for band in bands] == [12, 12, 3, 12, 12, 3, 4, 4, 1]
    assert [index for band in bands for index in band] == list(range(63))
    few = list_bands(grid, 1, [0, 26, 27, 62], rows=4)
    assert few == [[0], [26], [27], [62]]
    assert count_band_rows(grid, 1) == 9


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Measure the memory anew, with 2 MiB available and a control group that a test may write."""
    memory = SimpleNamespace(available=2 * 2**20)
    monkeypatch.setattr(geodet.detection.window_plan.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(geodet.detection.window_plan, "_CGROUP", tmp_path)
    free_memory.cache_clear()
    yield memory
    free_memory.cache_clear()


def test_this_machine_has_free_memory():
    assert 2**20 < free_memory() < 2**50


def test_free_memory_is_measured_once(machine):
    assert free_memory() == 2 * 2**20
    machine.available = 2**20
    assert free_memory() == 2 * 2**20


@pytest.mark.parametrize(
    ("limit", "expected"), [("1500000", 500_000), ("900000", 0), ("max", 2 * 2**20)]
)
def test_a_container_has_what_its_limit_leaves(machine, tmp_path, limit, expected):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.stat").write_text("anon 1000000\nfile 400000\n")
    assert free_memory() == expected
