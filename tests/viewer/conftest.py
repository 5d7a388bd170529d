"""A painted scene with objects and errors, as the map shows them."""

import geopandas
import numpy as np
import pytest
import shapely
from factories_rasters import NORTH_UP
from pyproj import CRS
from viewer_boxes import BOXES, LABELS, SCORES

from geodet.geometry.geobox import GeoBox
from geodet.raster.geotiff import write_raster
from geodet.raster.scene import Scene
from geodet.viewer.shown_scene import read_shown_scene


@pytest.fixture(scope="session")
def shown_files(tmp_path_factory):
    """Write a scene, found.gpkg and errors.gpkg, once; return their paths."""
    folder = tmp_path_factory.mktemp("shown")
    geobox = GeoBox(96, 80, NORTH_UP, CRS.from_epsg(32633))
    pixels = np.random.default_rng(0).integers(20, 90, (3, 80, 96)).astype(np.uint8)
    write_raster(folder / "scene.tif", pixels, geobox)
    frame = geopandas.GeoDataFrame(
        {"label": LABELS, "score": SCORES, "note": ["a", "b", None, "d"]},
        geometry=shapely.polygons(geobox.corners(BOXES)),
        crs=geobox.crs,
    )
    frame.to_file(folder / "found.gpkg", layer="detections")
    for layer, rows in (("true_positives", [0, 3]), ("false_positives", [1]), ("misses", [2])):
        part = frame.iloc[rows].copy()
        if layer == "misses":
            part["score"] = np.nan
        part.to_file(folder / "errors.gpkg", layer=layer)
    return folder / "scene.tif", folder / "found.gpkg", folder / "errors.gpkg"


@pytest.fixture(scope="session")
def shown(shown_files):
    """Read what the map shows of these files, once: nothing changes it."""
    path, objects, errors = shown_files
    with Scene(path) as scene:
        found = read_shown_scene(scene, objects, errors)
        assert found.pictures.wait()
        yield found
