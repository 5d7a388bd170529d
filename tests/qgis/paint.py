"""Paint scenes in three CRSs and write their trees with geodet's writers, for the check in QGIS.

python tests/qgis/paint.py FOLDER: writes rasters, vector files and cases.json, which tells look.py
what QGIS must find in them, and truth.gpkg, the trees of utm.tif in one class, for provide.py.
"""

import json
import sys
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from geodet.demo.town import paint_town
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.raster.geotiff import write_raster
from geodet.vector.rows import VectorLayer
from geodet.vector.stored_styles import write_style
from geodet.vector.write_detections import open_writer, write_detections

SIDE = 480
CLASSES = ("large tree", 'a "small" tree & <img src=x onerror="a()">', "grün 🌳", "never found")
SCENE = "<script src='x'>&amp;/"  # before the name of each scene
PLACES = {  # 0.6 m on the ground in each
    "utm": (32633, Affine(0.6, 0, 447_000, 0, -0.6, 5_411_000)),
    "mercator": (3857, Affine(0.6, 0, 3_630_000, 0, -0.6, 38_000)),
    "geographic": (4326, Affine(7.4e-6, 0, -122.4, 0, -5.4e-6, 37.8)),
}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    painting = paint_town(SIDE, SIDE, seed=5)
    found = to_detections(painting)
    cases = []
    for name, (epsg, transform) in PLACES.items():
        geobox = GeoBox(SIDE, SIDE, transform, CRS.from_epsg(epsg))
        raster = folder / f"{name}.tif"
        write_raster(raster, painting.pixels, geobox)
        part = SceneDetections(f"{SCENE}{raster.name}", geobox, found)
        for path, geometry in write_all(folder, name, part):
            cases.append(case(raster, path, geometry, part, epsg))
        if name == "utm":
            trees = Detections(found.boxes, found.scores, np.zeros(len(found), np.int64))
            truth = SceneDetections(raster.name, geobox, trees)
            write_detections(folder / "truth.gpkg", [truth], ["tree"], metadata={}, overwrite=True)
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")


def to_detections(painting):
    """Assign each tree a class by its size and a score by its place."""
    sides = np.array([[-1, -1, 1, 1]]) * painting.radii[:, None]
    boxes = (np.tile(painting.centres, 2) + sides).clip(0, SIDE)
    labels = np.digitize(-painting.radii, np.quantile(-painting.radii, [0.4, 0.8]))
    scores = np.linspace(0.99, 0.3, len(boxes))
    return Detections(boxes, scores, labels)


def write_all(folder, name, part):
    """Write the boxes as GeoPackage and GeoJSON, and the centres as FlatGeobuf, all with styles."""
    ends = (".gpkg", "_text.geojson", "_dots.fgb")  # a style beside a GeoPackage would hide its own
    package, text, dots = (folder / f"{name}{end}" for end in ends)
    for path, geometry in ((package, "box"), (text, "box"), (dots, "centroid")):
        layer = VectorLayer(classes=CLASSES, crs=part.geobox.crs, geometry=geometry)
        with open_writer(path, layer, overwrite=True) as writer:
            writer.write(part)
    write_style(text, CLASSES)
    write_style(dots, CLASSES, geometry="centroid")
    return [(package, "box"), (text, "box"), (dots, "centroid")]


def case(raster, path, geometry, part, epsg):
    in_degrees = path.suffix == ".geojson"  # RFC 7946
    return {
        "raster": str(raster),
        "vector": str(path),
        "geometry": geometry,
        "crs": "EPSG:4326" if in_degrees else f"EPSG:{epsg}",
        "raster_crs": f"EPSG:{epsg}",
        "classes": CLASSES[:3],
        "unused": CLASSES[3:],
        "scene": part.scene,
        "centres": part.geobox.to_world(part.detections.centres).tolist(),
        "pixel": abs(part.geobox.transform.a),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
