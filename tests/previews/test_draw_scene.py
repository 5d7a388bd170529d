import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer

from geodet.errors import ConfigError, OutputError, SceneError, VectorError
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.geometry.windows import Window
from geodet.previews.preview import draw_scene
from geodet.raster.scene import Scene
from geodet.vector.palette import class_colour
from geodet.vector.write_detections import write_detections

CLASSES = ("car", "tree")
FOUND = Detections(np.array([[10, 10, 20, 20], [60, 40, 72, 50.0]]), [0.9, 0.4], [0, 1])


@pytest.fixture
def files(make_scene, tmp_path):
    """Return a scene, its detections and where to draw."""
    path = make_scene("scene.tif", width=100, height=80)
    with Scene(path) as scene:
        part = SceneDetections(scene.name, scene.geobox, FOUND)
    write_detections(tmp_path / "found.gpkg", [part], CLASSES, metadata={})
    return path, tmp_path / "found.gpkg", tmp_path / "map.png"


def classes_in(path):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return {
        name
        for label, name in enumerate(CLASSES)
        # One edge of a box at least, which is longer than that of the legend's square.
        if (np.abs(pixels - class_colour(label)).max(axis=-1) < 90).sum() > 400
    }


def test_without_a_window_the_whole_scene_is_drawn(files):
    report = draw_scene(*files)
    assert report.window == Window(0, 0, 100, 80)
    assert report.labels == {"car": 1, "tree": 1}
    assert classes_in(files[2]) == {"car", "tree"}


def test_bounds_draw_the_same_picture_as_the_window_that_they_cover(files, tmp_path):
    report = draw_scene(*files, window=Window(50, 30, 30, 30))
    assert report.labels == {"car": 0, "tree": 1}
    with Scene(files[0]) as scene:
        xmin, ymax = scene.geobox.to_world(np.array([50.0, 30.0]))
        xmax, ymin = scene.geobox.to_world(np.array([80.0, 60.0]))
    other = tmp_path / "other.png"
    again = draw_scene(*files[:2], other, bounds=(xmin, ymin, xmax, ymax))
    assert again.window == Window(50, 30, 30, 30)
    assert other.read_bytes() == files[2].read_bytes()


def test_a_window_is_clipped_to_the_scene(files):
    assert draw_scene(*files, window=Window(90, -10, 50, 50)).window == Window(90, 0, 10, 40)


def test_objects_below_the_minimum_score_are_left_out(files):
    assert draw_scene(*files, min_score=0.5).labels == {"car": 1, "tree": 0}


def test_an_object_at_the_minimum_score_is_drawn(files):
    assert draw_scene(*files, min_score=0.9).labels == {"car": 1, "tree": 0}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"window": Window(100, 0, 9, 9)}, "window 100,0,9,9 lies outside of the scene"),
        ({"bounds": (0, 0, 1, 1)}, "bounds 0,0,1,1 lies outside of the scene"),
        ({"bounds": (5, 0, 1, 1)}, "bounds 5,0,1,1 have no area"),
        ({"bounds": (0, 0, float("nan"), 1)}, "bounds are four numbers"),
        (
            {"bounds": (0, 0, 1, 1), "window": Window(0, 0, 9, 9)},
            "both are given: window 0,0,9,9 and bounds 0,0,1,1",
        ),
    ],
)
def test_a_part_outside_of_the_scene_is_refused(files, part, message):
    with pytest.raises(ConfigError, match=message):
        draw_scene(*files, **part)
    assert not files[2].exists()


def test_missing_inputs_and_existing_outputs_are_refused(files, tmp_path):
    scene, found, output = files
    with pytest.raises(SceneError, match="no such file"):
        draw_scene(tmp_path / "nothing.tif", found, output)
    with pytest.raises(VectorError, match="no such file"):
        draw_scene(scene, tmp_path / "nothing.gpkg", output)
    with pytest.raises(OutputError, match="cannot tell the format"):
        draw_scene(scene, found, tmp_path / "map.tif")
    output.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        draw_scene(scene, found, output)
    assert output.read_bytes() == b"mine"


def test_bounds_may_be_in_another_crs(files):
    with Scene(files[0]) as scene:
        x, y = scene.geobox.to_world(np.array([[50.0, 60.0], [80.0, 30.0]])).T
        crs = scene.geobox.crs
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    bounds = (lon[0], lat[0], lon[1], lat[1])
    window = draw_scene(*files, bounds=bounds, bounds_crs="EPSG:4326").window
    sides = [window.col_off, window.row_off, window.col_end, window.row_end]
    np.testing.assert_allclose(sides, [50, 30, 80, 60], atol=2)
    with pytest.raises(ConfigError, match=r"bounds 1,2,3,4,EPSG:4326 lies outside") as caught:
        draw_scene(*files, bounds=(1, 2, 3, 4), bounds_crs="EPSG:4326", overwrite=True)
    assert "the scene 15," in caught.value.hint


def test_objects_that_all_lie_outside_of_the_scene_are_reported(
    files, make_scene, tmp_path, caplog
):
    draw_scene(*files, window=Window(0, 70, 9, 9))
    assert not caplog.text
    far = make_scene("far.tif", origin=(700_000, 4_500_000))
    assert draw_scene(far, files[1], tmp_path / "far.png").labels == {"car": 0, "tree": 0}
    assert "none of the 2 objects in" in caplog.text


@pytest.mark.parametrize("name", ["scene.png", "link.png"])
def test_the_scene_is_never_overwritten(make_scene, files, tmp_path, name):
    scene = make_scene("scene.png", epsg=None)
    (tmp_path / "link.png").symlink_to(scene)
    before = scene.read_bytes()
    with pytest.raises(OutputError, match="is an input and would be overwritten"):
        draw_scene(scene, files[1], tmp_path / name, overwrite=True)
    assert scene.read_bytes() == before


def test_bands_named_red_green_and_blue_are_drawn_as_such(tmp_path, files):
    """The scene is red: bright in the third band, which is named red."""
    with rasterio.open(files[0]) as plain:
        profile = plain.profile | {"count": 4, "photometric": "MINISBLACK"}
    with rasterio.open(tmp_path / "bgrn.tif", "w", **profile) as scene:
        scene.write(np.stack([np.full((80, 100), v, np.uint8) for v in (10, 20, 200, 90)]))
        scene.descriptions = ("blue", "green", "red", "nir")
    draw_scene(tmp_path / "bgrn.tif", files[1], files[2])
    with Image.open(files[2]) as image:
        assert image.convert("RGB").getpixel((4, 4)) == (200, 20, 10)
    draw_scene(tmp_path / "bgrn.tif", files[1], files[2], bands=(4, "red", 1), overwrite=True)
    with Image.open(files[2]) as image:
        assert image.convert("RGB").getpixel((4, 4)) == (90, 200, 10)
