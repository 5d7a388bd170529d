import warnings

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from factories_rasters import (
    NORTH_UP,
    PALETTE,
    TURNED,
    make_palette,
    mosaic,
    read_whole,
    with_points,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from geodet.errors import SceneError
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster.scene import Scene
from geodet.raster.virtual_rasters import open_expanded, stored_place, utm_zone


def expected_colours(path, palette=PALETTE):
    with rasterio.open(path) as raster:
        return np.array([palette[n] for n in range(256)], np.uint8)[raster.read(1)].transpose(
            2, 0, 1
        )


def test_a_palette_is_read_as_colours(make_scene):
    path = make_palette(make_scene)
    with Scene(path) as scene, rasterio.open(path) as raster:
        chip = scene.read(Window(0, 0, 96, 80))
        assert scene.band_names == ("red", "green", "blue")
        assert scene.geobox.transform == raster.transform
        assert scene.geobox.crs == raster.crs
    np.testing.assert_array_equal(chip.pixels, expected_colours(path)[:3])
    assert chip.valid.all()


def test_colours_of_a_palette_are_averaged_and_not_its_indices(make_scene):
    path = make_palette(make_scene)
    with Scene(path) as scene:
        scene.resample(48, 40)
        chip = scene.read(Window(0, 0, 48, 40))
    blocks = expected_colours(path)[:3].reshape(3, 40, 2, 48, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(chip.pixels, np.floor(blocks + 0.5))


@pytest.mark.parametrize("kind", [{"nodata": 0}, {"mask": True}])
def test_holes_are_not_valid(make_scene, kind):
    path = make_palette(make_scene, holes=[(10, 5, 40, 30)], **kind)
    with Scene(path) as scene:
        chip = scene.read(Window(0, 0, 96, 80))
        assert scene.bands == (1, 2, 3)
    expected = np.ones((80, 96), bool)
    expected[5:30, 10:40] = False
    np.testing.assert_array_equal(chip.valid, expected)


def test_transparent_colours_are_not_valid(make_scene):
    palette = PALETTE | dict.fromkeys(range(40, 50), (1, 2, 3, 0))
    path = make_palette(make_scene, palette, "scene.png", epsg=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        alpha = expected_colours(path, palette)[3]
    with Scene(path) as scene:
        chip = scene.read(Window(0, 0, 96, 80))
    assert 0 < (alpha == 0).mean() < 1
    np.testing.assert_array_equal(chip.valid, alpha > 0)


def test_ground_control_points_are_kept(make_scene):
    corners = [(0, 0), (96, 0), (0, 80), (96, 80)]
    points = [
        rasterio.control.GroundControlPoint(row=r, col=c, x=5e5 + 0.6 * c, y=4e6 - 0.6 * r)
        for c, r in corners
    ]
    path = make_palette(make_scene, epsg=None, gcps=points, crs="EPSG:32633")
    with Scene(path) as scene:
        assert scene.warped_by == "ground control points"
        chip = scene.read(Window(0, 0, *scene.grid))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        np.testing.assert_array_equal(chip.pixels, expected_colours(path)[:3])


def test_a_raster_without_a_palette_is_left_alone(make_scene):
    with rasterio.open(make_scene(bands=1)) as raster:
        assert open_expanded(raster) is None


def centre_of_object(scene, name="scene"):
    """Find the painted bright object in world coordinates, by its brightest pixels."""
    chip = scene.read(Window(0, 0, *scene.grid))
    rows, columns = np.nonzero((chip.pixels[0] > 160) & chip.valid)
    return scene.geobox.to_world(np.array([columns.mean() + 0.5, rows.mean() + 0.5]))


def test_points_of_a_north_up_raster_give_its_own_pixels(make_scene):
    path = with_points(make_scene, NORTH_UP)
    with Scene(path) as scene:
        assert scene.warped_by == "ground control points"
        assert scene.geobox.crs == CRS.from_epsg(32633)
        np.testing.assert_allclose(scene.geobox.transform, NORTH_UP, atol=1e-6)
        chip = scene.read(Window(0, 0, *scene.grid))
        assert scene.bands == (1, 2, 3)
        assert scene.band_names == ("red", "green", "blue")
    np.testing.assert_array_equal(chip.pixels, read_whole(path))
    assert chip.valid.all()


@settings(max_examples=10)
@given(st.integers(8, 70), st.integers(8, 60))
def test_an_object_comes_out_where_the_points_say(make_scene, left, top):
    path = with_points(make_scene, TURNED, objects=[(left, top, left + 12, top + 12)])
    with Scene(path) as scene:
        found = centre_of_object(scene)
    assert np.hypot(*(found - TURNED @ (left + 6, top + 6))) < 0.3  # half a pixel


def test_nothing_outside_of_the_footprint_is_valid(make_scene):
    with Scene(with_points(make_scene, TURNED)) as scene:
        chip = scene.read(Window(0, 0, *scene.grid))
        columns, rows = np.meshgrid(*(np.arange(n) + 0.5 for n in scene.grid))
        world = scene.geobox.to_world(np.stack([columns, rows], axis=-1))
    x, y = np.moveaxis(world, -1, 0)
    inverse = ~TURNED
    column, row = (
        inverse.a * x + inverse.b * y + inverse.c,
        inverse.d * x + inverse.e * y + inverse.f,
    )
    depth = np.minimum.reduce([column, row, 96 - column, 80 - row])  # pixels inside the edge
    assert chip.valid[depth > 1].all()
    assert not chip.valid[depth < -1].any()
    assert 0.3 < chip.valid.mean() < 0.9
    size = scene.gsd / 0.6
    assert 0.9 < size < 1.1


def to_degrees(x, y):
    return Transformer.from_crs(32633, 4326, always_xy=True).transform(x, y)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
@pytest.mark.parametrize(
    "kind", [{"nodata": 0}, {"mask": True}, {"alpha": True}, {"nodata": np.nan, "dtype": "float32"}]
)
def test_holes_stay_holes(make_scene, kind, crs):
    placed = {"to_points": to_degrees} if crs == "EPSG:4326" else {}
    path = with_points(make_scene, NORTH_UP, crs, holes=[(10, 5, 40, 30)], **placed, **kind)
    with Scene(path) as scene:
        pixels, valid = mosaic(scene, WindowGrid(*scene.grid, 40, 8))
    assert len(pixels) == 3
    assert not valid[6:29, 11:39].any()
    valid[4:31, 9:41] = True
    assert valid.all()


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED])
def test_a_raster_is_read_as_it_is_stored_where_its_points_say(make_scene, transform):
    path = with_points(make_scene, transform)
    with Scene(path, as_stored=True) as scene:
        assert (scene.warped_by, scene.grid) == ("", (96, 80))
        assert scene.geobox.crs == CRS.from_epsg(32633)
        np.testing.assert_allclose(scene.geobox.transform, transform, atol=1e-6)
        np.testing.assert_array_equal(
            scene.read(Window(0, 0, *scene.grid)).pixels, read_whole(path)
        )


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0), (96, 0)],
        [(0, 0), (10, 10), (20, 20), (80, 80)],
        [(0, 0), (96, 0), (0, 80), (96, 80, 4.0)],
    ],
)
def test_points_that_no_transform_meets_do_not_place_the_stored_pixels(make_scene, points):
    placed = [
        GroundControlPoint(row=row, col=column, x=5e5 + 0.6 * column + sum(off), y=4e6 - 0.6 * row)
        for column, row, *off in points
    ]
    with rasterio.open(make_scene(epsg=None, gcps=placed, crs="EPSG:32633")) as raster:
        assert stored_place(raster) == (rasterio.Affine.identity(), None)


