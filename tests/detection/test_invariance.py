"""The rows of a detection do not depend on how the work is cut and scheduled."""

import csv
import random
import threading
import time

import numpy as np
import pytest
from affine import Affine
from pretended_predictor import SMALL
from pyproj import CRS

from geodet.config.recipes import resolve_config
from geodet.demo.town import paint_town
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.predictor import build_predictor
from geodet.detection.scene_run import detect_scene
from geodet.evaluation.matching import match, overlapping_pairs
from geodet.geometry.geobox import GeoBox
from geodet.models.checkpoint import load_checkpoint
from geodet.onnx import onnx_engine
from geodet.onnx.backend import load_onnx_model
from geodet.onnx.export import export_model
from geodet.onnx.onnx_engine import OnnxEngine
from geodet.raster.geotiff import write_raster
from geodet.raster.scene import Scene
from geodet.vector.read_detections import read_detections

CPU = DetectOptions(device="cpu")


@pytest.fixture
def detect(make_scene, make_model, tmp_path):
    """Return a function that detects in one scene with other settings, and returns all bytes."""
    scene = make_scene(width=450, height=300, nodata=0, holes=[(200, 0, 330, 170)])
    model = load_checkpoint(make_model())

    def run(name, **settings):
        output = tmp_path / f"{name}.csv"
        config = SMALL.model_copy(update=settings)
        report = detect_to_files([scene], [output], model, config, CPU)
        assert sum(report.labels.values()) > 20
        return output.read_bytes()

    return run


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_rows_are_the_same_for_any_number_of_readers(detect, workers):
    assert detect("more", workers=workers) == detect("two", workers=2)


@pytest.mark.parametrize("tta", [False, True])
def test_rows_are_the_same_where_two_windows_are_computed_at_a_time(
    make_scene, make_model, tmp_path, monkeypatch, tta
):
    path = tmp_path / "tiny.onnx"
    export_model(load_checkpoint(make_model()), path, reader="plain")
    model = load_onnx_model(path)
    scene = make_scene(width=450, height=300, nodata=0, holes=[(200, 0, 330, 170)])
    forward, names, found = OnnxEngine.forward, set(), {}

    def note(self, *chips):
        names.add(threading.current_thread().name.rpartition("_")[0])
        return forward(self, *chips)

    monkeypatch.setattr(OnnxEngine, "forward", note)
    monkeypatch.setattr(onnx_engine, "read_origin", lambda _: ("int8", ""))
    for threads in (1, 2):
        monkeypatch.setattr(onnx_engine, "count_threads", lambda threads=threads: threads)
        names.clear()
        output = tmp_path / f"{threads}.csv"
        detect_to_files(
            [scene],
            [output],
            model,
            SMALL.model_copy(update={"tta": tta, "precision": "auto"}),
            CPU,
        )
        found[threads] = output.read_bytes()
        assert names == {"" if threads == 1 else "geodet-pair"}
    assert found[1] == found[2]
    assert found[1].count(b"\n") > (1 if tta else 20)  # with a line of names


def test_windows_are_computed_in_turn_where_the_stages_are_timed(
    make_scene, make_model, tmp_path, monkeypatch
):
    path = tmp_path / "tiny.onnx"
    export_model(load_checkpoint(make_model()), path, reader="plain")
    monkeypatch.setattr(onnx_engine, "count_threads", lambda: 2)
    forward, threads = OnnxEngine.forward, set()

    def note(self, *chips):
        threads.add(threading.current_thread())
        return forward(self, *chips)

    monkeypatch.setattr(OnnxEngine, "forward", note)
    monkeypatch.setattr(onnx_engine, "read_origin", lambda _: ("int8", ""))
    scene, output = make_scene(width=450, height=300), tmp_path / "timed.csv"
    any_precision = SMALL.model_copy(update={"precision": "auto"})
    options = DetectOptions(device="cpu", profile=True)
    detect_to_files([scene], [output], load_onnx_model(path), any_precision, options)
    assert threads == {threading.main_thread()}


