"""``geodet.detect_array``: arrays, open datasets and DataArrays give what their file gives."""

import tempfile
from functools import partial

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from factories_arrays import Coordinate, DataArray, centres
from factories_kinds import KINDS, OBJECTS
from factories_rasters import HOLES, NORTH_UP, break_block, with_points
from rasterio.enums import ColorInterp
from rasterio.vrt import WarpedVRT

import geodet
from geodet.api.array_rasters import read_array

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


def place_of(dataset):
    return {"transform": dataset.transform, "crs": dataset.crs}


def test_an_array_with_its_place_gives_what_the_file_gives(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        pixels, transform, crs = dataset.read(), dataset.transform, dataset.crs
    found = geodet.detect_array(pixels, tiny_model, transform=transform, crs=crs, **SMALL)
    same(found, geodet.detect(scene, tiny_model, **SMALL))
    assert set(found.scene) == {"array"}
    assert [one["path"] for one in found.attrs["report"]["scenes"]] == ["array"]


def test_the_order_of_bytes_does_not_matter(make_scene, tiny_model):
    with rasterio.open(make_scene(dtype="uint16", objects=OBJECTS)) as dataset:
        pixels, place = dataset.read(), {**place_of(dataset), **SMALL}
    big_endian = pixels.astype(pixels.dtype.newbyteorder("S"))
    found = geodet.detect_array(big_endian, tiny_model, **place)
    same(found, geodet.detect_array(pixels, tiny_model, **place))


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


def test_a_dataset_that_is_open_for_writing_too_gives_what_its_file_gives(scene, tiny_model):
    with rasterio.open(scene, "r+") as dataset:
        dataset.write(dataset.read()[:, ::-1])  # lies in a cache
        found = geodet.detect_array(dataset, tiny_model, **SMALL)
        profile, pixels = dataset.profile, dataset.read()
    same(found, geodet.detect(scene, tiny_model, **SMALL))
    with rasterio.open(scene.with_name("new.tif"), "w+", **profile) as dataset:
        dataset.write(pixels)
        same(geodet.detect_array(dataset, tiny_model, **SMALL), found)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_an_open_png_that_can_be_written_gives_what_its_file_gives(make_scene, tiny_model):
    path = make_scene("scene.png", objects=OBJECTS, epsg=None)
    with rasterio.open(path, "r+") as dataset:
        found = geodet.detect_array(dataset, tiny_model, **SMALL)
    same(found, geodet.detect(path, tiny_model, **SMALL))


def test_a_warped_vrt_gives_what_its_file_gives(scene, tiny_model):
    with rasterio.open(scene) as dataset, WarpedVRT(dataset, crs="EPSG:32634") as warped:
        found = geodet.detect_array(warped, tiny_model, **SMALL)
        rasterio.shutil.copy(warped, scene.with_name("warped.tif"), driver="GTiff")
    assert found.crs.to_epsg() == 32634
    same(found, geodet.detect(scene.with_name("warped.tif"), tiny_model, **SMALL))


def test_a_dataset_that_is_open_for_writing_only_is_refused(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        profile = dataset.profile
    with (
        rasterio.open(scene.with_name("new.tif"), "w", **profile) as dataset,
        pytest.raises(geodet.SceneError, match=r"new\.tif is open for writing only") as caught,
    ):
        geodet.detect_array(dataset, tiny_model, **SMALL)
    assert "close it" in caught.value.hint


WRONG = [
    ({"transform": (1, 0, 0, 0, -1, 0)}, r"the transform is not an Affine, but \(1, 0,"),
    ({"transform": Affine(np.nan, 0, 0, 0, -1, 0)}, "numbers that are not finite: .*nan"),
    ({"transform": Affine(1, 0, np.inf, 0, -1, 0)}, "numbers that are not finite: .*inf"),
    ({"nodata": [0, 1]}, r"the nodata value \[0, 1\] does not fit in uint8"),
    ({"transform": NORTH_UP, "crs": "bad"}, "'bad' is not a CRS"),
    ({"transform": NORTH_UP, "crs": 3.5}, "3.5 is not a CRS"),
    ({"nodata": 999}, "the nodata value 999 does not fit in uint8"),
    ({"nodata": np.nan}, "the nodata value nan does not fit in uint8"),
    ({"nodata": "0"}, "the nodata value '0' does not fit in uint8"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_place_or_nodata_value_that_is_none_is_refused(given, message, scene, tiny_model):
    with rasterio.open(scene) as dataset:
        for array in (dataset, dataset.read()):
            with pytest.raises(geodet.SceneError, match=message) as caught:
                geodet.detect_array(array, tiny_model, **given, **SMALL)
            assert caught.value.hint


def test_an_unknown_crs_is_refused_without_a_word_on_stderr(tiny_model, capfd):
    place = {"transform": NORTH_UP, "crs": "EPSG:999999"}
    with pytest.raises(geodet.SceneError, match="'EPSG:999999' is not a CRS"):
        geodet.detect_array(np.zeros((3, 8, 8)), tiny_model, **place)
    assert capfd.readouterr() == ("", "")


def test_an_open_dataset_of_two_types_is_refused(scene, tiny_model):
    vrt = scene.with_name("mixed.vrt")
    rasterio.shutil.copy(scene, vrt, driver="VRT")
    vrt.write_text(vrt.read_text().replace('"Byte" band="1"', '"Float32" band="1"'))
    with (
        rasterio.open(vrt) as dataset,
        pytest.raises(geodet.SceneError, match=r"mixed\.vrt are of the types float32, uint8"),
    ):
        geodet.detect_array(dataset, tiny_model, **SMALL)


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


def test_the_names_of_a_dataarray_choose_its_bands(scene, tiny_model):
    with rasterio.open(scene) as dataset:
        pixels, place = dataset.read(), place_of(dataset)
    turned = {"variable": np.array(["blue", "green", "red"])}
    array = DataArray(pixels[::-1], ("variable", "y", "x"), turned)
    found = geodet.detect_array(array, tiny_model, **place, **SMALL)
    same(found, geodet.detect(scene, tiny_model, **SMALL))


def rioxarray_of(scene, step=(1, 1), columns=slice(None)):
    """Return what rioxarray reads, after xarray took a part: the stored place stays as it was."""
    with rasterio.open(scene) as dataset:
        pixels, t = dataset.read(), dataset.transform
        about = Coordinate(
            crs_wkt=dataset.crs.to_wkt(), GeoTransform=" ".join(map(str, t.to_gdal()))
        )
        x, y = centres(t.c, t.a, dataset.width), centres(t.f, t.e, dataset.height)
    part = (slice(None, None, step[1]), columns if step[0] == 1 else slice(None, None, step[0]))
    coords = {"x": x[part[1]], "y": y[part[0]], "spatial_ref": about}
    return DataArray(pixels[:, *part], ("band", "y", "x"), coords)


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"columns": slice(8, None)}, lambda t: t @ t.translation(8, 0)),
        ({"step": (2, 2)}, lambda t: t @ t.translation(-0.5, -0.5) @ t.scale(2)),
        ({"step": (1, -1)}, lambda t: t @ t.translation(0, 80) @ t.scale(1, -1)),
    ],
    ids=["cut", "thinned", "turned over"],
)
def test_a_part_of_a_dataarray_lies_where_its_coordinates_say(part, place, scene):
    array = rioxarray_of(scene, **part)
    with rasterio.open(scene) as dataset:
        assert dataset.height == 80
        expected = place(dataset.transform)
    assert read_array(array).transform.almost_equals(expected, precision=1e-6)


