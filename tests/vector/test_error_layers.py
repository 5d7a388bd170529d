"""Layers of right, wrong and missing boxes, read back."""

import numpy as np
import pyogrio
import pytest
from affine import Affine
from pyproj import CRS, Transformer

from geodet.geometry.geobox import GeoBox
from geodet.vector.error_layers import ErrorBoxes, write_layers

UTM = CRS.from_epsg(32633)
TURNED = Affine.translation(500_000, 4_500_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
BOX = [[10.0, 20, 30, 50]]


def placed(crs, transform=TURNED, boxes=BOX, name="a"):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    fields = {"label": np.array([name] * len(boxes), object), "score": np.full(len(boxes), 0.5)}
    return ErrorBoxes(GeoBox(100, 100, transform, crs), boxes, fields)


def read(path, layer):
    return pyogrio.read_dataframe(path, layer=layer)


def corners(frame, row=0):
    return np.array(frame.geometry[row].exterior.coords)[:4]


def test_boxes_lie_where_their_image_lies(tmp_path):
    path = tmp_path / "errors.gpkg"
    write_layers(path, {"hits": [placed(UTM), placed(UTM, name="b")]})
    frame = read(path, "hits")
    assert frame.crs == UTM
    assert frame["label"].tolist() == ["a", "b"]
    expected = [TURNED @ (x, y) for x, y in ((10, 20), (30, 20), (30, 50), (10, 50))]
    np.testing.assert_allclose(corners(frame), expected)


def test_an_empty_layer_has_its_columns(tmp_path):
    path = tmp_path / "errors.gpkg"
    write_layers(path, {"hits": [placed(UTM)], "misses": [placed(UTM, boxes=[])]})
    assert [name for name, _ in pyogrio.list_layers(path)] == ["hits", "misses"]
    empty = read(path, "misses")
    assert (len(empty), empty.crs) == (0, UTM)
    assert list(empty.columns) == ["label", "score", "geometry"]


def test_several_crs_become_wgs_84(tmp_path):
    path = tmp_path / "errors.gpkg"
    other = CRS.from_epsg(32634)
    write_layers(path, {"hits": [placed(UTM), placed(other)]})
    frame = read(path, "hits")
    assert frame.crs.to_epsg() == 4326
    for row, crs in enumerate((UTM, other)):
        degrees = Transformer.from_crs(crs, 4326, always_xy=True).transform(*(TURNED @ (10, 20)))
        np.testing.assert_allclose(corners(frame, row)[0], degrees)


@pytest.mark.parametrize("crs", [None, UTM])
def test_without_a_crs_pixels_are_drawn_as_qgis_shows_the_image(tmp_path, crs):
    path = tmp_path / "errors.gpkg"
    bare = placed(None, Affine(1, 0, 0, 0, -1, 0))
    write_layers(path, {"hits": [bare, placed(crs, Affine(1, 0, 0, 0, -1, 0))]})
    frame = read(path, "hits")
    assert frame.crs is None or frame.crs.name.startswith("Undefined")
    for row in (0, 1):
        assert corners(frame, row).tolist() == [[10, -20], [30, -20], [30, -50], [10, -50]]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"errors\.gpkg"):
        write_layers(tmp_path / "missing" / "errors.gpkg", {"hits": [placed(UTM)]})
