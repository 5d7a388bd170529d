"""A painted scene with objects and errors, as the map shows them."""

import geopandas
import numpy as np
import pytest
import shapely
from viewer_boxes import BOXES, LABELS, SCORES

from geodet.raster.scene import Scene
from geodet.viewer.shown_scene import read_shown_scene


@pytest.fixture
def shown_files(make_scene, tmp_path):
    """Write a scene, found.gpkg and errors.gpkg; return their paths."""
    path = make_scene()
    with Scene(path) as scene:
        shapes = shapely.polygons(scene.geobox.corners(BOXES))
        crs = scene.geobox.crs
    frame = geopandas.GeoDataFrame(
        {"label": LABELS, "score": SCORES, "note": ["a", "b", None, "d"]}, geometry=shapes, crs=crs
    )
    frame.to_file(tmp_path / "found.gpkg", layer="detections")
    for layer, rows in (("true_positives", [0, 3]), ("false_positives", [1]), ("misses", [2])):
        part = frame.iloc[rows].copy()
        if layer == "misses":
            part["score"] = np.nan
        part.to_file(tmp_path / "errors.gpkg", layer=layer)
    return path, tmp_path / "found.gpkg", tmp_path / "errors.gpkg"


@pytest.fixture
def shown(shown_files):
    """Read what the map shows of these files."""
    path, objects, errors = shown_files
    with Scene(path) as scene:
        yield read_shown_scene(scene, objects, errors)
