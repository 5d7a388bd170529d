import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from geodet import preview
from geodet.boxes import Detections
from geodet.errors import OutputError
from geodet.preview import draw_preview
from geodet.scene import Scene

CLASSES = ("tree", "palm", "car")
UTM = {"crs": "EPSG:32610", "transform": Affine(0.5, 0, 600000, 0, -0.5, 4000000)}
PIXELS = {"transform": Affine(2, 0, 0, 0, -2, 0)}


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
    """Tell where an image has the colour of a class, within ``near``."""
    wanted = np.array(preview._COLOURS[label])
    return lambda image: (np.abs(image.astype(int) - wanted) <= near).all(axis=-1)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_shows_any_number_of_bands(tmp_path, bands):
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
def test_sides_of_the_image(tmp_path, shape, max_side, expected):
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


def test_boxes_follow_the_overview(tmp_path):
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


def test_the_legend_counts_what_is_there():
    found = detections([[0, 0, 9, 9]] * 1234, [2] * 1200 + [0] * 34)
    counts = preview._count(found, CLASSES)
    assert [(name, count) for name, count, _ in counts] == [("tree", 34), ("car", 1200)]
    texts = [text for text, _ in preview._entries(counts)]
    assert texts == ["1,234 objects", "tree  34", "car  1,200"]
    assert preview._entries([]) == [("no objects", None)]
    assert preview._entries(counts[:1])[0][0] == "34 objects"


def test_a_long_legend_and_a_long_name_find_room(tmp_path):
    counts = [(f"a long name of class {i}", i, (9, 9, 9)) for i in range(30)]
    rows = list(preview._rows(preview._entries(counts), 560, 14))
    assert len(rows) > 5
    assert sum(map(len, rows)) == 31
    path = paint(tmp_path / f"{'long' * 40}.tif", grey(3, 40, 30))
    assert drawn(path).shape[1] >= 560


@pytest.mark.parametrize(
    ("gsd", "width", "place", "text", "width_px"),
    [
        (None, 2000, UTM, "200 m", 400),  # 0.5 m: a fifth of 1,000 m
        (None, 1000, UTM, "200 m", 200),  # the same at half the size
        (0.01, 2000, UTM, "2 m", 200),
        (0.0001, 2000, UTM, "2 cm", 200),
        (20.0, 2000, UTM, "5 km", 250),
        (None, 1000, PIXELS, "200 px", 100),  # without a CRS: the raster's own pixels
    ],
)
def test_the_scale_bar_is_round_and_true(tmp_path, gsd, width, place, text, width_px):
    path = paint(tmp_path / "scene.tif", grey(1, 20, 2000), place=place)
    with Scene(path, gsd=gsd) as scene:
        scale = preview._ScaleBar.of(scene, width)
    assert scale.text == text
    assert scale.width_px == pytest.approx(width_px, abs=1)


def test_an_existing_file_is_kept(tmp_path):
    target = tmp_path / "preview.png"
    target.write_bytes(b"mine")
    with (
        Scene(paint(tmp_path / "scene.tif", grey())) as scene,
        pytest.raises(OutputError, match=r"preview\.png exists already"),
    ):
        draw_preview(target, scene, Detections.empty(), CLASSES)
    assert target.read_bytes() == b"mine"


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
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


def test_only_png(tmp_path):
    with (
        Scene(paint(tmp_path / "scene.tif", grey())) as scene,
        pytest.raises(OutputError, match=r"cannot tell the format of .*preview\.jpg"),
    ):
        draw_preview(tmp_path / "preview.jpg", scene, Detections.empty(), CLASSES)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_a_class_is_a_bug(tmp_path, label):
    with pytest.raises(ValueError, match="of 3 classes"):
        drawn(paint(tmp_path / "scene.tif", grey()), detections([[0, 0, 9, 9]], [label]))