def test_points_in_degrees_give_metres_in_their_utm_zone(make_scene):
    path = with_points(
        make_scene, TURNED, crs="EPSG:4326", to_points=to_degrees, objects=[(40, 30, 52, 42)]
    )
    with Scene(path) as scene:
        assert scene.geobox.crs == CRS.from_epsg(32633)
        found = centre_of_object(scene)
        assert scene.gsd == pytest.approx(0.6, rel=0.1)
    assert np.hypot(*(found - TURNED @ (46, 36))) < 0.3


@pytest.mark.parametrize(
    ("system", "place", "epsg"),
    [
        (32660, (-179.9999, 36.0), 32601),
        (32760, (179.9999, -17.0), 32760),
        (5041, (90.0, 90.0), 5041),
        (5042, (0.0, -90.0), 5042),
    ],
)
def test_points_in_degrees_place_a_raster_at_the_antimeridian_and_at_a_pole(
    make_scene, system, place, epsg
):
    x, y = Transformer.from_crs(4326, system, always_xy=True).transform(*place)
    turned = Affine.translation(x, y) @ Affine.rotation(20) @ Affine.scale(0.6, -0.6)
    centred = turned @ Affine.translation(-48, -40)
    to_degrees = Transformer.from_crs(system, 4326, always_xy=True).transform
    path = with_points(
        make_scene, centred, crs="EPSG:4326", to_points=to_degrees, objects=[(62, 20, 74, 32)]
    )
    with Scene(path) as scene:
        assert scene.geobox.crs == CRS.from_epsg(epsg)
        assert scene.gsd == pytest.approx(0.6, rel=0.1)
        valid = scene.read(Window(0, 0, *scene.grid)).valid
        assert valid.sum() * scene.gsd**2 == pytest.approx(96 * 80 * 0.6**2, rel=0.03)
        found = centre_of_object(scene)
        longitude, latitude = Transformer.from_crs(
            scene.geobox.crs, 4326, always_xy=True
        ).transform(*found)
    expected = to_degrees(*(centred @ (68, 26)))
    distance = Geod(ellps="WGS84").inv(longitude, latitude, *expected)[2]
    assert distance < 0.3


def linear_rpcs():
    """Return RPCs by which an image spans 0.001 degrees around a place."""
    constant = [1.0] + [0.0] * 19
    return RPC(
        **{"height_off": 100.0, "height_scale": 10.0, "err_bias": None, "err_rand": None},
        **{"lat_off": 40.65, "lat_scale": 0.0005, "long_off": 15.0, "long_scale": 0.0005},
        **{"line_off": 39.5, "line_scale": 40.0, "samp_off": 47.5, "samp_scale": 48.0},
        **{"line_den_coeff": constant, "samp_den_coeff": constant},
        line_num_coeff=[0.0, 0.0, -1.0] + [0.0] * 17,
        samp_num_coeff=[0.0, 1.0] + [0.0] * 18,
    )


