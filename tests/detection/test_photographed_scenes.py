import json
import logging

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from factories_photographs import nadir_pose, write_photograph
from pretended_predictor import SMALL
from pyproj import Geod

import geodet
from geodet.config import DetectConfig
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.photographed_scenes import photograph_of
from geodet.detection.scene_for_model import open_for_model
from geodet.errors import OutputError
from geodet.tilesets.scene_labels import read_scored_objects
from geodet.vector.images_layer import images_path

FILM = 24
SIZE = (120, 160)  # rows, columns


def height_for(gsd):
    """Return the height at which a pixel of the pictures here has a size on the ground."""
    return gsd * FILM * np.hypot(*SIZE) / np.hypot(36, 24)


@pytest.fixture
def make_photograph(tmp_path):
    def make(name, *, gsd=0.6, yaw=0.0, pitch=-90.0, seed=0, posed=True, **tags):
        pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        tags = {"lonlat": (15.0, 45.0), "film": FILM, "time": "2024:05:01 10:20:30"} | tags
        xmp = nadir_pose(height_for(gsd), yaw, pitch) if posed else None
        path = tmp_path / "flight" / name
        path.parent.mkdir(exist_ok=True)
        return write_photograph(path, pixels, xmp=xmp, **tags)

    return make


def run(scenes, output, model, config=SMALL, **options):
    chosen = DetectOptions(device="cpu", **options)
    return detect_to_files(list(map(str, scenes)), [output], model, config, chosen)


def layers(path):
    return [geopandas.read_file(path, layer=name) for name in ("detections", "images")]


def test_photographs_lie_where_they_were_taken(make_photograph, tiny_model, tmp_path):
    paths = [
        make_photograph("a.jpg", lonlat=(15.0, 45.0)),
        make_photograph("b.jpg", lonlat=(15.01, 45.0), seed=1),
    ]
    report = run(paths, tmp_path / "out.gpkg", tiny_model)
    objects, images = layers(tmp_path / "out.gpkg")
    assert objects.crs.to_epsg() == images.crs.to_epsg() == 4326
    assert objects["approximate"].all()
    assert images.set_index("scene")["objects"].to_dict() == report.detections
    assert min(report.detections.values()) > 0
    for row in images.itertuples():
        near = objects.geometry[objects["scene"] == row.scene]
        reach = 0.6 * np.hypot(*SIZE) / 2 / 78_000  # degrees of longitude at least
        assert shapely.distance(near.to_numpy(), row.geometry).max() < reach
    assert images["gsd_m"].tolist() == pytest.approx([0.6, 0.6], rel=1e-3)
    assert set(images["time"]) == {"2024-05-01T10:20:30"}


def test_the_top_of_the_picture_is_where_the_drone_looked(make_photograph, tiny_model, tmp_path):
    run([make_photograph("a.jpg", yaw=90.0)], tmp_path / "out.gpkg", tiny_model)
    objects, _ = layers(tmp_path / "out.gpkg")
    middles = objects[["y1_px", "y2_px"]].mean(axis=1)
    longitudes = objects.geometry.bounds[["minx", "maxx"]].mean(axis=1)
    assert np.corrcoef(middles, longitudes)[0, 1] == pytest.approx(-1, abs=1e-6)


def test_metres_per_pixel_of_the_camera_resample_the_picture(make_photograph, tiny_model):
    path = make_photograph("a.jpg", gsd=0.3)
    with open_for_model(path, tiny_model.description, DetectConfig()) as scene:
        assert scene.gsd == pytest.approx(0.3, rel=1e-3)
        assert scene.grid == (80, 60)
    with open_for_model(path, tiny_model.description, DetectConfig(gsd=0.6)) as scene:
        assert scene.grid == (160, 120)
    assert photograph_of(str(path), "a.jpg", DetectConfig(gsd=0.6)).gsd_from == "detect.gsd"


def test_altitude_above_the_sea_needs_that_of_the_ground(make_photograph, tiny_model):
    path = make_photograph("a.jpg", posed=False, altitude=200 + height_for(0.3))
    about = tiny_model.description
    with open_for_model(path, about, DetectConfig()) as scene:
        assert scene.gsd is None
    with open_for_model(path, about, DetectConfig(ground_altitude=200)) as scene:
        assert scene.gsd == pytest.approx(0.3, rel=1e-3)


