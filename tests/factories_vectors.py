"""Detections of painted scenes, and how to read what was written of them."""

import sqlite3
from contextlib import closing

import geopandas
import numpy as np
from affine import Affine
from pyproj import CRS

from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.vector.provenance import EXAMINED
from geodet.vector.rows import Appending, VectorLayer
from geodet.vector.searched_scenes import SearchedScenes
from geodet.vector.write_detections import open_writer

UTM = CRS.from_epsg(32610)
SITE = CRS.from_wkt(
    'LOCAL_CS["site",LOCAL_DATUM["x",0],UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
)
NORTH_UP = Affine(0.5, 0, 600000, 0, -0.5, 4000000)
FIELDS = ["label", "score", "scene", "x1_px", "y1_px", "x2_px", "y2_px", "area_m2"]
TYPES = ["OFTString", "OFTReal", "OFTString", *["OFTReal"] * 5]
CLASSES = ("tree", "palm")
HOW = {"overwrite", "append", "format"}


def found(count=3, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 900, (count, 2))
    boxes = np.hstack([low, low + rng.uniform(1, 90, (count, 2))])
    return Detections(boxes, rng.uniform(0, 1, count), rng.integers(0, 2, count))


def part(detections=None, *, crs=UTM, transform=NORTH_UP, scene="a.tif"):
    detections = found() if detections is None else detections
    return SceneDetections(scene, GeoBox(1000, 1000, transform, crs), detections)


def layer_of(crs=UTM, classes=CLASSES, **about):
    return VectorLayer(classes=classes, crs=crs, **about)


def open_layer(path, crs=UTM, classes=CLASSES, **options):
    """Open a writer; the options are its own, and properties of the layer."""
    how = {name: options.pop(name) for name in HOW & options.keys()}
    return open_writer(path, layer_of(crs, classes, **options), **how)


def write_layer(path, parts, classes=CLASSES, **options):
    with open_layer(path, common_crs(parts), classes, **options) as writer:
        for one in parts:
            writer.write(one)
    return path


def write(path, *parts, **options):
    return write_layer(path, parts or (part(),), **options)


def write_searched(path, scene, ground, model="m", appending=None):
    """Write or append three objects of a scene, and the ground that a model has searched in it."""
    appending = appending or Appending(scenes=(scene,))
    with open_layer(path, metadata={"model_sha256": model}, append=appending) as writer:
        writer.write(part(found(3), scene=scene))
        searched = SearchedScenes({scene: ground}, {scene: ground}, {})
        writer.annotate({EXAMINED: ground.wkt, "model": "tiny"}, searched)
    return path


def read(path):
    """Read with geopandas; a style in a GeoPackage is a layer, too."""
    if path.suffix in (".parquet", ".geoparquet"):
        return geopandas.read_parquet(path)
    return geopandas.read_file(path, **({"layer": "detections"} if path.suffix == ".gpkg" else {}))


def check_index(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT rtreecheck('rtree_detections_geom')").fetchone()[0]


def litter(folder):
    return sorted(file.name for file in folder.iterdir() if file.name.startswith(".geodet"))


def pixel_corners(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=-1).reshape(-1, 4, 2)