@pytest.mark.parametrize("crs", [None, "EPSG:4326", "EPSG:32611"])
def test_rpcs_place_a_raster_whichever_crs_it_declares(make_scene, crs):
    path = make_scene(epsg=None, rpcs=linear_rpcs(), objects=[(42, 34, 54, 46)], crs=crs)
    with Scene(path) as scene:
        assert scene.unplaced_crs is None
        assert scene.warped_by.startswith("rational polynomial coefficients")
        assert scene.geobox.crs == CRS.from_epsg(32633)
        found = centre_of_object(scene)
    to_metres = Transformer.from_crs(4326, 32633, always_xy=True).transform
    assert np.hypot(*(found - to_metres(15.0, 40.65))) < 0.8  # of pixels of 0.9 by 1.4 m


def test_points_in_degrees_place_the_colours_of_a_palette(make_scene):
    corners = [(0, 0), (96, 0), (0, 80), (96, 80)]
    points = [
        GroundControlPoint(row=row, col=column, x=x, y=y)
        for column, row in corners
        for x, y in [to_degrees(*(TURNED @ (column, row)))]
    ]
    path = make_palette(make_scene, epsg=None, gcps=points, crs="EPSG:4326")
    with Scene(path) as scene:
        assert scene.warped_by == "ground control points"
        assert scene.band_names == ("red", "green", "blue")
        assert scene.read(Window(0, 0, *scene.grid)).pixels.std() > 1


def test_rpcs_place_the_colours_of_a_palette(make_scene):
    path = make_palette(make_scene, epsg=None, rpcs=linear_rpcs(), crs="EPSG:4326")
    with Scene(path) as scene:
        assert scene.warped_by.startswith("rational polynomial coefficients")
        assert scene.band_names == ("red", "green", "blue")


@pytest.mark.parametrize("corners", [[(0, 0), (96, 0)], [(0, 0), (10, 10), (20, 20), (80, 80)]])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
def test_points_that_place_nothing_are_an_error(make_scene, corners, crs):
    places = [(column, row, *(NORTH_UP @ (column, row))) for column, row in corners]
    if crs == "EPSG:4326":
        places = [(column, row, *to_degrees(x, y)) for column, row, x, y in places]
    points = [GroundControlPoint(row=row, col=c, x=x, y=y) for c, row, x, y in places]
    path = make_scene(epsg=None, gcps=points, crs=crs)
    message = rf"cannot georeference .*scene\.tif by its {len(corners)} ground control points"
    with pytest.raises(SceneError, match=message) as caught:
        Scene(path)
    assert "gdal_edit" in caught.value.hint


def test_coefficients_that_place_nothing_are_an_error(make_scene):
    nothing = [0.0] * 20
    rpcs = RPC(
        **{"height_off": 100.0, "height_scale": 10.0, "err_bias": None, "err_rand": None},
        **{"lat_off": 40.65, "lat_scale": 0.0005, "long_off": 15.0, "long_scale": 0.0005},
        **{"line_off": 39.5, "line_scale": 40.0, "samp_off": 47.5, "samp_scale": 48.0},
        **{"line_den_coeff": nothing, "samp_den_coeff": nothing},
        **{"line_num_coeff": nothing, "samp_num_coeff": nothing},
    )
    with pytest.raises(SceneError, match="by its rational polynomial coefficients"):
        Scene(make_scene(epsg=None, rpcs=rpcs))


def test_a_transform_wins_over_rpcs(make_scene):
    with Scene(make_scene(rpcs=linear_rpcs())) as scene:
        assert scene.warped_by == ""
        assert scene.geobox.transform.c == 500_000


def test_a_transform_wins_over_points(make_scene):
    path = make_scene()
    point = GroundControlPoint(row=0, col=0, x=1, y=1)
    vrt = path.with_suffix(".vrt")
    rasterio.shutil.copy(path, vrt, driver="VRT")
    listed = f'<GCPList Projection="EPSG:4326"><GCP Pixel="0" Line="0" X="{point.x}" Y="1"/>'
    vrt.write_text(
        vrt.read_text().replace("<VRTRasterBand", listed + "</GCPList><VRTRasterBand", 1)
    )
    with rasterio.open(vrt) as raster:
        assert raster.gcps[0]
    with Scene(vrt) as scene:
        assert scene.warped_by == ""
        assert scene.geobox.transform.c == 500_000


@pytest.mark.parametrize(
    ("place", "epsg"),
    [
        ((-180, 10), 32601),
        ((179.9, 10), 32660),
        ((180, -10), 32701),
        ((0, 0), 32631),
        ((10, 85), 5041),
        ((10, -85), 5042),
    ],
)
def test_utm_zone_is_that_of_the_place_or_a_polar_system(place, epsg):
    assert utm_zone(*place).to_epsg() == epsg