@pytest.mark.parametrize(
    ("known", "settings", "is_said"),
    [
        ({"posed": False, "altitude": 300.0}, {"ground_altitude": 200}, False),
        ({"posed": False, "altitude": 300.0}, {"ground_altitude": 200, "gsd": 0.6}, True),
        ({"altitude": 300.0}, {"ground_altitude": 200}, True),  # it knows its height
        ({"posed": False}, {"ground_altitude": 200}, True),
        ({"posed": False}, {}, False),
    ],
)
def test_an_altitude_of_the_ground_that_no_photograph_needs_is_said(
    make_photograph, tiny_model, tmp_path, caplog, known, settings, is_said
):
    config = SMALL.model_copy(update=settings)
    run([make_photograph("a.jpg", **known)], tmp_path / "out.gpkg", tiny_model, config)
    assert ("--ground-altitude (detect.ground_altitude) has no effect" in caplog.text) == is_said


def test_overlapping_photographs_keep_what_each_shows(make_photograph, tiny_model, tmp_path):
    """Approximate places do not tell whether two objects are the same."""
    paths = [make_photograph("a.jpg"), make_photograph("b.jpg")]
    run(paths, tmp_path / "both.gpkg", tiny_model)
    _, images = layers(tmp_path / "both.gpkg")
    assert images["objects"].nunique() == 1
    run(paths[:1], tmp_path / "one.gpkg", tiny_model)
    run(paths[1:], tmp_path / "one.gpkg", tiny_model, append=True)
    _, appended = layers(tmp_path / "one.gpkg")
    assert appended["objects"].tolist() == images["objects"].tolist()


def test_without_a_pose_objects_have_no_place(make_photograph, tiny_model, tmp_path, caplog):
    paths = [make_photograph("a.jpg", posed=False), make_photograph("b.jpg", lonlat=None, seed=2)]
    with caplog.at_level(logging.WARNING):
        run(paths, tmp_path / "out.gpkg", tiny_model)
    objects, images = layers(tmp_path / "out.gpkg")
    assert objects.geometry.isna().all()
    assert objects["approximate"].isna().all()
    assert images.geometry.isna().tolist() == [False, True]
    assert images["gsd_from"].tolist() == ["unknown", "relative altitude"]
    assert "2 pictures (such as a.jpg): the objects cannot be located" in caplog.text
    assert "because its height above the ground is unknown: nothing is resampled" in caplog.text
    assert "coordinates in the output are pixels" not in caplog.text


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (1, "the metres per pixel of a.jpg are unknown, because its height above the ground"),
        (
            2,
            "of 2 scenes (such as a.jpg) are unknown, of a.jpg because its height above the ground",
        ),
    ],
)
def test_why_metres_per_pixel_are_unknown_is_said_of_one_picture(
    make_photograph, tiny_model, tmp_path, caplog, count, told
):
    paths = [make_photograph(name, posed=False) for name in ("a.jpg", "b.jpg")[:count]]
    run(paths, tmp_path / "out.gpkg", tiny_model)
    assert told in caplog.text


def test_several_pictures_of_unknown_place_do_not_share_one(make_scene, tiny_model, tmp_path):
    paths = [make_scene(name=f"{name}.tif", epsg=None, width=80, height=80) for name in "ab"]
    run(paths, tmp_path / "out.gpkg", tiny_model, DetectConfig(chip_size=64, gsd=0.6))
    objects, images = layers(tmp_path / "out.gpkg")
    assert objects.geometry.isna().all()
    assert images["scene"].tolist() == ["a.tif", "b.tif"]
    assert objects["area_m2"].notna().all()


def test_a_picture_of_unknown_place_alone_keeps_its_pixels(make_scene, tiny_model, tmp_path):
    run([make_scene(epsg=None, width=80, height=80)], tmp_path / "out.gpkg", tiny_model)
    objects = geopandas.read_file(tmp_path / "out.gpkg", layer="detections")
    assert not objects.crs.is_geographic
    assert "approximate" not in objects.columns
    np.testing.assert_allclose(objects.geometry.bounds["minx"], objects["x1_px"])
    assert "images" not in pyogrio.list_layers(tmp_path / "out.gpkg")[:, 0]


