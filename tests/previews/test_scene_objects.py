import logging

import geopandas
import numpy as np
import pytest
import shapely
from factories_vectors import write_layer

from geodet.errors import VectorError
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.previews.views import read_objects, warn_of_miss
from geodet.raster.scene import Scene
from geodet.vector.stored_styles import write_style
from geodet.vector.write_detections import write_detections

CLASSES = ("tree", "car", "bus")
FOUND = Detections(
    np.array([[10, 20, 30, 44], [1.25, 2.5, 9, 9.75], [40, 5, 50, 15]]), [0.9, 0.5, 0.25], [0, 1, 0]
)


@pytest.fixture
def scene(make_scene):
    with Scene(make_scene("scene.tif", rotation=20.0)) as opened:
        yield opened


def write(path, scene, found=FOUND, **options):
    part = SceneDetections(scene.name, scene.geobox, found)
    return write_layer(path, [part], CLASSES, overwrite=True, **options)


@pytest.mark.parametrize("end", [".gpkg", ".geojson"])
def test_detections_survive_writing_and_reading(scene, tmp_path, end):
    objects = read_objects(write(tmp_path / f"out{end}", scene), scene)
    names = [objects.classes[label] for label in objects.detections.labels]
    assert sorted(zip(names, objects.detections.scores.tolist(), strict=True)) == [
        ("car", 0.5),
        ("tree", 0.25),
        ("tree", pytest.approx(0.9)),
    ]
    order = np.argsort(-objects.detections.scores)
    np.testing.assert_allclose(objects.detections.boxes[order], FOUND.boxes, atol=2e-3)


def test_files_of_other_programs_are_read(scene, tmp_path):
    geobox = scene.geobox
    at = geobox.to_world(np.array([[5.0, 6.0], [30.0, 12.0]]))
    frame = geopandas.GeoDataFrame(geometry=shapely.points(at), crs=geobox.crs.to_wkt())
    frame.to_crs(4326).to_file(tmp_path / "points.fgb")
    objects = read_objects(tmp_path / "points.fgb", scene)
    assert objects.classes == ("object",)
    assert objects.detections.scores.tolist() == [1, 1]
    found = objects.detections.boxes[np.argsort(objects.detections.boxes[:, 0])]
    np.testing.assert_allclose(found, [[5, 6, 5, 6], [30, 12, 30, 12]], atol=1e-6)


def test_objects_in_a_crs_are_not_taken_for_pixels_of_a_scene_without_a_geotransform(
    scene, make_scene, tmp_path
):
    found = write(tmp_path / "out.gpkg", scene)
    with Scene(make_scene("lost.tif", epsg=None, crs="EPSG:32633")) as lost:
        with pytest.raises(VectorError, match=r"lost\.tif declares the CRS .* no geotransform"):
            read_objects(found, lost)
        objects = read_objects(write(tmp_path / "pixels.gpkg", lost), lost)
    np.testing.assert_allclose(objects.detections.boxes, FOUND.boxes, atol=1e-6)


