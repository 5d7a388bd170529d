import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.previews.preview import draw_preview, select_colours
from geodet.raster.scene import Scene
from geodet.vector.palette import class_colour

CLASSES = ("tree", "palm", "car")
UTM = {"crs": "EPSG:32610", "transform": Affine(0.5, 0, 600000, 0, -0.5, 4000000)}


def paint(path, pixels, *, nodata=None, place=UTM):
    profile = {"driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype.name}
    height, width = pixels.shape[1:]
    with rasterio.open(
        path, "w", width=width, height=height, nodata=nodata, **profile, **place
    ) as dataset:
        dataset.write(pixels)
    return path


def grey(bands=3, height=300, width=400, dtype="uint8", value=100):
    return np.full((bands, height, width), value, dtype)


def detections(boxes, labels=None, scores=None):
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else labels
    return Detections(boxes, np.ones(len(boxes)) if scores is None else scores, labels)


def drawn(path, found=None, **options):
    """Draw the preview of a raster: (H, W, 3)."""
    with Scene(path) as scene:
        found = Detections.empty() if found is None else found
        target = path.with_name("preview.png")
        draw_preview(target, scene, found, CLASSES, overwrite=True, **options)
    with Image.open(target) as image:
        return np.asarray(image).copy()


def colour(label, near):
    """Where an image has the colour of a class, within ``near``."""
    wanted = np.array(class_colour(label))
    return lambda image: (np.abs(image.astype(int) - wanted) <= near).all(axis=-1)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_three_bands_are_colours_and_fewer_are_grey(tmp_path, bands):
    pixels = grey(bands)
    pixels[1:] += 50
    image = drawn(paint(tmp_path / "scene.tif", pixels))
    expected = [100, 150, 150] if bands >= 3 else [100, 100, 100]
    assert image[150, 200].tolist() == expected


@pytest.mark.parametrize(
    ("shape", "max_side", "expected"),
    [
        ((300, 400), 2048, (600, 800)),  # enlarged twice: 1024 // 400
        ((256, 256), 2048, (1024, 1024)),
        ((256, 256), 600, (512, 512)),
        ((600, 900), 2048, (600, 900)),
        ((600, 900), 450, (300, 450)),
    ],
)
def test_small_images_are_enlarged_and_large_ones_reduced(tmp_path, shape, max_side, expected):
    path = paint(tmp_path / "scene.tif", grey(3, *shape))
    image = drawn(path, max_side=max_side)
    is_image = (image == 100).all(axis=-1)
    assert (is_image.any(axis=1).sum(), is_image.any(axis=0).sum()) == expected
    assert image.shape[0] > expected[0]  # the footer
    assert image.shape[1] >= expected[1]


@pytest.mark.parametrize(("dtype", "low", "high"), [("uint16", 2000, 9000), ("float32", -3, 0.5)])
def test_other_types_are_stretched_between_percentiles(tmp_path, dtype, low, high):
    ramp = np.linspace(low, high, 1200 * 1100).reshape(1, 1200, 1100).astype(dtype)
    ramp[0, 0, :5] = 65000 if dtype == "uint16" else 1e30  # five hot pixels must not matter
    image = drawn(paint(tmp_path / "scene.tif", ramp))[:1200, :, 0].astype(int)
    shares = (np.arange(1200) + 0.5) / 1200
    expected = np.clip((shares - 0.02) / 0.96, 0, 1) * 255
    np.testing.assert_allclose(image[1:].mean(axis=1), expected[1:], atol=2)


def test_pixels_without_data_are_light_checkers(tmp_path):
    pixels = grey(1, 1100, 1100, "float32", 7.0)
    pixels[0, :200] = np.nan
    pixels[0, 200:400] = -9999
    pixels[0, 1000] = 8
    image = drawn(paint(tmp_path / "scene.tif", pixels, nodata=-9999))
    assert sorted(np.unique(image[:400])) == [222, 240]
    assert (image[400:1000] < 200).all()


def test_a_scene_without_any_data_is_drawn(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(1, 1100, 1100, "uint16", 0), nodata=0)
    assert (drawn(path)[:1100] >= 222).all()


def test_the_outline_lies_around_the_object(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(3, 1100, 1200))
    image = drawn(path, detections([[400, 500, 460, 540]]))[:1100]
    rows, columns = np.nonzero(colour(0, 0)(image))
    assert (columns.min(), columns.max()) == (397, 462)  # 3 px wide, from the box outwards
    assert (rows.min(), rows.max()) == (497, 542)
    assert (image[503:537, 403:457] == 100).all()  # the object is free
    assert image[494:497, 420].mean() < 80  # the halo


def test_boxes_are_scaled_with_the_image(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(3, 1000, 2000))
    image = drawn(path, detections([[400, 400, 600, 600]]), max_side=1000)[:500]
    rows, columns = np.nonzero(colour(0, 0)(image))
    assert (columns.min() + columns.max() + 1) / 2 == 250
    assert (rows.min() + rows.max() + 1) / 2 == 250


def test_small_boxes_are_dots(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(3, 1100, 1100))
    image = drawn(path, detections([[498.5, 298.5, 502.5, 302.5]]))[:1100]
    assert colour(0, 0)(image)[300, 500]
    changed = np.argwhere((image != 100).any(axis=-1))
    assert np.abs(changed + 0.5 - (300.5, 500.5)).max() <= 5


def test_classes_have_their_colours_and_scores_their_opacity(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(3, 1100, 1100))
    boxes = [[100, 100, 150, 150], [300, 100, 350, 150], [500, 100, 550, 150]]
    image = drawn(path, detections(boxes, [0, 1, 2], [1.0, 1.0, 0.0]))[:1100]
    assert colour(0, 0)(image)[:, 90:160].any()
    assert colour(1, 0)(image)[:, 290:360].any()
    assert not colour(2, 0)(image).any()
    assert colour(2, 50)(image)[:, 490:560].any()


def test_objects_beyond_the_edges_are_drawn(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(3, 1100, 1100))
    boxes = [[-20, -20, 30, 30], [1090, 1090, 1130, 1140], [5, 5, 5, 5], [10, 600, 10, 660]]
    assert colour(0, 0)(drawn(path, detections(boxes))).any()


def test_the_same_input_draws_the_same_picture(tmp_path):
    path = paint(tmp_path / "scene.tif", grey())
    low = np.random.default_rng(0).uniform(0, 380, (200, 2))
    found = detections(np.hstack([low, low + 12]), np.arange(200) % 3)
    np.testing.assert_array_equal(drawn(path, found), drawn(path, found))


def test_an_existing_file_is_kept(tmp_path):
    target = tmp_path / "preview.png"
    target.write_bytes(b"mine")
    with (
        Scene(paint(tmp_path / "scene.tif", grey())) as scene,
        pytest.raises(OutputError, match=r"preview\.png exists already"),
    ):
        draw_preview(target, scene, Detections.empty(), CLASSES)
    assert target.read_bytes() == b"mine"


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    target = tmp_path / "preview.png"
    target.write_bytes(b"mine")

    def fail(_image, path, **_options):
        path.write_bytes(b"half")
        raise OSError("no space")

    monkeypatch.setattr(Image.Image, "save", fail)
    with (
        Scene(paint(tmp_path / "scene.tif", grey())) as scene,
        pytest.raises(OutputError, match=r"cannot write .*preview\.png: no space"),
    ):
        draw_preview(target, scene, Detections.empty(), CLASSES, overwrite=True)
    assert target.read_bytes() == b"mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["preview.png", "scene.tif"]


def test_formats_that_are_no_pictures_are_refused(tmp_path):
    with (
        Scene(paint(tmp_path / "scene.tif", grey())) as scene,
        pytest.raises(OutputError, match=r"cannot tell the format of .*preview\.tif"),
    ):
        draw_preview(tmp_path / "preview.tif", scene, Detections.empty(), CLASSES)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_a_class_is_a_value_error(tmp_path, label):
    with pytest.raises(ValueError, match=f"label {label} of 3 classes"):
        drawn(paint(tmp_path / "scene.tif", grey()), detections([[0, 0, 9, 9]], [label]))


def find(image, label):
    """Return the first and last column and row in the colour of a class, exclusive ends."""
    rows, columns = np.nonzero(colour(label, 0)(image))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("max_side", [1000, 750, 600])
def test_a_window_shows_the_objects_in_it(tmp_path, max_side):
    path = paint(tmp_path / "scene.tif", grey(3, 3000, 4000))
    found = detections([[1000, 900, 1400, 1100], [100, 100, 300, 300]], [0, 1])
    image = drawn(path, found, window=Window(800, 600, 1000, 800), max_side=max_side)
    scale = max_side / 1000
    image = image[: round(800 * scale)]
    x1, y1, x2, y2 = find(image, 0)
    assert (x1 + x2) / 2 == pytest.approx(400 * scale, abs=1)
    assert (y1 + y2) / 2 == pytest.approx(400 * scale, abs=1)
    assert not colour(1, 0)(image).any()


def test_a_small_window_is_enlarged(tmp_path):
    pixels = grey(3, 300, 400)
    pixels[:, 110:120, 210:220] = 200
    part = Window(200, 100, 40, 30)
    image = drawn(paint(tmp_path / "scene.tif", pixels), window=part)
    assert image.shape[1] == 40 * 25
    assert (image[10 * 25 + 60 : 20 * 25 - 60, 10 * 25 + 60 : 20 * 25 - 60] > 190).all()


def test_drawing_a_window_keeps_the_grid_of_the_scene(tmp_path):
    with Scene(paint(tmp_path / "scene.tif", grey())) as scene:
        scene.resample(123, 77)
        target = tmp_path / "preview.png"
        draw_preview(target, scene, detections([]), CLASSES, window=Window(0, 0, 400, 300))
        assert scene.grid == (123, 77)


def test_a_window_beyond_the_scene_is_a_value_error(tmp_path):
    path = paint(tmp_path / "scene.tif", grey())
    with pytest.raises(ValueError, match=r"is not within scene\.tif"):
        drawn(path, window=Window(0, 0, 401, 300))


def crowd(count, side):
    low = np.random.default_rng(1).uniform(0, side - 2, (count, 2))
    return detections(np.hstack([low, low + 2]), np.arange(count) % 2)


def test_crowded_dots_become_a_shading_over_a_dark_image(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(3, 1100, 1100, value=200))
    image = drawn(path, crowd(60_000, 500))[:1100]
    assert image[700:, 700:].max() < 110  # no objects there: grey and dark
    mixed = (np.array(class_colour(0)) + class_colour(1)) / 2
    assert np.abs(image[100:400, 100:400].mean(axis=(0, 1)) - mixed).max() < 40


def test_without_a_crowd_the_image_keeps_its_brightness(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(3, 1100, 1100, value=200))
    image = drawn(path, crowd(2_000, 1100))[:1100]
    assert (image == 200).all(axis=-1).mean() > 0.8


def test_large_boxes_are_drawn_over_a_shading(tmp_path):
    path = paint(tmp_path / "scene.tif", grey(3, 1100, 1100))
    large = detections([[700, 700, 800, 800]], [2])
    image = drawn(path, Detections.concatenate([crowd(60_000, 500), large]))
    assert colour(2, 0)(image)[690:810, 690:810].sum() > 800


def test_a_scene_opened_for_a_model_is_drawn_in_its_colours(tmp_path):
    """Neither the bands nor the grid with which it was opened change the picture."""
    pixels = grey(4, 1100, 1100) + np.arange(0, 80, 20, dtype=np.uint8)[:, None, None]
    path = paint(tmp_path / "scene.tif", pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("nir", "red", "green", "blue")
    target = tmp_path / "preview.png"
    with Scene(path, bands=(1,)) as scene:
        scene.resample(100, 90)
        select_colours(scene)
        draw_preview(target, scene, detections([]), CLASSES)
    with Image.open(target) as image:
        assert image.convert("RGB").getpixel((4, 4)) == (120, 140, 160)
