"""Vector tiles, read back with GDAL."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from tiles import read_tile

from geodet.viewer.vector_tile import TileLayer, encode_tile

BOX = st.tuples(
    st.integers(-4000, 8000), st.integers(-4000, 8000), st.integers(1, 5000), st.integers(1, 5000)
)
OBJECT = st.tuples(BOX, st.integers(0, 2**40), st.floats(0, 1), st.integers(0, 300))


def corners(boxes):
    x, y, w, h = np.array(boxes).reshape(-1, 4).T
    flat = np.stack([x, y, x + w, y, x + w, y + h, x, y + h], axis=-1)
    return flat.reshape(-1, 4, 2).astype(float)


@settings(max_examples=30)
@given(objects=st.lists(OBJECT, min_size=1, max_size=20))
def test_gdal_reads_what_was_encoded(tmp_path, objects):
    boxes, ids, scores, labels = zip(*objects, strict=True)
    values = {"s": np.array(scores), "k": np.array(labels, float)}
    content = encode_tile([TileLayer("boxes", np.array(ids), corners(boxes), values)])
    frame = read_tile(content, tmp_path, "boxes")
    assert frame["mvt_id"].tolist() == list(ids)
    assert frame["s"].tolist() == list(scores)
    assert frame["k"].tolist() == [float(label) for label in labels]
    expected = shapely.polygons(corners(boxes))
    assert shapely.equals(frame.geometry.to_numpy(), expected).all()


def test_points_and_boxes_are_layers_of_one_tile(tmp_path):
    boxes = corners([(10, 20, 30, 40)])
    numbers = {"s": np.array([0.5])}
    content = encode_tile(
        [
            TileLayer("boxes", np.array([1]), boxes, numbers),
            TileLayer("dots", np.array([2]), boxes[:, :1], numbers),
            TileLayer("cells", np.zeros(0, int), np.zeros((0, 1, 2)), {"s": np.zeros(0)}),
        ]
    )
    assert read_tile(content, tmp_path, "dots").geometry.to_wkt().tolist() == ["POINT (10 20)"]
    assert len(read_tile(content, tmp_path, "boxes")) == 1
    assert read_tile(content, tmp_path, "cells") is None


def test_rings_are_exterior_ones_of_the_specification(tmp_path):
    layer = TileLayer("boxes", np.array([1]), corners([(1, 2, 3, 4)]), {"s": np.array([1.0])})
    content = encode_tile([layer])
    shape = read_tile(content, tmp_path, "boxes").geometry[0]
    assert shape.geom_type == "Polygon"
    assert shape.area == 12


def test_nothing_is_an_empty_tile():
    assert encode_tile([]) == b""
