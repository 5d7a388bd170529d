"""Tiling a part of a scene, several scenes, and at another ground sample distance."""

import logging

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Transformer

from geodet.config import DataConfig, TileConfig
from geodet.errors import ConfigError, SceneError, TilesetError, VectorError
from geodet.geometry.windows import Window
from geodet.tilesets.labelled_scene import outside_boxes
from geodet.tilesets.tile import LabelledArea, tile_scene
from geodet.tilesets.tileset import read_tileset
from geodet.vector.area_of_interest import AreaOfInterest

UTM = CRS.from_epsg(32633)
WEST, TOP = 500_000.0, 5_800_000.0
CHIPS = {"chip_size": 32, "block_size": 64, "val_fraction": 0.25, "empty_share": 1}


def paint(path, *, west=WEST, top=TOP, size=(256, 192), step=0.5, epsg=32633, values=None):
    width, height = size
    values = np.arange(1, width * height + 1).reshape(height, width) if values is None else values
    profile = {"width": width, "height": height, "count": 1, "dtype": "float32"}
    place = {"crs": f"EPSG:{epsg}", "transform": Affine(step, 0, west, 0, -step, top)}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as raster:
        raster.write(values.astype(np.float32), 1)
    return path


def label(path, boxes, *, crs=UTM, west=WEST, top=TOP, step=0.5):
    """Write boxes in pixels as polygons on the ground."""
    x1, y1, x2, y2 = np.array(boxes, np.float64).T
    shapes = shapely.box(west + step * x1, top - step * y2, west + step * x2, top - step * y1)
    gpd.GeoDataFrame({"label": ["tree"] * len(shapes)}, geometry=shapes, crs=UTM).to_crs(
        crs
    ).to_file(path)
    return path


def spread(size=(256, 192), step=19):
    return [
        (x, y, x + 8, y + 8)
        for x in range(4, size[0] - 9, step)
        for y in range(4, size[1] - 9, step)
    ]


def footprint(image):
    with rasterio.open(image.path) as raster:
        return shapely.box(*raster.bounds), raster.crs


def test_only_the_labelled_part_becomes_chips(tmp_path):
    scene = paint(tmp_path / "s.tif")
    inner = shapely.Point(WEST + 50, TOP - 50).buffer(36)
    gpd.GeoDataFrame(geometry=[inner], crs=UTM).to_crs(4326).to_file(tmp_path / "aoi.gpkg")
    boxes = spread()
    area = LabelledArea(aoi=tmp_path / "aoi.gpkg")
    labels = label(tmp_path / "l.gpkg", boxes)
    report = tile_scene(
        scene, labels, tmp_path / "out", TileConfig(**CHIPS), DataConfig(), area=area
    )
    centres = shapely.points([(WEST + (a + c) / 4, TOP - (b + d) / 4) for a, b, c, d in boxes])
    assert report.objects_kept == int(shapely.contains(inner, centres).sum())
    assert report.objects_kept + report.objects_dropped == len(boxes)
    counted = report.train + report.val + report.skipped_empty + report.skipped_overlap
    assert counted + report.skipped_invalid + report.skipped_outside == 8 * 6
    assert report.skipped_outside > 0
    for image in read_tileset(tmp_path / "out", DataConfig()).images:
        shape, _ = footprint(image)
        assert shapely.intersects(shape, inner)
        check_ignored(image, inner)