def test_the_score_field_can_be_named(scene, tmp_path):
    frame = geopandas.GeoDataFrame(
        {"sure": [0.5], "name": ["car"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326
    )
    frame.to_file(tmp_path / "out.gpkg")
    objects = read_objects(tmp_path / "out.gpkg", scene, score_field="sure")
    assert objects.detections.scores.tolist() == [0.5]
    with pytest.raises(VectorError, match="has no attribute 'wrong' with the scores"):
        read_objects(tmp_path / "out.gpkg", scene, score_field="wrong")


@pytest.mark.parametrize("split", [False, True])
def test_an_object_without_a_class_is_shown(scene, tmp_path, caplog, split):
    """Also in a file of several kinds of shapes, which is read in another way."""
    shapes = [shapely.box(0, 0, 1, 1), shapely.Point(2, 2) if split else shapely.box(2, 2, 3, 3)]
    frame = geopandas.GeoDataFrame({"label": ["car", None]}, geometry=shapes, crs=4326)
    frame.to_file(tmp_path / "out.geojson")
    objects = read_objects(tmp_path / "out.geojson", scene)
    assert [objects.classes[label] for label in objects.detections.labels] == ["car", "object"]
    assert "'label': 1 (1 NULL), the first is number 2, shown as 'object'" in caplog.text


def test_classes_keep_the_order_of_the_style(scene, tmp_path):
    path = write(tmp_path / "out.geojson", scene)
    assert read_objects(path, scene).classes == ("car", "tree")
    write_style(path, ["bus", "tree"])
    objects = read_objects(path, scene)
    assert objects.classes == ("bus", "tree", "car")
    assert sorted(objects.detections.labels.tolist()) == [1, 1, 2]


def test_without_a_crs_only_objects_of_this_scene_are_read(make_scene, tmp_path):
    with Scene(make_scene("a.png", epsg=None)) as a:
        parts = [SceneDetections(name, a.geobox, FOUND) for name in ("a.png", "b.png", "b.png")]
        write_detections(tmp_path / "out.gpkg", parts, CLASSES, metadata={})
        objects = read_objects(tmp_path / "out.gpkg", a)
        np.testing.assert_allclose(objects.detections.boxes, FOUND.boxes, atol=1e-9)


def test_objects_beyond_the_reach_of_the_crs_are_left_out(make_scene, tmp_path, caplog):
    with Scene(make_scene("scene.tif", epsg=3857)) as mercator:
        shapes = shapely.points([[10.0, 95.0], [10.0, 69.0]])  # nothing is north of the pole
        frame = geopandas.GeoDataFrame(geometry=shapes, crs=4326)
        frame.to_file(tmp_path / "points.fgb")
        with caplog.at_level(logging.WARNING):
            objects = read_objects(tmp_path / "points.fgb", mercator)
    assert len(objects.detections) == 1
    assert (
        "objects whose coordinates do not exist in the scene's CRS are left out: 1" in caplog.text
    )


def test_a_file_without_objects_is_read(scene, tmp_path):
    path = write(tmp_path / "out.geojson", scene, Detections.empty())
    objects = read_objects(path, scene)
    assert len(objects.detections) == 0


def test_scenes_of_one_name_in_two_folders_have_objects_of_their_own(make_scene, tmp_path):
    paths = []
    for folder in ("1", "2"):
        (tmp_path / folder).mkdir()
        paths.append(make_scene(f"{folder}/a.png", epsg=None))
    with Scene(paths[0]) as a:
        counts = {"1/a.png": 3, "2/a.png": 2}
        parts = [SceneDetections(n, a.geobox, FOUND.select(slice(c))) for n, c in counts.items()]
        write_detections(tmp_path / "out.gpkg", parts, CLASSES, metadata={})
        assert len(read_objects(tmp_path / "out.gpkg", a).detections) == 3
    with Scene(paths[1]) as b:
        assert len(read_objects(tmp_path / "out.gpkg", b).detections) == 2


@pytest.mark.parametrize("end", [".parquet", ".csv"])
def test_formats_that_gdal_does_not_read_whole(make_scene, tmp_path, end):
    """Ours: GeoParquet is not in every GDAL, and a CSV has its CRS in a column."""
    with Scene(make_scene("utm.tif")) as utm:
        path = write(tmp_path / f"out{end}", utm)
    with Scene(make_scene("mercator.tif", epsg=3857, origin=(1_669_792.36, 4_959_270.4))) as other:
        found = read_objects(path, other).detections
    assert len(found) == 3
    assert 0 < found.centres.max() < 80


@pytest.mark.parametrize("end", [".gpkg", ".geojson", ".csv", ".parquet"])
@pytest.mark.parametrize(("km", "warns"), [(0, False), (1000, True)])
def test_objects_that_all_lie_elsewhere_are_warned_of(make_scene, tmp_path, caplog, end, km, warns):
    with Scene(make_scene("near.tif")) as near:
        path = write(tmp_path / f"out{end}", near)
    with Scene(make_scene("other.tif", origin=(500_000 + km * 1000, 4_500_000))) as other:
        warn_of_miss(path, read_objects(path, other).detections, other)
    assert ("no object meets other.tif" in caplog.text) is warns
    assert (str(path) in caplog.text) is warns
    assert ("and the scene" in caplog.text) is warns
