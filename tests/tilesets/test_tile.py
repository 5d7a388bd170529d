import warnings
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from factories_tilesets import NORTH_UP, shared_data
from full_disk import largest_file
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning

from geodet.config import DataConfig, TileConfig
from geodet.errors import OutputError, SceneError, TilesetError, VectorError
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.tile import tile_scene
from geodet.tilesets.tileset import read_tileset

SIZE = (200, 160)
TURNED = NORTH_UP @ Affine.rotation(30)
CHIPS = {"chip_size": 64, "block_size": 64, "val_fraction": 0.25}
POINTS = DataConfig(box_size_px=8)


def paint_scene(path, *, transform=NORTH_UP, epsg=32610, valid=None):
    """Write a scene whose values encode the position, with 0 where it is not valid."""
    width, height = SIZE
    columns, rows = np.meshgrid(np.arange(1, width + 1), np.arange(1, height + 1))
    pixels = np.stack([columns, rows]).astype(np.uint16)
    if valid is not None:
        pixels[:, ~valid] = 0
    profile = {"width": width, "height": height, "count": 2, "dtype": "uint16", "nodata": 0}
    crs = None if epsg is None else f"EPSG:{epsg}"
    options = {} if transform is None else {"transform": transform}
    with warnings.catch_warnings():  # only here: geodet itself must not warn
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", crs=crs, **profile, **options) as raster:
            raster.write(pixels)
    return path


def to_ground(xy, transform=NORTH_UP):
    return GeoBox(*SIZE, transform, None).to_world(np.asarray(xy, np.float64))


def save(path, geometries, crs="EPSG:32610", **columns):
    gpd.GeoDataFrame(columns, geometry=list(geometries), crs=crs).to_file(path)
    return path