def test_the_objects_of_a_part_of_a_dataarray_lie_where_they_do_in_the_scene(scene, tiny_model):
    found = geodet.detect_array(rioxarray_of(scene, columns=slice(8, None)), tiny_model, **SMALL)
    with rasterio.open(scene) as dataset:
        pixels, place = dataset.read()[:, :, 8:], dataset.transform @ Affine.translation(8, 0)
        crs = dataset.crs
    assert len(found)
    same(found, geodet.detect_array(pixels, tiny_model, transform=place, crs=crs, **SMALL))


def test_one_row_has_the_height_that_is_stored():
    about = Coordinate(GeoTransform="100 2 0 500 0 -3")
    coords = {"x": centres(104, 2, 5), "y": np.array([485.5]), "spatial_ref": about}
    array = DataArray(np.zeros((3, 1, 5)), ("band", "y", "x"), coords)
    assert read_array(array).transform == Affine(2, 0, 104, 0, -3, 487)
    del coords["spatial_ref"]
    assert read_array(DataArray(array.values, array.dims, coords)).transform is None


TURNED = Affine.translation(4e5, 5e6) @ Affine.rotation(30) @ Affine.scale(2, -2)


def rotated(first_column=0):
    columns, rows = np.meshgrid(np.arange(first_column, 6) + 0.5, np.arange(4) + 0.5)
    xc, yc = TURNED @ (columns, rows)
    about = Coordinate(GeoTransform=" ".join(map(str, TURNED.to_gdal())))
    kinds = {"both": {"xc": xc, "yc": yc}, "edges": {"x": xc[0], "y": yc[:, 0]}, "none": {}}
    return {
        kind: DataArray(np.zeros((3, *xc.shape)), ("band", "y", "x"), {**c, "spatial_ref": about})
        for kind, c in kinds.items()
    }


