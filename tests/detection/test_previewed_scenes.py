import numpy as np
import pytest
from factories_vectors import CLASSES
from PIL import Image
from pyproj import CRS

from geodet.detection.previewed_scenes import draw_scenes
from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.photographs.photograph import Photograph
from geodet.previews.picture_options import PictureOptions
from geodet.raster.scene import Scene
from geodet.vector.rows import VectorLayer
from geodet.vector.write_detections import open_writer

BOX = Detections(np.array([[20.0, 20.0, 60.0, 50.0]]), np.array([0.9]), np.array([0]))


@pytest.fixture
def found(make_scene, tmp_path):
    """Return three pictures, and a file with one object in the second and the third."""
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ["a.png", "b.png", "c.png"]
    paths = [make_scene(f"photos/{name}", epsg=None, width=100, height=80) for name in names]
    with Scene(paths[0]) as scene:
        geobox = scene.geobox
    photographs = {name: Photograph(name) for name in names}
    layer = VectorLayer(classes=CLASSES, crs=CRS.from_epsg(4326), photographs=photographs)
    with open_writer(tmp_path / "out.gpkg", layer) as writer:
        for name, boxes in zip(names, (Detections.empty(), BOX, BOX), strict=True):
            writer.write(SceneDetections(name, geobox, boxes))
    return folder, tmp_path / "out.gpkg"


def test_each_picture_has_its_own_objects(found, tmp_path):
    folder, objects = found
    report = draw_scenes([str(folder)], objects, tmp_path / "looks", PictureOptions("png"))
    assert [path.name for path in report.pictures] == ["a.png", "b.png", "c.png"]
    changed = []
    for path in report.pictures:
        with Image.open(path) as drawn, Image.open(folder / path.name) as plain:
            changed.append(bool((np.asarray(drawn) != np.asarray(plain)).any()))
    assert changed == [False, True, True]


def test_only_pictures_with_objects_of_a_score(found, tmp_path):
    folder, objects = found
    options = PictureOptions(only_with_objects=True)
    report = draw_scenes([str(folder)], objects, tmp_path / "looks", options)
    assert [path.name for path in report.pictures] == ["b.jpg", "c.jpg"]
    none = draw_scenes([str(folder)], objects, tmp_path / "none", options, min_score=0.95)
    assert none.pictures == ()


def test_the_folder_of_the_pictures_is_not_drawn_into(found):
    folder, objects = found
    with pytest.raises(OutputError, match="photos is not empty"):
        draw_scenes([str(folder)], objects, folder)