def draw_boxes(boxes, transform=NORTH_UP):
    """Convert boxes in scene pixels to polygons in world coordinates."""
    corners = np.array(boxes, np.float64)[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    return shapely.polygons(to_ground(corners, transform))


def spread(step=23, side=9):
    return [
        [x, y, x + side, y + side]
        for x in range(2, SIZE[0] - side, step)
        for y in range(2, SIZE[1] - side, step)
    ]


def make_inputs(folder, boxes=None, **options):
    scene = paint_scene(folder / "s.tif", **options)
    transform = options.get("transform", NORTH_UP)
    return scene, save(folder / "l.gpkg", draw_boxes(boxes or spread(), transform))


def offset(image):
    """Read the offset of a chip in its scene from its name."""
    row, column = image.path.stem.split("_")[-2:]
    return int(column[1:]), int(row[1:])


def to_scene(image, boxes):
    return boxes + np.array([*offset(image)] * 2)


def pixels_of(images, shape):
    mask = np.zeros(shape, bool)
    for image in images:
        x, y = offset(image)
        mask[y : y + image.height, x : x + image.width] = True
    return mask


@pytest.mark.parametrize("overlap", [0, 12])
@pytest.mark.parametrize("transform", [NORTH_UP, TURNED])
def test_chips_have_the_pixels_and_objects_of_the_scene(tmp_path, overlap, transform):
    boxes = np.array(spread(), np.float64)
    scene, labels = make_inputs(tmp_path, boxes.tolist(), transform=transform)
    config = TileConfig(chip_size=32, block_size=80, overlap=overlap, min_visible=1)
    report = tile_scene(scene, labels, tmp_path / "out", config, DataConfig())
    tileset = read_tileset(tmp_path / "out", DataConfig())
    assert len(tileset.images) == report.train + report.val > 0
    seen = set()
    for image in tileset.images:
        x, y = offset(image)
        with rasterio.open(image.path) as chip, rasterio.open(scene) as whole:
            window = rasterio.windows.Window(x, y, image.width, image.height)
            np.testing.assert_array_equal(chip.read(), whole.read(window=window))
            assert chip.transform.almost_equals(transform @ Affine.translation(x, y))
            assert (chip.crs, chip.nodata, chip.dtypes) == (whole.crs, 0, whole.dtypes)
        for box in to_scene(image, image.boxes):
            distance = np.abs(boxes - box).max(axis=1)
            assert distance.min() < 1e-5
            seen.add(int(distance.argmin()))
        assert image.gsd == pytest.approx(0.5, rel=1e-3)
    assert len(seen) == report.objects_kept
    assert len(boxes) == report.objects_kept + report.objects_dropped


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("overlap", [0, 13, 40])
def test_no_training_chip_shares_a_pixel_with_a_validation_chip(tmp_path, overlap, seed):
    scene, labels = make_inputs(tmp_path)
    config = TileConfig(chip_size=48, block_size=90, overlap=overlap, seed=seed)
    report = tile_scene(scene, labels, tmp_path / "out", config, DataConfig())
    tileset = read_tileset(tmp_path / "out", DataConfig())
    train, val = (pixels_of(tileset.split(s), SIZE[::-1]) for s in ("train", "val"))
    assert train.any()
    assert val.any()
    assert not (train & val).any()
    assert report.skipped_overlap > 0 or overlap == 0
    places = [{i.place for i in tileset.split(s)} for s in ("train", "val")]
    assert not places[0] & places[1]


def test_objects_visible_below_min_visible_become_ignored_regions(tmp_path):
    # 30 % of the first box and 20 % of the second are left of the seam at column 64
    boxes = [[61, 10, 71, 20], [62, 40, 72, 50], [150, 100, 160, 110]]
    scene, labels = make_inputs(tmp_path, boxes)
    config = TileConfig(**CHIPS | {"val_fraction": 0}, min_visible=0.3)
    tile_scene(scene, labels, tmp_path / "out", config, DataConfig())
    images = {offset(i): i for i in read_tileset(tmp_path / "out", DataConfig()).images}
    np.testing.assert_allclose(images[0, 0].boxes, [[61, 10, 64, 20]], atol=1e-5)
    np.testing.assert_allclose(images[0, 0].ignored, [[62, 40, 64, 50]], atol=1e-5)
    expected = [[0, 10, 7, 20], [0, 40, 8, 50]]
    np.testing.assert_allclose(images[64, 0].boxes, expected, atol=1e-5)


def test_points_belong_to_the_chip_that_contains_them_and_keep_their_box(tmp_path):
    points = [[62.5, 10.5], [66.5, 30.5], [150, 100]]
    scene = paint_scene(tmp_path / "s.tif")
    labels = save(tmp_path / "l.geojson", shapely.points(to_ground(points)))
    config = TileConfig(**CHIPS | {"val_fraction": 0})
    tile_scene(scene, labels, tmp_path / "out", config, POINTS)
    images = {offset(i): i for i in read_tileset(tmp_path / "out", DataConfig()).images}
    np.testing.assert_allclose(images[0, 0].boxes, [[58.5, 6.5, 66.5, 14.5]], atol=1e-5)
    np.testing.assert_allclose(images[0, 0].ignored, [[62.5, 26.5, 64, 34.5]], atol=1e-5)
    np.testing.assert_allclose(images[64, 0].boxes, [[-1.5, 26.5, 6.5, 34.5]], atol=1e-5)


def test_box_sizes_in_metres_follow_the_gsd_of_the_scene(tmp_path):
    scene = paint_scene(tmp_path / "s.tif")
    labels = save(tmp_path / "l.gpkg", shapely.points(to_ground([[20, 20], [100, 100]])))
    tile_scene(scene, labels, tmp_path / "out", TileConfig(**CHIPS), DataConfig(box_size_m=4))
    for image in read_tileset(tmp_path / "out", DataConfig()).images:
        np.testing.assert_allclose(image.boxes[:, 2:] - image.boxes[:, :2], 8, rtol=1e-3)


def test_labels_may_be_in_another_crs(tmp_path):
    scene = paint_scene(tmp_path / "s.tif")
    drawn = gpd.GeoSeries(draw_boxes(spread()), crs="EPSG:32610").to_crs(4326)
    labels = save(tmp_path / "l.geojson", drawn, crs=4326, kind=["a"] * len(drawn))
    config = TileConfig(**CHIPS, min_visible=1, label_field="kind")
    report = tile_scene(scene, labels, tmp_path / "out", config, DataConfig())
    assert report.classes == ("a",)
    found = np.concatenate(
        [to_scene(i, i.boxes) for i in read_tileset(tmp_path / "out", DataConfig()).images]
    )
    distance = np.abs(found[:, None] - np.array(spread())).max(axis=2).min(axis=1)
    assert distance.max() < 0.1  # GeoJSON keeps seven decimals of a degree, a centimetre


def test_a_scene_without_crs_has_labels_in_pixels_with_y_upwards(tmp_path, caplog):
    scene = paint_scene(tmp_path / "s.tif", transform=None, epsg=None)
    flipped = [shapely.box(x1, -y2, x2, -y1) for x1, y1, x2, y2 in spread()]
    labels = save(tmp_path / "l.geojson", flipped, crs=4326)
    config = TileConfig(**CHIPS, min_visible=1)
    report = tile_scene(scene, labels, tmp_path / "out", config, DataConfig(gsd=0.1))
    assert "the scene has no CRS" in caplog.text
    assert report.objects_kept > 20
    tileset = read_tileset(tmp_path / "out", DataConfig())
    found = np.concatenate([to_scene(image, image.boxes) for image in tileset.images])
    assert np.abs(found[:, None] - np.array(spread())).max(axis=2).min(axis=1).max() < 1e-5
    assert {image.gsd for image in tileset.images} == {0.1}


def test_a_crs_without_a_geotransform_places_neither_labels_nor_chips(tmp_path, caplog):
    scene = paint_scene(tmp_path / "s.tif", transform=None, epsg=32610)
    flipped = [shapely.box(x1, -y2, x2, -y1) for x1, y1, x2, y2 in spread()]
    placed = save(tmp_path / "l.gpkg", flipped, crs=32610)
    config = TileConfig(**CHIPS, min_visible=1)
    message = r"l\.gpkg is in WGS 84 / UTM zone 10N, and .*s\.tif declares the CRS .* no geotransf"
    with pytest.raises(VectorError, match=message) as caught:
        tile_scene(scene, placed, tmp_path / "out", config, DataConfig(gsd=0.1))
    assert "gdal_edit -a_ullr" in caught.value.hint
    # GeoJSON cannot say that it has no CRS, but what is no longitude and latitude are pixels.
    labels = save(tmp_path / "l.geojson", flipped, crs=4326)
    tile_scene(scene, labels, tmp_path / "out", config, DataConfig(gsd=0.1))
    assert "s.tif declares a CRS (WGS 84 / UTM zone 10N), but no geotransform" in caplog.text
    images = read_tileset(tmp_path / "out", DataConfig()).images
    with rasterio.open(images[0].path) as chip:
        assert chip.crs is None
    found = np.concatenate([to_scene(image, image.boxes) for image in images])
    assert np.abs(found[:, None] - np.array(spread())).max(axis=2).min(axis=1).max() < 1e-5


def test_windows_without_data_are_skipped(tmp_path):
    valid = np.ones(SIZE[::-1], bool)
    valid[:, :64] = False
    scene, labels = make_inputs(tmp_path, valid=valid)
    config = TileConfig(**CHIPS, empty_share=1)
    report = tile_scene(scene, labels, tmp_path / "out", config, DataConfig())
    tileset = read_tileset(tmp_path / "out", DataConfig())
    assert min(offset(image)[0] for image in tileset.images) >= 64
    assert report.skipped_invalid > 0
    assert report.objects_dropped > 0


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_empty_windows_is_kept(tmp_path, share):
    boxes = [[x, y, x + 9, y + 9] for x in (5, 70, 140) for y in (5, 70)]
    scene, labels = make_inputs(tmp_path, boxes)
    config = TileConfig(chip_size=32, block_size=64, empty_share=share)
    calls = []
    report = tile_scene(
        scene, labels, tmp_path / "out", config, DataConfig(), progress=lambda *c: calls.append(c)
    )
    tileset = read_tileset(tmp_path / "out", DataConfig())
    for split in ("train", "val"):
        empty = sum(len(image.boxes) == 0 for image in tileset.split(split))
        assert empty == round(share * (len(tileset.split(split)) - empty))
    skipped = report.skipped_empty + report.skipped_invalid + report.skipped_overlap
    assert report.train + report.val + skipped == 7 * 5
    assert all(a <= b for (a, _), (b, _) in pairwise(calls))
    assert all(done <= total for done, total in calls)
    assert calls[-1] == (len(tileset.images), len(tileset.images))


def test_the_same_seed_cuts_the_same_chips(tmp_path):
    scene, labels = make_inputs(tmp_path)
    config = TileConfig(**CHIPS)
    reports = [
        tile_scene(scene, labels, tmp_path / name, config, DataConfig()) for name in ("a", "b")
    ]
    assert asdict(reports[0]) == asdict(reports[1])
    for name in ("train.json", "val.json"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


def test_an_existing_tileset_is_replaced_only_with_overwrite(tmp_path):
    scene, labels = make_inputs(tmp_path)
    arguments = (scene, labels, tmp_path / "out", TileConfig(**CHIPS), DataConfig())
    tile_scene(*arguments)
    with pytest.raises(OutputError, match="is not empty"):
        tile_scene(*arguments)
    (tmp_path / "out" / "images" / "left_over.tif").touch()
    tile_scene(*arguments, overwrite=True)
    assert not (tmp_path / "out" / "images" / "left_over.tif").exists()
    (tmp_path / "out" / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"holds more than an earlier output: notes\.txt"):
        tile_scene(*arguments, overwrite=True)


def test_a_full_disk_stops_at_the_first_chip_and_keeps_the_old_tileset(tmp_path, capfd):
    scene, labels = make_inputs(tmp_path)
    arguments = (scene, labels, tmp_path / "out", TileConfig(**CHIPS), DataConfig())
    tile_scene(*arguments)
    before = sorted(tmp_path.rglob("*"))
    smallest = min(path.stat().st_size for path in (tmp_path / "out" / "images").iterdir())
    done = []
    with (
        largest_file(smallest - 1),
        pytest.raises(
            OutputError, match=r"cannot write .*out: .*: images/s_r\d+_c\d+\.tif"
        ) as caught,
    ):
        tile_scene(*arguments, overwrite=True, progress=lambda *numbers: done.append(numbers))
    assert "free space" in caught.value.hint
    assert ".geodet-" not in str(caught.value)
    assert done == []
    assert sorted(tmp_path.rglob("*")) == before
    assert capfd.readouterr().err == ""


def test_a_scene_whose_chips_have_too_long_names_is_named_without_a_temporary_path(tmp_path):
    scene, labels = make_inputs(tmp_path)
    long = scene.rename(tmp_path / f"{'a' * 248}.tif")
    wanted = rf"cannot write .*out: File name too long: images/{long.stem}_r"
    with pytest.raises(OutputError, match=wanted) as caught:
        tile_scene(long, labels, tmp_path / "out", TileConfig(**CHIPS), DataConfig())
    assert ".geodet-" not in str(caught.value)
    assert "the file of a scene is named after the scene" in caught.value.hint


def test_an_interrupted_run_leaves_nothing(tmp_path):
    scene, labels = make_inputs(tmp_path)
    arguments = (scene, labels, tmp_path / "out", TileConfig(**CHIPS), DataConfig())
    tile_scene(*arguments)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))

    def interrupt(done, _total):
        if done == 3:
            raise KeyboardInterrupt("enough")

    with pytest.raises(KeyboardInterrupt, match="enough"):
        tile_scene(*arguments, overwrite=True, progress=interrupt)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_labels_outside_of_the_scene_are_refused_with_both_extents(tmp_path):
    scene = paint_scene(tmp_path / "s.tif")
    labels = save(tmp_path / "l.gpkg", [shapely.box(0, 0, 1, 1)])
    with pytest.raises(TilesetError, match="none of the 1 labels") as caught:
        tile_scene(scene, labels, tmp_path / "out", TileConfig(**CHIPS), DataConfig())
    assert (
        "the labels span 0,0 to 1,1 and the scene 600000,3999920 to 600100,4000000 in WGS 84 / UTM "
        "zone 10N" in caught.value.hint
    )
    assert not (tmp_path / "out").exists()