def test_a_rotated_dataarray_lies_where_its_stored_transform_says():
    for array in rotated().values():
        assert read_array(array).transform.almost_equals(TURNED)


@pytest.mark.parametrize("kind", ["both", "edges"])
def test_a_part_of_a_rotated_dataarray_is_refused(kind):
    part = rotated(first_column=1)[kind]
    with pytest.raises(
        geodet.SceneError, match=r"coordinates xc? of .* which is rotated"
    ) as caught:
        read_array(part)
    assert "write_transform" in caught.value.hint
    assert read_array(part, NORTH_UP).transform == NORTH_UP


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([9.0, 8.0, 7.0, 5.0], "y of the DataArray are not evenly spaced: .* from -2 to -1"),
        ([9.0, 8.0, 7.0, 5.9], "not evenly spaced"),
        ([9.0, 9.0, 9.0, 9.0], "not evenly spaced"),
        ([9.0, 8.0, np.nan, 6.0], "not evenly spaced"),
        (list("abcd"), "coordinates y of the DataArray are not numbers"),
    ],
)
def test_coordinates_of_no_regular_grid_are_refused(y, message, tiny_model):
    coords = {"x": centres(0, 1, 5), "y": np.array(y)}
    array = DataArray(np.zeros((3, 4, 5), np.uint8), ("band", "y", "x"), coords)
    with pytest.raises(geodet.SceneError, match=message) as caught:
        geodet.detect_array(array, tiny_model, **SMALL)
    assert caught.value.hint
    assert read_array(array, NORTH_UP).transform == NORTH_UP


def test_coordinates_that_were_rounded_are_those_of_a_regular_grid():
    coords = {"x": centres(13.3, 1e-4, 500).astype(np.float32), "y": centres(52.5, -1e-4, 500)}
    array = DataArray(np.zeros((500, 500)), ("y", "x"), coords)
    assert read_array(array).transform.almost_equals(Affine(1e-4, 0, 13.3, 0, -1e-4, 52.5), 1e-5)


def test_a_stored_transform_that_is_broken_is_refused():
    about = Coordinate(GeoTransform="1 2 three")
    array = DataArray(np.zeros((3, 4, 5)), ("band", "y", "x"), {"spatial_ref": about})
    with pytest.raises(geodet.SceneError, match="not six numbers, but '1 2 three'"):
        read_array(array)


def test_a_dataset_of_xarray_is_refused(tiny_model):
    class Dataset(DataArray):
        data_vars = {"red": None, "nir": None}  # noqa: RUF012

    array = Dataset(np.zeros((4, 5)), ("y", "x"))
    with pytest.raises(geodet.SceneError, match="several arrays: red, nir") as caught:
        geodet.detect_array(array, tiny_model, **SMALL)
    assert "to_array()" in caught.value.hint


FOLDER = tempfile.TemporaryDirectory


