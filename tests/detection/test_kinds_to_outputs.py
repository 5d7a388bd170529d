"""The table: every kind of raster through ``detect`` into the main outputs, and read back.

Bright boxes are painted at whole pixels, a stub of a network finds them in the chips that it is
given, and what the files say must be the painted corners under the raster's own transform.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from factories_kinds import KINDS, OBJECTS, PALM, TREE, Place
from factories_rasters import BYTE_IN, real_file
from pretended_predictor import SMALL, BrightnessSeer
from pretended_predictor import Seer as Knowing
from pyproj import CRS, Transformer
from readings import READERS, WGS_84, read_with_gdal, read_with_ogr2ogr

import geodet.detection.detect as detect_module
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.geometry.boxes import Detections
from geodet.models.checkpoint import load_checkpoint
from geodet.models.decode import Decoded

CLASSES = ("palm", "tree")
FORMATS = tuple(READERS)
CONFIG = SMALL.model_copy(update={"chip_size": 48, "resample": False})
DIGITS = 1e-9  # degrees: the last one that GeoJSON is written with
METRE = 1 / 111_000  # in degrees


class Seer(BrightnessSeer):
    """Finds bright boxes in the first band of a chip; palms are less bright than trees."""

    def look_at(self, chip):
        levels = chip.pixels[:1] / BYTE_IN.get(chip.pixels.dtype.name, 1 / 255)
        found = super().look_at(replace(chip, pixels=levels)).detections
        brightest = [levels[0, y1:y2, x1:x2].max() for x1, y1, x2, y2 in found.boxes.astype(int)]
        labels = (np.array(brightest) > (PALM + TREE) / 2).astype(int)
        return Decoded(Detections(found.boxes, found.scores, labels), 0)


@pytest.fixture(scope="module")
def model(make_model):
    return load_checkpoint(make_model("classes.safetensors", classes=CLASSES, share=0.5))


@pytest.fixture
def found_in(model, monkeypatch):
    """Return a function that detects with a stub in place of the network."""

    def find(path, output, stub, **changes):
        monkeypatch.setattr(detect_module, "build_predictor", lambda *_, **__: stub)
        config = CONFIG.model_copy(update=changes)
        detect_to_files([path], [output], model, config, DetectOptions(device="cpu"))
        return output

    return find


def check_bounds(reading, boxes, place, tolerance):
    """Compare geometries with boxes in the pixels of a place, corner by corner."""
    assert reading.shapes.shape == (len(boxes),)
    assert (shapely.get_type_id(reading.shapes) == shapely.GeometryType.POLYGON).all()
    assert shapely.is_valid(reading.shapes).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(reading.shapes)).all()
    assert (shapely.get_num_coordinates(reading.shapes) == 5).all()
    world = reading.shapes
    if place.crs is not None:
        to_place = Transformer.from_crs(reading.crs, place.crs, always_xy=True)
        world = shapely.transform(world, to_place.transform, interleaved=False)
    pixels = shapely.transform(world, lambda xy: np.stack((~place.transform) @ xy.T, axis=-1))
    distances = shapely.hausdorff_distance(pixels, shapely.box(*np.array(boxes).T))
    assert distances.max() <= tolerance


def check_crs(reading, crs, suffix):
    expected = WGS_84 if suffix == "geojson" else crs
    assert (reading.crs is None) == (expected is None)
    assert expected is None or reading.crs.equals(expected, ignore_axis_order=True)


def digits_px(place):
    """Convert the last digit of GeoJSON coordinates to pixels."""
    if place.crs is None:
        return DIGITS
    pixel = abs(place.transform.determinant) ** 0.5
    return DIGITS / (pixel if place.crs.is_geographic else pixel * METRE)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_painted_objects_come_out_where_they_are(make_scene, found_in, tmp_path, kind, suffix):
    kind = KINDS[kind]
    path = kind.make(make_scene, OBJECTS)
    output = found_in(path, tmp_path / f"out.{suffix}", Seer(135), bands=kind.bands)
    place = kind.place or Place.of(path)
    *boxes, brightness = np.array(sorted(OBJECTS, key=lambda one: (one[1], one[0]))).T
    boxes = np.stack(boxes, axis=1)
    for read in READERS[suffix]:
        reading = read(output).sorted()
        assert reading.fields["label"].tolist() == [
            "tree" if level == TREE else "palm" for level in brightness
        ]
        assert set(reading.fields["scene"]) == {Path(path).name}
        sides = reading.boxes[:, 2:] - reading.boxes[:, :2]
        scores = 1 - 1 / (1 + sides.prod(axis=1))
        np.testing.assert_allclose(reading.fields["score"], scores, rtol=0, atol=1e-6)
        np.testing.assert_allclose(reading.boxes, boxes, rtol=0, atol=kind.tolerance)
        check_crs(reading, kind.crs or place.crs, suffix)
        more = digits_px(place) if suffix == "geojson" else 0
        check_bounds(reading, boxes, place, kind.tolerance + more)


REAL = {
    "Kampala": ("scenes", "kampala_7cm.tif", CRS.from_epsg(3857)),
    "tree chip": ("urban-trees", "long_beach*.tif", CRS.from_epsg(26911)),
    "thermal frame": ("thermal", "*.jpg", None),
}
BOXES = np.array([(12.25, 7.5, 40, 30.125), (96, 128, 128, 150.75), (3, 199, 31.5, 255)])


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", REAL)
def test_boxes_of_real_rasters_come_out_where_they_are(found_in, tmp_path, name, suffix):
    folder, pattern, crs = REAL[name]
    path = real_file(folder, pattern)
    how = {"chip_size": 512, "overlap": 64, "bands": () if crs else (1, 1, 1)}
    output = found_in(path, tmp_path / f"out.{suffix}", Knowing(BOXES), **how)
    place = Place.of(path)
    for read in READERS[suffix]:
        reading = read(output).sorted()
        np.testing.assert_allclose(reading.boxes, BOXES, rtol=0, atol=1e-9)
        assert set(reading.fields["label"]) == {"palm"}
        assert set(reading.fields["scene"]) == {path.name}
        check_crs(reading, crs, suffix)
        check_bounds(reading, BOXES, place, 1e-6 + (digits_px(place) if suffix == "geojson" else 0))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", ["rotated", "geographic", "no georeference"])
def test_another_gdal_reads_the_same(make_scene, found_in, tmp_path, kind, suffix):
    output = found_in(KINDS[kind].make(make_scene, OBJECTS), tmp_path / f"out.{suffix}", Seer(135))
    other, own = read_with_ogr2ogr(output).sorted(), read_with_gdal(output).sorted()
    assert (other.crs is None) == (own.crs is None)
    assert own.crs is None or other.crs.equals(own.crs, ignore_axis_order=True)
    assert other.fields["label"].tolist() == own.fields["label"].tolist()
    np.testing.assert_allclose(other.fields["score"], own.fields["score"], rtol=0, atol=1e-12)
    assert shapely.equals_exact(other.shapes, own.shapes, 1e-12 * abs(own.boxes).max()).all()