def test_labels_outside_of_the_scene_are_counted(tmp_path, caplog):
    scene = paint_scene(tmp_path / "s.tif")
    labels = save(tmp_path / "l.gpkg", [*draw_boxes(spread()), shapely.box(0, 0, 1, 1)])
    config = TileConfig(**CHIPS)
    report = tile_scene(scene, labels, tmp_path / "out", config, DataConfig())
    assert "1 of 64 labels lie outside of" in caplog.text
    assert report.objects_kept + report.objects_dropped == len(spread()) + 1


def test_labels_that_do_not_exist_in_the_scenes_crs_count_as_outside(tmp_path, caplog):
    scene = paint_scene(tmp_path / "s.tif")
    good = gpd.GeoSeries(draw_boxes(spread()), crs="EPSG:32610").to_crs(4326)
    bad = [shapely.box(600_000, 4_000_000, 600_001, 4_000_001), shapely.Point(600_000, 4_000_000)]
    labels = save(tmp_path / "l.gpkg", [*good, *bad], crs=4326)
    report = tile_scene(scene, labels, tmp_path / "out", TileConfig(**CHIPS), POINTS)
    assert "2 of 65 labels lie outside of" in caplog.text
    assert report.objects_kept + report.objects_dropped == len(spread()) + 2


def test_unsuitable_inputs_are_refused_with_the_reason(tmp_path):
    scene, labels = make_inputs(tmp_path)
    points = save(tmp_path / "p.gpkg", shapely.points(to_ground([[20, 20], [100, 100]])))
    empty = save(tmp_path / "e.gpkg", [])
    for arguments, error, message in [
        ((tmp_path / "gone.tif", labels), SceneError, "no such file"),
        ((scene, tmp_path / "gone.gpkg"), VectorError, "no such file"),
        ((scene, points), TilesetError, "no box size is set"),
        ((scene, empty), TilesetError, "none of the 0 labels"),
    ]:
        with pytest.raises(error, match=message):
            tile_scene(*arguments, tmp_path / "out", TileConfig(**CHIPS), DataConfig())
    with pytest.raises(TilesetError, match="all objects are in one block of 2048 px"):
        tile_scene(
            scene,
            labels,
            tmp_path / "out",
            TileConfig(chip_size=64, block_size=2048),
            DataConfig(),
        )
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_labels_of_a_web_mercator_scene_keep_their_place_and_size_in_metres(tmp_path):
    scene = shared_data("scenes") / "kampala_7cm.tif"
    if not scene.is_file():
        pytest.skip(f"no real data at {scene}")
    with rasterio.open(scene) as raster:
        geobox = GeoBox(raster.width, raster.height, raster.transform, CRS.from_epsg(3857))
    centres = np.random.default_rng(0).uniform(0, [geobox.width, geobox.height], (60, 2))
    labels = save(tmp_path / "l.gpkg", shapely.points(geobox.to_world(centres)), crs=3857)
    config = TileConfig(chip_size=512, block_size=1024)
    report = tile_scene(scene, labels, tmp_path / "out", config, DataConfig(box_size_m=3))
    assert report.objects_kept == 60
    tileset = read_tileset(Path(tmp_path / "out"), DataConfig())
    found = np.concatenate([to_scene(image, image.boxes) for image in tileset.images])
    middle = (found[:, :2] + found[:, 2:]) / 2
    assert np.abs(middle[:, None] - centres).max(axis=2).min(axis=0).max() < 1e-3
    side_m = (found[:, 2:] - found[:, :2]) * geobox.ground_resolution
    np.testing.assert_allclose(side_m, 3, rtol=1e-6)


def test_classes_come_from_the_chosen_attribute_and_are_renamed(tmp_path):
    scene, boxes = paint_scene(tmp_path / "s.tif"), spread()
    kinds = ["elm" if n % 2 else "oak" for n in range(len(boxes))]
    labels = save(tmp_path / "l.gpkg", draw_boxes(boxes), species=kinds, label="tree")
    config = TileConfig.model_validate(CHIPS | {"label_field": "species"})
    report = tile_scene(scene, labels, tmp_path / "two", config, DataConfig())
    assert report.classes == ("elm", "oak")
    joined = DataConfig(class_map={"elm": "leafy", "oak": "leafy"})
    assert tile_scene(scene, labels, tmp_path / "one", config, joined).classes == ("leafy",)
    whole = TileConfig.model_validate(CHIPS | {"label_field": ""})
    named = DataConfig(class_name="plant")
    assert tile_scene(scene, labels, tmp_path / "all", whole, named).classes == ("plant",)
