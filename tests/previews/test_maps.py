"""Maps for reports: outlines with labels, a title, north, and the formats of print."""

import re

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from full_disk import largest_file
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS, Geod, Transformer

from geodet.errors import OutputError, VectorError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.true_north import north_angle
from geodet.previews.map_outlines import OutlineLayer
from geodet.previews.preview import draw_scene

WHITE = (255, 255, 255)


@pytest.fixture
def scene(make_scene):
    return make_scene(epsg=32633, width=600, height=400, origin=(500_000, 5_000_000))


def write_stands(path, scene, shapes, names, *, crs=None):
    """Write polygons given in pixels of a scene."""
    import rasterio

    with rasterio.open(scene) as raster:
        own, transform = raster.crs, raster.transform
    a, b, d, e = transform.a, transform.b, transform.d, transform.e
    placed = [
        shapely.affinity.affine_transform(one, (a, b, d, e, transform.c, transform.f))
        for one in shapes
    ]
    frame = geopandas.GeoDataFrame({"name": names}, geometry=placed, crs=own)
    (frame if crs is None else frame.to_crs(crs)).to_file(path)
    return path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("crs", [None, 4326, 3857])
def test_an_outline_lies_on_the_edges_of_its_polygon(tmp_path, scene, crs):
    box = shapely.box(150, 100, 450, 300)
    stands = write_stands(tmp_path / "stands.gpkg", scene, [box], ["a"], crs=crs)
    draw_scene(scene, None, tmp_path / "map.png", outlines=[OutlineLayer(stands)], max_side=600)
    drawn = (pixels(tmp_path / "map.png")[:400] == WHITE).all(axis=-1)
    rows, columns = np.nonzero(drawn)
    edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    np.testing.assert_allclose(edges, [150, 100, 450, 300], atol=2.5)
    assert not drawn[110:290, 160:440].any()


def test_a_label_stands_in_the_part_of_its_polygon_that_is_shown(tmp_path, scene):
    far = shapely.box(400, 50, 5000, 350)  # most of it is beyond the scene
    stands = write_stands(tmp_path / "stands.gpkg", scene, [far], ["Mill"])
    for label in ("", "name"):
        draw_scene(
            scene,
            None,
            tmp_path / f"map{label}.png",
            outlines=[OutlineLayer(stands, label)],
            max_side=600,
        )
    changed = (pixels(tmp_path / "map.png") != pixels(tmp_path / "mapname.png")).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert columns.min() > 400
    assert columns.max() < 600
    assert 150 < rows.mean() < 250


def test_a_label_that_would_cover_a_larger_one_is_left_out(tmp_path, scene):
    shapes = [shapely.box(100, 100, 500, 300), shapely.box(280, 190, 320, 210)]
    both = write_stands(tmp_path / "both.gpkg", scene, shapes, ["Large", "Small"])
    first = write_stands(tmp_path / "first.gpkg", scene, shapes, ["Large", None])
    found = []
    for stands in (both, first):
        output = tmp_path / f"{stands.stem}.png"
        draw_scene(scene, None, output, outlines=[OutlineLayer(stands, "name")], max_side=600)
        found.append(pixels(output)[:400])
    np.testing.assert_array_equal(*found)


def test_an_attribute_that_is_not_there_is_refused(tmp_path, scene):
    stands = write_stands(tmp_path / "stands.gpkg", scene, [shapely.box(0, 0, 9, 9)], ["a"])
    with pytest.raises(VectorError, match="has no attribute 'nmae'") as refused:
        draw_scene(scene, None, tmp_path / "a.png", outlines=[OutlineLayer(stands, "nmae")])
    assert "name" in refused.value.hint


def test_points_are_no_outlines(tmp_path, scene):
    path = write_stands(tmp_path / "points.gpkg", scene, [shapely.Point(5, 5)], ["a"])
    with pytest.raises(VectorError, match="has no polygons to outline"):
        draw_scene(scene, None, tmp_path / "a.png", outlines=[OutlineLayer(path)])


def test_polygons_elsewhere_are_reported(tmp_path, scene, caplog):
    away = shapely.box(9000, 9000, 9100, 9100)
    stands = write_stands(tmp_path / "stands.gpkg", scene, [away], ["a"])
    draw_scene(scene, None, tmp_path / "a.png", outlines=[OutlineLayer(stands, "name")])
    assert "none of the polygons of" in caplog.text


