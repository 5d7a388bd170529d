"""``geodet.detect_array``: arrays, open datasets and DataArrays give what their file gives."""

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from factories_kinds import KINDS, OBJECTS
from factories_rasters import HOLES, NORTH_UP, break_block, with_points
from rasterio.enums import ColorInterp

import geodet

SMALL = {
    "chip_size": 64,
    "overlap": 16,
    "device": "cpu",
    "settings": {"detect.precision": "float32"},
}
SIDES = ["x1_px", "y1_px", "x2_px", "y2_px"]


@pytest.fixture
def scene(make_scene):
    return make_scene(objects=[(20, 20, 32, 32), (60, 50, 72, 62)])


def same(one, other):
    np.testing.assert_allclose(one[SIDES], other[SIDES])
    np.testing.assert_allclose(one.score, other.score)
    assert one.crs == other.crs
    assert one.geometry.geom_equals_exact(other.geometry, 1e-6).all()


def test_an_array_with_its_place_gives_what_the_file_gives(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        pixels, transform, crs = dataset.read(), dataset.transform, dataset.crs
    found = geodet.detect_array(pixels, tiny_model, transform=transform, crs=crs, **SMALL)
    same(found, geodet.detect(scene, tiny_model, **SMALL))
    assert set(found.scene) == {"array.tif"}


def test_an_open_dataset_gives_what_its_file_gives(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        found = geodet.detect_array(dataset, tiny_model, **SMALL)
    same(found, geodet.detect(scene, tiny_model, **SMALL))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_an_open_dataset_of_any_kind_gives_what_its_file_gives(kind, make_scene, tiny_model):
    path, options = KINDS[kind].make(make_scene, OBJECTS), {**SMALL, "bands": KINDS[kind].bands}
    with rasterio.open(path) as dataset:
        found = geodet.detect_array(dataset, tiny_model, **options)
    same(found, geodet.detect(path, tiny_model, **options))


def test_the_colours_of_an_open_dataset_choose_its_bands(scene, tiny_model):
    with rasterio.open(scene, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    with rasterio.open(scene) as dataset:
        found = geodet.detect_array(dataset, tiny_model, **SMALL)
        in_order = geodet.detect_array(dataset, tiny_model, bands=(3, 2, 1), **SMALL)
    same(found, geodet.detect(scene, tiny_model, **SMALL))
    same(found, in_order)


def test_a_place_that_is_given_replaces_that_of_a_dataset(make_scene, tiny_model):
    with rasterio.open(with_points(make_scene, NORTH_UP.translation(5, 5))) as dataset:
        found = geodet.detect_array(dataset, tiny_model, transform=NORTH_UP, **SMALL)
        moved = geodet.detect_array(
            dataset, tiny_model, transform=NORTH_UP, crs="EPSG:32634", **SMALL
        )
    same(found, geodet.detect(make_scene(transform=NORTH_UP), tiny_model, **SMALL))
    assert moved.crs.to_epsg() == 32634


def test_a_nodata_value_that_is_given_replaces_that_of_a_dataset(make_scene, tiny_model):
    with rasterio.open(make_scene(holes=HOLES, nodata=0)) as dataset:
        found = geodet.detect_array(dataset, tiny_model, nodata=255, **SMALL)
    with rasterio.open(make_scene(holes=HOLES, nodata=0), "r+") as dataset:
        dataset.nodata = 255
    same(found, geodet.detect(dataset.name, tiny_model, **SMALL))


def test_an_open_dataset_that_cannot_be_read_is_named(make_scene, tiny_model):
    path = make_scene(tiled=True, compress="deflate")
    break_block(path, 1, 1)
    with (
        rasterio.open(path) as dataset,
        pytest.raises(geodet.SceneError, match=r"cannot read .*scene\.tif"),
    ):
        geodet.detect_array(dataset, tiny_model, **SMALL)


def test_a_closed_dataset_is_refused(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        pass
    with pytest.raises(geodet.SceneError, match=r"scene\.tif is closed") as caught:
        geodet.detect_array(dataset, tiny_model, **SMALL)
    assert caught.value.path == str(scene)


WRONG = [
    ({"transform": (1, 0, 0, 0, -1, 0)}, r"the transform is no Affine, but \(1, 0,"),
    ({"transform": NORTH_UP, "crs": "bad"}, "'bad' is not a CRS"),
    ({"transform": NORTH_UP, "crs": 3.5}, "3.5 is not a CRS"),
    ({"nodata": 999}, "the nodata value 999 is no value of uint8"),
    ({"nodata": np.nan}, "the nodata value nan is no value of uint8"),
    ({"nodata": "0"}, "the nodata value '0' is no value of uint8"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_place_or_nodata_value_that_is_none_is_refused(given, message, scene, tiny_model):
    with rasterio.open(scene) as dataset:
        for array in (dataset, dataset.read()):
            with pytest.raises(geodet.SceneError, match=message) as caught:
                geodet.detect_array(array, tiny_model, **given, **SMALL)
            assert caught.value.hint


def test_an_open_dataset_of_two_types_is_refused(scene, tiny_model):
    vrt = scene.with_name("mixed.vrt")
    rasterio.shutil.copy(scene, vrt, driver="VRT")
    vrt.write_text(vrt.read_text().replace('"Byte" band="1"', '"Float32" band="1"'))
    with (
        rasterio.open(vrt) as dataset,
        pytest.raises(geodet.SceneError, match=r"mixed\.vrt are of the types float32, uint8"),
    ):
        geodet.detect_array(dataset, tiny_model, **SMALL)


class DataArray:
    """What rioxarray gives, as far as it is read: no dependency for one test."""

    def __init__(self, values, dims, coords=(), attrs=()):
        self.values, self.dims = values, dims
        self.coords, self.attrs, self.encoding = dict(coords), dict(attrs), {}

    def transpose(self, *dims):
        order = [self.dims.index(dim) for dim in dims]
        return DataArray(self.values.transpose(order), dims)

    def __array__(self, dtype=None, copy=None):
        return self.values


class Coordinate:
    def __init__(self, **attrs):
        self.attrs = attrs


def centres(start, step, count):
    return start + step * (np.arange(count) + 0.5)


def test_a_dataarray_with_stored_place_gives_what_the_file_gives(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        pixels, place = dataset.read(), " ".join(map(str, dataset.transform.to_gdal()))
        about = Coordinate(crs_wkt=dataset.crs.to_wkt(), GeoTransform=place)
    array = DataArray(pixels, ("band", "y", "x"), {"spatial_ref": about})
    same(geodet.detect_array(array, tiny_model, **SMALL), geodet.detect(scene, tiny_model, **SMALL))


def test_a_dataarray_with_coordinates_and_bands_last_gives_what_the_file_gives(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        pixels, t = dataset.read(), dataset.transform
        coords = {
            "x": centres(t.c, t.a, dataset.width),
            "y": centres(t.f, t.e, dataset.height),
            "spatial_ref": Coordinate(crs_wkt=dataset.crs.to_wkt()),
        }
    array = DataArray(pixels.transpose(1, 2, 0), ("y", "x", "band"), coords)
    same(geodet.detect_array(array, tiny_model, **SMALL), geodet.detect(scene, tiny_model, **SMALL))


def test_an_array_without_a_place_gives_pixel_coordinates(scene, tiny_model, caplog):
    with rasterio.open(scene) as dataset:
        pixels = dataset.read()
    found = geodet.detect_array(pixels, tiny_model, **SMALL)
    assert found.crs is None
    assert "no CRS" in caplog.text
    bounds = found.geometry.bounds
    np.testing.assert_allclose(bounds[["minx", "maxx"]], found[["x1_px", "x2_px"]])
    np.testing.assert_allclose(bounds[["maxy", "miny"]], -found[["y1_px", "y2_px"]])


def test_pixels_of_the_nodata_value_hold_no_detection(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        pixels = dataset.read()
    pixels[:, :, :48] = 0
    found = geodet.detect_array(pixels, tiny_model, nodata=0, **SMALL)
    assert len(found)
    assert (found.x2_px > 40).all()


def test_a_crs_needs_a_transform(make_scene, tiny_model):
    with rasterio.open(with_points(make_scene, NORTH_UP)) as dataset:
        array = DataArray(
            dataset.read(), ("band", "y", "x"), {"spatial_ref": Coordinate(crs_wkt="EPSG:32633")}
        )
        for placed, crs in ((dataset, "EPSG:32633"), (array.values, "EPSG:32633"), (array, None)):
            with pytest.raises(geodet.SceneError, match="a CRS, but no transform") as caught:
                geodet.detect_array(placed, tiny_model, crs=crs, **SMALL)
            assert "pass transform" in caught.value.hint


@pytest.mark.parametrize("bands", [3, 4])  # GDAL takes a fourth band of bytes for alpha
def test_masked_pixels_hold_no_detection(bands, make_scene, tiny_model):
    scene = make_scene(
        objects=[(20, 20, 32, 32)], holes=HOLES, mask=True, bands=bands, photometric="MINISBLACK"
    )
    with rasterio.open(scene) as dataset:
        pixels, transform, crs = dataset.read(masked=True), dataset.transform, dataset.crs
    found = geodet.detect_array(pixels, tiny_model, transform=transform, crs=crs, **SMALL)
    same(found, geodet.detect(scene, tiny_model, **SMALL))
    unmasked = geodet.detect_array(pixels.data, tiny_model, transform=transform, crs=crs, **SMALL)
    assert len(unmasked) > len(found)


def test_a_masked_array_may_have_a_nodata_value_too(make_scene, tiny_model):
    scene = make_scene(holes=HOLES, nodata=0)
    with rasterio.open(scene) as dataset:
        pixels, transform, crs = dataset.read(), dataset.transform, dataset.crs
    masked = np.ma.array(pixels, mask=False)
    masked[:, :5, :5] = np.ma.masked
    place = {"transform": transform, "crs": crs, "nodata": 0}
    pixels[:, :5, :5] = 0
    same(
        geodet.detect_array(masked, tiny_model, **place, **SMALL),
        geodet.detect_array(pixels, tiny_model, **place, **SMALL),
    )


def test_one_band_may_come_without_its_axis(make_model):
    pixels = np.random.default_rng(0).integers(20, 90, (80, 96)).astype(np.uint8)
    model = make_model("grey.safetensors", bands=("grey",))
    found = geodet.detect_array(
        pixels, model, transform=Affine.identity(), crs="EPSG:32633", **SMALL
    )
    assert found.crs.to_epsg() == 32633


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 5)), r"shape \(2, 3, 4, 5\) is not an image"),
        (np.zeros(3), r"shape \(3,\) is not an image"),
        (np.zeros((3, 0, 4)), r"shape \(3, 0, 4\) is not an image"),
        (np.zeros((80, 96, 3), np.uint8), r"its bands seem to come last"),
        (np.zeros((3, 8, 8), bool), "array of bool values"),
        (np.zeros((3, 8, 8), "datetime64[s]"), "array of datetime64"),
        ("scene.tif", "is not an image"),
        (DataArray(np.zeros((2, 2, 8, 8)), ("time", "band", "y", "x")), "time, band, y, x"),
    ],
)
def test_what_is_no_image_is_named(array, message, tiny_model):
    with pytest.raises(geodet.SceneError, match=message) as caught:
        geodet.detect_array(array, tiny_model)
    assert caught.value.hint