def check_ignored(image, inner):
    """The ignored regions are what lies outside of the area, to half a cell of 8 px."""
    with rasterio.open(image.path) as raster:
        to_ground = raster.transform
    y, x = np.mgrid[0 : image.height, 0 : image.width] + 0.5
    px, py = to_ground @ (x, y)
    away = shapely.distance(shapely.points(px, py), inner.exterior) > 8 * 0.75 * 0.5
    outside = ~shapely.contains_xy(inner, px, py)
    painted = np.zeros(x.shape, bool)
    for x1, y1, x2, y2 in image.ignored.round().astype(int):
        painted[y1:y2, x1:x2] = True
    objects = np.zeros(x.shape, bool)  # objects outside of the area are ignored regions, too
    for x1, y1, x2, y2 in image.ignored:
        if (x2 - x1 <= 8) and (y2 - y1 <= 8):
            objects[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
    assert (painted | ~outside)[away].all()
    assert (~painted | outside | objects)[away].all()


@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_bounds_are_an_area(tmp_path, crs):
    scene = paint(tmp_path / "s.tif")
    labels = label(tmp_path / "l.gpkg", spread())
    bounds = (WEST, TOP - 48, WEST + 64, TOP)
    if crs:
        bounds = Transformer.from_crs(UTM, crs, always_xy=True).transform_bounds(*bounds)
    area = LabelledArea(bounds=bounds, bounds_crs=crs)
    report = tile_scene(scene, labels, tmp_path / "o", TileConfig(**CHIPS), DataConfig(), area=area)
    if crs is None:
        assert report.skipped_outside == 48 - 4 * 3
        assert report.objects_kept == sum(x + 4 <= 128 and y + 4 <= 96 for x, y, *_ in spread())
    assert 0 < report.objects_kept < len(spread())


def test_an_area_elsewhere_and_two_areas_are_refused(tmp_path):
    scene = paint(tmp_path / "s.tif")
    labels = label(tmp_path / "l.gpkg", spread())
    area = LabelledArea(bounds=(0, 0, 1, 1))
    with pytest.raises(VectorError, match="the area does not intersect the scene"):
        tile_scene(scene, labels, tmp_path / "o", TileConfig(**CHIPS), DataConfig(), area=area)
    with pytest.raises(ConfigError, match="both an area of interest and bounds"):
        LabelledArea(aoi=tmp_path / "a.gpkg", bounds=(0, 0, 1, 1))


def test_the_outside_of_a_rectangle_is_covered_once():
    aoi = AreaOfInterest(np.array([shapely.box(8, 16, 40, 48)]), 64, 64, "")
    boxes = outside_boxes(aoi, Window(0, 0, 64, 60))
    assert shapely.area(shapely.box(*boxes.T)).sum() == 64 * 60 - 32 * 32
    union = shapely.union_all(shapely.box(*boxes.T))
    assert union.equals(shapely.box(0, 0, 64, 60) - shapely.box(8, 16, 40, 48))
    assert outside_boxes(aoi, Window(10, 20, 20, 20)).shape == (0, 4)


def test_the_share_far_from_all_labels_is_warned_of(tmp_path, caplog):
    scene = paint(tmp_path / "s.tif")
    corner = [box for box in spread() if box[0] < 100 and box[1] < 80]
    labels = label(tmp_path / "l.gpkg", corner)
    config = TileConfig(**CHIPS)
    with caplog.at_level(logging.WARNING):
        tile_scene(scene, labels, tmp_path / "out", config, DataConfig())
    hull = shapely.union_all(shapely.box(*np.array(corner, float).T)).convex_hull.buffer(32)
    frame = shapely.box(0, 0, 256, 192)
    far = 100 * (1 - hull.intersection(frame).area / frame.area)
    assert f"{far:.0f} % of {scene} is more than a chip away from all labels" in caplog.text
    assert "--aoi FILE, --bounds" in caplog.text
    caplog.clear()
    bounds = (WEST, TOP - 60, WEST + 70, TOP)
    for name, file, area in (
        ("a", labels, LabelledArea(bounds=bounds)),
        ("b", label(tmp_path / "all.gpkg", spread()), None),
    ):
        tile_scene(scene, file, tmp_path / name, config, DataConfig(), area=area)
    assert "more than a chip away" not in caplog.text


def test_chips_of_several_scenes_share_no_ground_between_the_parts(tmp_path):
    """Neighbours that overlap, one of them in another CRS, with one file of labels."""
    paint(tmp_path / "a.tif")
    paint(tmp_path / "b.tif", west=WEST + 80)
    x, y = Transformer.from_crs(UTM, 32632, always_xy=True).transform(WEST + 20, TOP - 70)
    paint(tmp_path / "c.tif", west=x, top=y, epsg=32632)
    labels = label(tmp_path / "l.gpkg", spread((420, 330)), crs=4326)
    report = tile_scene(
        [tmp_path / "*.tif"], labels, tmp_path / "out", TileConfig(**CHIPS), DataConfig()
    )
    assert report.scenes == 3
    assert report.skipped_overlap > 0
    tileset = read_tileset(tmp_path / "out", DataConfig())
    assert {image.path.name[0] for image in tileset.images} == {"a", "b", "c"}
    assert len({image.path.name for image in tileset.images}) == len(tileset.images)
    shapes = {"train": [], "val": []}
    for image in tileset.images:
        shape, crs = footprint(image)
        shapes[image.split].append(gpd.GeoSeries([shape], crs=crs).to_crs(UTM)[0])
    assert all(shapes.values())
    for one in shapes["train"]:
        for other in shapes["val"]:
            assert shapely.intersection(one, other).area < 0.5
    assert report.objects_kept <= len(spread((420, 330)))


def test_scenes_of_one_name_get_chips_of_different_names(tmp_path):
    for folder, west in (("1", WEST), ("2", WEST + 500)):
        (tmp_path / folder).mkdir()
        paint(tmp_path / folder / "s.tif", west=west)
    boxes = [*spread(), *[(a + 1000, b, c + 1000, d) for a, b, c, d in spread()]]
    labels = label(tmp_path / "l.gpkg", boxes)
    scenes = [tmp_path / "1" / "s.tif", tmp_path / "2" / "s.tif"]
    config = TileConfig(**CHIPS, min_visible=0.2)
    report = tile_scene(scenes, labels, tmp_path / "out", config, DataConfig())
    names = {path.name[:3] for path in (tmp_path / "out" / "images").iterdir()}
    assert names == {"1_s", "2_s"}
    assert report.objects_kept == len(boxes)


def test_names_of_chips_differ_where_a_folder_and_a_file_name_spell_the_same(tmp_path):
    names = ("north/ortho.tif", "south/ortho.tif", "north_ortho.tif")
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        paint(tmp_path / name, west=WEST + 500 * number)
    boxes = [(a + 1000 * n, b, c + 1000 * n, d) for n in range(3) for a, b, c, d in spread()]
    labels = label(tmp_path / "l.gpkg", boxes)
    scenes = [tmp_path / name for name in names]
    config = TileConfig(**CHIPS, min_visible=0.2)
    report = tile_scene(scenes, labels, tmp_path / "out", config, DataConfig())
    chips = list((tmp_path / "out" / "images").iterdir())
    assert len(chips) == report.train + report.val
    assert {path.name.partition("_r")[0] for path in chips} == {
        "north_ortho.tif",
        "south_ortho",
        "north_ortho.tif_2",
    }
    assert report.objects_kept == len(boxes)


def test_chips_at_another_gsd_are_averages_with_their_boxes(tmp_path):
    values = np.random.default_rng(0).uniform(0, 100, (192, 256))
    scene = paint(tmp_path / "s.tif", values=values)
    labels = label(tmp_path / "l.gpkg", spread())
    report = tile_scene(scene, labels, tmp_path / "out", TileConfig(**CHIPS, gsd=1), DataConfig())
    coarse = values.astype(np.float32).reshape(96, 2, 128, 2).mean(axis=(1, 3))
    tileset = read_tileset(tmp_path / "out", DataConfig())
    assert report.train + report.val + report.skipped_empty + report.skipped_overlap == 4 * 3
    for image in tileset.images:
        row, column = (int(part[1:]) for part in image.path.stem.split("_")[-2:])
        with rasterio.open(image.path) as chip:
            expected = coarse[row : row + image.height, column : column + image.width]
            np.testing.assert_allclose(chip.read(1), expected, rtol=1e-5)
            assert chip.res == (1, 1)
        assert image.gsd == pytest.approx(1, rel=1e-3)
        for box in image.boxes:
            whole = 2 * (box + np.array([column, row, column, row]))
            nearest = np.abs(np.array(spread()) - whole).max(axis=1).min()
            assert nearest < 1e-6 or (box == np.clip(box, 1e-9, 32 - 1e-9)).mean() < 1


def test_what_is_not_valid_stays_so_at_another_gsd(tmp_path):
    values = np.full((192, 256), 7.0)
    values[:80, :100] = 0
    scene = paint(tmp_path / "s.tif", values=values)
    with rasterio.open(scene, "r+") as raster:
        raster.nodata = 0
    labels = label(tmp_path / "l.gpkg", spread())
    tile_scene(scene, labels, tmp_path / "out", TileConfig(**CHIPS, gsd=1), DataConfig())
    with rasterio.open(tmp_path / "out" / "images" / "s_r32_c32.tif") as chip:
        valid = chip.dataset_mask() > 0
        assert not valid[:8, :18].any()
        assert valid[8:].all()
        assert valid[:, 18:].all()
        assert set(np.unique(chip.read(1)[valid])) == {7}


def test_an_unknown_gsd_cannot_be_changed(tmp_path):
    values = np.ones((64, 64), np.uint8)
    with rasterio.open(
        tmp_path / "s.tif",
        "w",
        width=64,
        height=64,
        count=1,
        dtype="uint8",
        driver="GTiff",
        transform=Affine(1, 0, 0, 0, -1, 0.0001),
    ) as raster:
        raster.write(values, 1)
    (tmp_path / "l.csv").write_text('WKT,label\n"POLYGON((1 -9,9 -9,9 -1,1 -1,1 -9))",a\n')
    arguments = (tmp_path / "s.tif", tmp_path / "l.csv", tmp_path / "out")
    config = TileConfig(chip_size=32, val_fraction=0, gsd=0.5)
    with pytest.raises(SceneError, match=r"the metres per pixel of .* are unknown"):
        tile_scene(*arguments, config, DataConfig())
    report = tile_scene(*arguments, config, DataConfig(gsd=1))
    assert report.objects_kept == 1
    (image,) = (i for i in read_tileset(tmp_path / "out", DataConfig()).images if len(i.boxes))
    assert image.gsd == 0.5
    np.testing.assert_allclose(image.boxes, [[2, 2, 18, 18]], atol=1e-3)


def test_the_counts_of_the_progress_never_shrink(tmp_path):
    values = np.full((192, 256), 7.0)
    values[:, 100:] = 0
    scene = paint(tmp_path / "s.tif", values=values)
    with rasterio.open(scene, "r+") as raster:
        raster.nodata = 0
    labels = label(tmp_path / "l.gpkg", spread())
    shown = []
    tile_scene(
        scene,
        labels,
        tmp_path / "out",
        TileConfig(**CHIPS),
        DataConfig(),
        progress=lambda *counts: shown.append(counts),
    )
    done, totals = zip(*shown, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert shown[-1][0] == shown[-1][1]


def test_swapped_labels_are_recognised(tmp_path):
    scene = paint(tmp_path / "s.tif")
    path = label(tmp_path / "l.gpkg", spread(), crs=4326)
    shapes = gpd.read_file(path)
    shapes.geometry = shapely.transform(shapes.geometry.to_numpy(), lambda xy: xy[:, ::-1])
    shapes.to_file(path)
    with pytest.raises(TilesetError, match="none of the") as caught:
        tile_scene(scene, path, tmp_path / "out", TileConfig(**CHIPS), DataConfig())
    assert "perhaps latitude and longitude are swapped" in caught.value.hint
    assert "in WGS 84" in caught.value.hint
    assert "inf" not in caught.value.hint