def test_a_title_stands_above_the_image(tmp_path, scene):
    for name, heading in (("plain", ""), ("titled", "Trees in May")):
        draw_scene(scene, None, tmp_path / f"{name}.png", heading=heading, max_side=600)
    plain, titled = (pixels(tmp_path / f"{name}.png") for name in ("plain", "titled"))
    more = len(titled) - len(plain)
    assert more > 20
    np.testing.assert_array_equal(titled[more:], plain)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_other_pictures_show_the_same(tmp_path, scene, suffix):
    for end in (".png", suffix):
        draw_scene(scene, None, tmp_path / f"map{end}", max_side=600)
    same, other = (pixels(tmp_path / f"map{end}") for end in (".png", suffix))
    assert same.shape == other.shape
    assert np.abs(same.astype(int) - other.astype(int)).mean() < 20  # of noise, which JPEG blurs


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_vector_formats_hold_boxes_as_vectors_and_no_date(tmp_path, scene, suffix):
    shapes = [shapely.box(x, 100, x + 40, 140) for x in (50, 150, 250)]
    found = write_stands(tmp_path / "found.gpkg", scene, shapes, ["a", "a", "b"])
    stands = write_stands(tmp_path / "stands.gpkg", scene, [shapely.box(20, 20, 400, 300)], ["S$1"])
    layers = [OutlineLayer(stands, "name")]
    content = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}{suffix}"
        report = draw_scene(scene, found, path, outlines=layers, heading="$5", max_side=600)
        content.append(path.read_bytes())
    assert content[0] == content[1]
    assert report.labels == {"a": 2, "b": 1}
    if suffix == ".svg":
        text = content[0].decode()
        assert len(re.findall(r"<image ", text)) == 1
        assert len(re.findall(r"stroke: #f0e442|stroke: #56b4e9", text)) == 3  # a box each
    else:
        assert content[0].startswith(b"%PDF-")


SKEWED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.7)
PLACES = {
    "utm": (32633, Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)),
    "utm far from its meridian": (32633, Affine(0.5, 0, 750_000, 0, -0.5, 7_500_000)),
    "turned": (32633, SKEWED),
    "degrees": (4326, Affine(5e-6, 0, 10, 0, -5e-6, 60)),
    "web mercator": (3857, Affine(1, 0, 1e6, 0, -1, 8.4e6)),
    "polar": (3031, Affine(10, 0, 500_000, 0, -10, 900_000)),
    "feet": (2263, Affine(1, 0, 980_000, 0, -1, 200_000)),
}


@pytest.mark.parametrize("place", PLACES)
def test_north_is_where_a_walk_to_the_north_leads(place):
    epsg, transform = PLACES[place]
    crs = CRS.from_epsg(epsg)
    geobox = GeoBox(1000, 800, transform, crs)
    angle = np.radians(north_angle(geobox, (500, 400)))
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    start = to_degrees.transform(*geobox.to_world(np.array([[500.0, 400]]))[0])
    end = Geod(ellps="WGS84").fwd(*start, 0, 20)[:2]  # 20 m to the north
    x, y = geobox.to_pixels(np.array([to_degrees.transform(*end, direction="INVERSE")]))[0]
    walked = np.array([x - 500, y - 400]) / np.hypot(x - 500, y - 400)
    np.testing.assert_allclose(walked, [np.sin(angle), -np.cos(angle)], atol=1e-4)


@given(st.floats(-179, 180))
def test_a_grid_that_is_turned_turns_north(turn):
    transform = Affine.translation(500_000, 0) @ Affine.rotation(turn) @ Affine.scale(1, -1)
    angle = north_angle(GeoBox(10, 10, transform, CRS.from_epsg(32633)), (0, 0))
    assert (angle - turn + 180) % 360 - 180 == pytest.approx(0, abs=0.01)


def test_without_a_place_there_is_no_north():
    assert north_angle(GeoBox(10, 10, Affine(1, 0, 0, 0, -1, 0), None), (5, 5)) is None


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
@pytest.mark.parametrize("size", [0, 2000])
def test_a_full_disk_is_an_error_that_names_the_picture(tmp_path, scene, suffix, size):
    found = write_stands(tmp_path / "found.gpkg", scene, [shapely.box(50, 100, 90, 140)], ["a"])
    path = tmp_path / f"map{suffix}"
    with (
        largest_file(size),
        pytest.raises(OutputError, match=rf"cannot write .*map\{suffix}: \[Errno 27\]"),
    ):
        draw_scene(scene, found, path, max_side=600)
    assert not path.exists()