def test_several_processes_find_what_one_finds(scene, tiny_model, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "TemporaryDirectory", partial(FOLDER, dir=tmp_path))
    one = geodet.detect(scene, tiny_model, **SMALL)
    with rasterio.open(scene) as dataset:
        found = geodet.detect_array(dataset, tiny_model.path, processes=2, **SMALL)
        place = {"transform": dataset.transform, "crs": dataset.crs, "processes": 2}
        same(geodet.detect_array(dataset.read(), tiny_model.path, **place, **SMALL), one)
    same(found, one)
    assert set(found.scene) == {"array"}
    assert not list(tmp_path.glob("geodet-*"))


@pytest.mark.parametrize("processes", [1, 2])
def test_errors_call_the_array_by_its_name(processes, scene, tiny_model, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "TemporaryDirectory", partial(FOLDER, dir=tmp_path))
    options = {**SMALL, "processes": processes}
    with rasterio.open(scene) as dataset:
        pixels = dataset.read()
    for array, bands in ((pixels, (1, 2, 9)), (pixels[:1], None)):
        with pytest.raises(geodet.GeodetError, match=r"(^|in )array\b") as caught:
            geodet.detect_array(array, tiny_model, bands=bands, **options)
        text = f"{caught.value} {caught.value.hint} {caught.value.__dict__}"
        assert "vsimem" not in text
        assert str(tmp_path) not in text
    assert not list(tmp_path.glob("geodet-*"))


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


def test_a_fourth_band_of_bytes_is_no_alpha_band(make_scene, make_model):
    scene = make_scene(objects=OBJECTS, bands=4, photometric="MINISBLACK", alpha="NO")
    model = make_model("nir.safetensors", bands=("red", "green", "blue", "nir"))
    with rasterio.open(scene) as dataset:
        found = geodet.detect_array(dataset.read(), model, **place_of(dataset), **SMALL)
    same(found, geodet.detect(scene, model, **SMALL))


def test_a_fourth_band_of_0_and_255_hides_nothing(make_scene, tiny_model):
    scene = make_scene(objects=OBJECTS, bands=4, photometric="MINISBLACK", alpha="NO")
    with rasterio.open(scene) as dataset:
        pixels, place = dataset.read(), place_of(dataset)
    pixels[3] = 0
    pixels[3, :, ::3] = 255
    found = geodet.detect_array(pixels, tiny_model, **place, **SMALL)
    same(found, geodet.detect_array(pixels[:3], tiny_model, **place, **SMALL))


def test_the_fourth_band_of_a_dataset_that_is_alpha_stays_alpha(make_scene, tiny_model):
    scene = make_scene(objects=[(20, 20, 32, 32)], holes=HOLES, alpha=True)
    with rasterio.open(scene) as dataset:
        assert dataset.colorinterp[3] == ColorInterp.alpha
        found = geodet.detect_array(dataset, tiny_model, **SMALL)
        plain = geodet.detect_array(dataset.read(), tiny_model, **place_of(dataset), **SMALL)
    same(found, geodet.detect(scene, tiny_model, **SMALL))
    assert len(plain) > len(found)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_bands_of_an_array_have_no_names(dtype, scene, tiny_model):
    with rasterio.open(scene) as dataset:
        pixels = dataset.read().astype(dtype)
    with pytest.raises(geodet.SceneError, match="no band red in array, which has 3: gray, band 2"):
        geodet.detect_array(pixels, tiny_model, bands=["red", "green", "blue"], **SMALL)


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
        pixels, model, transform=Affine(1, 0, 500_000, 0, -1, 80), crs="EPSG:32633", **SMALL
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
        (DataArray(np.zeros((3, 0, 8)), ("band", "y", "x")), r"shape \(3, 0, 8\) has no pixels"),
        (DataArray(np.zeros((2, 2, 8, 8)), ("time", "band", "y", "x")), "time, band, y, x"),
    ],
)
def test_what_is_no_image_is_named(array, message, tiny_model):
    with pytest.raises(geodet.SceneError, match=message) as caught:
        geodet.detect_array(array, tiny_model)
    assert caught.value.hint