def test_rows_are_the_same_in_whichever_order_reads_are_done(detect, monkeypatch):
    expected = detect("plain", workers=4)
    read, done, lock = Scene.read, [], threading.Lock()
    waits = random.Random(0)

    def slowly(self, window):
        with lock:
            seconds = waits.uniform(0, 0.03)
        chip = read(self, window)
        time.sleep(seconds)
        with lock:
            done.append((window.row_off, window.col_off))
        return chip

    monkeypatch.setattr(Scene, "read", slowly)
    assert detect("shuffled", workers=4) == expected
    assert done != sorted(done)  # the order was another one


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_rows_are_the_same_for_any_batch_size(detect, batch):
    one, other = detect("four", batch_size=4), detect("other", batch_size=batch)
    numbers = [
        [
            list(map(float, row[2:3] + row[4:8]))
            for row in csv.reader(text.decode().splitlines()[1:])
        ]
        for text in (one, other)
    ]
    assert len(numbers[0]) == len(numbers[1])
    np.testing.assert_allclose(*numbers, atol=1e-3)  # sums of floats in another order


@pytest.mark.parametrize(("x", "y"), [(100, 37), (5, 0)])
def test_a_part_that_was_cut_out_of_a_scene_shows_the_same_objects(tmp_path, x, y):
    whole, part = detect_in_parts(tmp_path, [(0, 0), (x, y)])
    moved = part.shifted(x, y)
    inside = [keep_inside(found, x + MARGIN, y + MARGIN) for found in (whole, moved)]
    # Measured: 1; 0.91 and 0.92 where windows are counted from the corner of each part.
    assert agreement(*inside) >= 0.98


MARGIN = 160
"""Pixels from the edges of a part whose objects have lost their surroundings."""


def detect_in_parts(folder, corners):
    """Detect in parts of one painted town, each from another corner to its end."""
    pixels = paint_town(1024, 1024, seed=11).pixels
    model = load_checkpoint("urban-trees")
    for number, (x, y) in enumerate(corners):
        scene = folder / f"{number}.tif"
        transform = Affine(0.6, 0, 447000.2 + 0.6 * x, 0, -0.6, 5411000 - 0.6 * y)
        geobox = GeoBox(1024 - x, 1024 - y, transform, CRS.from_epsg(32633))
        write_raster(scene, pixels[:, y:, x:], geobox)
        with Scene(scene) as opened:
            predictor = build_predictor(model, resolve_config().detect, "cpu")
            yield detect_scene(opened, predictor, resolve_config().detect).detections


def keep_inside(found, left, top):
    return found.select((found.boxes[:, :2] > [left, top]).all(axis=1))


def agreement(one, other):
    pairs = overlapping_pairs(one.boxes.astype(np.float64), other.boxes.astype(np.float64), 0.5)
    assert len(one) > 100
    return 2 * len(match(pairs)[0]) / (len(one) + len(other))


def test_chips_of_512_px_find_what_the_default_finds(tmp_path):
    painting = paint_town(1536, 1536, seed=11)
    geobox = GeoBox(1536, 1536, Affine(0.6, 0, 447000, 0, -0.6, 5411000), CRS.from_epsg(32633))
    write_raster(tmp_path / "town.tif", painting.pixels, geobox)
    model = load_checkpoint("urban-trees")
    found = []
    for name, settings in (("default", {}), ("small", {"detect.chip_size": 512})):
        output = tmp_path / f"{name}.gpkg"
        config = resolve_config(settings=settings).detect
        detect_to_files([tmp_path / "town.tif"], [output], model, config, CPU)
        found.append(read_detections(output, model.description.classes))
    # Measured: 0.998 with the overlap of 128 px that is chosen for such windows, 0.990 with 64 px.
    assert agreement(*found) >= 0.995
