"""Ground that a scene does not show is ground that nobody examined."""

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pretended_predictor import SMALL

from geodet.detection.blank_ground import choose_cell, list_blank
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.geometry.windows import Window
from geodet.raster.scene import Scene
from geodet.vector.provenance import EXAMINED
from geodet.vector.vector_summary import summarise_vector

HOLE = (160, 0, 300, 260)  # the right part of a scene
PAINT = {"width": 300, "height": 260, "nodata": 0}


@given(
    seed=st.integers(0, 1000),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    cell=st.integers(1, 20),
)
def test_the_rectangles_are_all_whole_cells_without_data(seed, height, width, cell):
    draw = np.random.default_rng(seed)
    window = Window(*draw.integers(-50, 50, 2).tolist(), width + 13, height + 9)
    core = Window(window.col_off + 4, window.row_off + 7, width, height)
    valid = draw.random((window.height, window.width)) < 0.5 / cell
    valid[draw.integers(window.height) :] |= draw.random() < 0.5
    covered = np.zeros(valid.shape, int)
    for area in list_blank(valid, window, core, cell=cell):
        one = area.shifted(-window.col_off, -window.row_off)
        covered[one.row_off : one.row_end, one.col_off : one.col_end] += 1
    wanted = np.zeros(valid.shape, int)
    for row in range(7, 7 + height, cell):
        for column in range(4, 4 + width, cell):
            place = np.s_[row : min(row + cell, 7 + height), column : min(column + cell, 4 + width)]
            wanted[place] = not valid[place].any()
    np.testing.assert_array_equal(covered, wanted)


def test_a_whole_window_has_none_and_an_empty_one_is_a_single_rectangle():
    window = Window(10, 20, 64, 48)
    assert list_blank(np.ones((48, 64), bool), window, window, cell=16) == ()
    assert list_blank(np.zeros((48, 64), bool), window, window, cell=16) == (window,)


def test_a_large_scene_has_larger_cells():
    assert choose_cell(300, 260) == 16
    assert choose_cell(40_960, 100) == 160


def examined(scene, output, model, **options):
    chosen = DetectOptions(device="cpu", **options)
    detect_to_files([scene], [output], model, SMALL, chosen)
    metadata = pyogrio.read_info(output, layer="detections")["layer_metadata"]
    return shapely.from_wkt(metadata[EXAMINED])


def ground(path, *corners):
    with Scene(path) as scene:
        return shapely.Polygon(scene.geobox.corners(np.array([corners], float))[0])


@pytest.mark.parametrize("how", [{"nodata": 0}, {"alpha": True}, {"mask": True}])
@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_the_part_without_data_is_not_examined(make_scene, tiny_model, tmp_path, how, rotation):
    scene = make_scene(holes=[HOLE], rotation=rotation, **(PAINT | {"nodata": None} | how))
    area = examined(scene, tmp_path / "out.gpkg", tiny_model)
    shown, cell = ground(scene, 0, 0, 160, 260), 16 * 0.6
    assert area.buffer(1e-6).covers(shown.buffer(-2 * cell))
    assert shown.buffer(2 * cell).covers(area)


def test_a_scene_without_data_shows_no_ground(make_scene, tiny_model, tmp_path):
    scene = make_scene(holes=[(0, 0, 300, 260)], **PAINT)
    assert examined(scene, tmp_path / "out.gpkg", tiny_model).is_empty
    assert summarise_vector(tmp_path / "out.gpkg").examined_ha == 0


def test_a_slanted_edge_is_a_line_and_no_stairs(make_scene, tiny_model, tmp_path):
    stairs = [(2 * step, 0, 300, step + 1) for step in range(150)]
    scene = make_scene(holes=stairs, **PAINT)
    area = examined(scene, tmp_path / "out.gpkg", tiny_model)
    assert len(area.exterior.coords) < 12
    triangle = shapely.Polygon([(0, 0), (300, 0), (300, 150)])
    with Scene(scene) as opened:
        empty = shapely.transform(triangle, opened.geobox.to_world)
    assert area.intersection(empty).area < 0.35 * empty.area
    assert ground(scene, 0, 160, 300, 260).within(area.buffer(1e-6))


def test_an_interrupted_run_knows_what_it_had_read(
    make_scene, tiny_model, tmp_path, bands_of_one_row, monkeypatch
):
    scene = make_scene(holes=[HOLE], **PAINT)
    whole = examined(scene, tmp_path / "whole.gpkg", tiny_model)
    output, read, windows = tmp_path / "out.gpkg", Scene.read, []

    def fail_late(self, window):
        windows.append(window)
        if window.row_off > 150 and window.height > 40:
            raise KeyboardInterrupt
        return read(self, window)

    monkeypatch.setattr(Scene, "read", fail_late)
    with pytest.raises(KeyboardInterrupt):
        examined(scene, output, tiny_model)
    monkeypatch.setattr(Scene, "read", lambda self, w: windows.append(w) or read(self, w))
    windows.clear()
    assert examined(scene, output, tiny_model).equals(whole)
    assert min(window.row_off for window in windows if window.height > 40) > 0