def test_a_file_for_each_picture_keeps_its_pixels(make_photograph, tiny_model, tmp_path):
    paths = [make_photograph("a.jpg"), make_photograph("b.jpg")]
    run(paths, tmp_path / "found" / "*.gpkg", tiny_model)
    objects = geopandas.read_file(tmp_path / "found" / "a.gpkg", layer="detections")
    assert not objects.crs.is_geographic
    np.testing.assert_allclose(objects.geometry.bounds["minx"], objects["x1_px"])


def test_photographs_and_scenes_need_files_of_their_own(
    make_photograph, make_scene, tiny_model, tmp_path
):
    with pytest.raises(OutputError, match="1 of 2 scenes have no CRS"):
        run([make_photograph("a.jpg"), make_scene()], tmp_path / "out.gpkg", tiny_model)


def test_metadata_say_that_places_are_approximate(make_photograph, tiny_model, tmp_path):
    path = tmp_path / "out.gpkg"
    run([make_photograph("a.jpg")], path, tiny_model)
    notes = pyogrio.read_info(path, layer="detections")["layer_metadata"]
    assert notes["places"].startswith("approximate: from the position, height and pose")
    ground = shapely.from_wkt(notes["examined ground"])
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(ground)
    assert abs(area) == pytest.approx(np.prod(SIZE) * 0.36, rel=0.01)


def test_geojson_has_the_images_beside_it(make_photograph, tiny_model, tmp_path):
    path = tmp_path / "out.geojson"
    run([make_photograph("a.jpg"), make_photograph("b.jpg", lonlat=None)], path, tiny_model)
    features = json.loads(path.read_text())["features"]
    has_place = {(f["properties"]["scene"], f["geometry"] is not None) for f in features}
    assert has_place == {("a.jpg", True), ("b.jpg", False)}
    assert geopandas.read_file(images_path(path))["scene"].tolist() == ["a.jpg", "b.jpg"]


def test_a_run_that_ended_early_goes_on(make_photograph, tiny_model, tmp_path, monkeypatch):
    paths = [make_photograph("a.jpg"), make_photograph("b.jpg", seed=3)]
    run(paths, tmp_path / "whole.gpkg", tiny_model)

    def fail(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("geodet.vector.geopackage_writer.GeoPackageWriter._complete", fail)
        with pytest.raises(KeyboardInterrupt):
            run(paths, tmp_path / "out.gpkg", tiny_model)
    assert not (tmp_path / "out.gpkg").exists()
    report = run(paths, tmp_path / "out.gpkg", tiny_model)
    assert "forward" not in report.stages
    for one, other in zip(
        layers(tmp_path / "whole.gpkg"), layers(tmp_path / "out.gpkg"), strict=True
    ):
        assert one.to_json() == other.to_json()


def test_objects_are_read_back_by_their_pixels(make_photograph, tiny_model, tmp_path, caplog):
    paths = [make_photograph("a.jpg"), make_photograph("b.jpg", posed=False)]
    path = tmp_path / "out.gpkg"
    run(paths, path, tiny_model)
    caplog.clear()
    found = read_scored_objects(path, None)
    assert not caplog.records
    frame = geopandas.read_file(path, layer="detections", ignore_geometry=True)
    x1, y1, x2, y2 = frame[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy().T
    expected = np.stack([x1, -y2, x2, -y1], axis=1)
    np.testing.assert_allclose(shapely.bounds(found.objects.geometries), expected)


def test_the_frame_says_the_same_as_the_file(make_photograph, tiny_model, tmp_path):
    paths = [make_photograph("a.jpg"), make_photograph("b.jpg", posed=False, seed=1)]
    config = geodet.Config(detect=SMALL)
    frame = geodet.detect(paths, tiny_model, tmp_path / "out.gpkg", config=config, device="cpu")
    objects, _ = layers(tmp_path / "out.gpkg")
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry.isna().tolist() == objects.geometry.isna().tolist()
    assert frame["approximate"].isna().tolist() == objects["approximate"].isna().tolist()
    (table, *_) = geodet.iter_detect(paths, tiny_model, config=config, device="cpu")
    assert table.column_names == list(frame.columns)


def test_a_picture_without_objects_is_listed(make_photograph, tiny_model, tmp_path):
    paths = [make_photograph("a.jpg"), make_photograph("b.jpg", seed=1)]
    config = SMALL.model_copy(update={"score_threshold": 0.9999})
    run(paths, tmp_path / "out.gpkg", tiny_model, config)
    _, images = layers(tmp_path / "out.gpkg")
    assert images["objects"].tolist() == [0, 0]
