import logging
from itertools import permutations

import numpy as np
import pytest
import rasterio
from affine import Affine
from factories_rasters import read_whole
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from geodet.config import DetectConfig
from geodet.detection.scene_for_model import (
    open_for_model,
    report_choices,
    warn_of_missing_georeference,
)
from geodet.errors import ModelFileError, SceneError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window


@pytest.fixture(scope="module")
def rgb(tiny_model):
    return tiny_model.description


@pytest.fixture(scope="module")
def rgbn(rgb):
    four = dict.fromkeys(("mean", "std", "low", "high"), (1.0,) * 4)
    return rgb.model_copy(update={"bands": ("red", "green", "blue", "nir")} | four)


def fit(path, about, **config):
    """Open a scene for a model; give its bands and its pixels."""
    with open_for_model(path, about, DetectConfig(**config)) as scene:
        whole = scene.read(Window(0, 0, *scene.grid))
        report_choices(scene, about, DetectConfig(**config))
        return scene.bands, whole.pixels


@pytest.mark.parametrize("order", list(permutations(["B02", "B03", "B04", "B08"]))[::5])
def test_bands_are_chosen_by_their_names(make_scene, rgbn, said, order):
    path = make_scene(bands=4, descriptions=order)
    bands, pixels = fit(path, rgbn)
    assert [order[band - 1] for band in bands] == ["B04", "B03", "B02", "B08"]
    np.testing.assert_array_equal(pixels, read_whole(path, bands))
    assert said() == []


def test_bands_are_chosen_by_their_colour_interpretation(make_scene, rgb, said):
    path = make_scene()
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = raster.colorinterp[::-1]
    bands, pixels = fit(path, rgb)
    assert bands == (3, 2, 1)
    np.testing.assert_array_equal(pixels, read_whole(path, [3, 2, 1]))
    assert said(logging.INFO) == [
        "scene.tif has 3 bands: using red, green, blue for red, green, blue; "
        "choose others with bands (--bands)"
    ]


def test_the_first_bands_are_read_where_nothing_is_known_of_them(make_scene, rgb, said):
    path = make_scene(bands=5, photometric="minisblack")
    assert fit(path, rgb)[0] == (1, 2, 3)
    assert said() == []
    assert "using gray, band 2, band 3 for red, green, blue" in said(logging.INFO)[0]


def test_bands_that_contradict_the_model_are_warned_of_once(make_scene, rgb, said):
    path = make_scene(descriptions=["nir", "red", "green"])
    assert fit(path, rgb)[0] == (1, 2, 3)
    assert said() == [
        "the bands of scene.tif are not those of tiny: using nir for red, red for green, "
        "green for blue; name the right ones with bands (--bands)"
    ]


def test_bands_are_asked_for_by_name(make_scene, rgb, said):
    path = make_scene(bands=4, descriptions=["Blue", "Green", "Near Infrared", "Red"])
    assert fit(path, rgb, bands=("nir", "red", 2))[0] == (3, 4, 2)
    assert "Near Infrared for red, Red for green" in said()[0]
    with pytest.raises(SceneError, match=r"no band purple in .*: Blue, Green, Near Infrared, Red"):
        fit(path, rgb, bands=("red", "green", "purple"))


def test_too_few_bands_are_an_error(make_scene, rgb, rgbn):
    with pytest.raises(ModelFileError, match="has 3 bands, and tiny needs 4"):
        fit(make_scene(), rgbn)
    with pytest.raises(ModelFileError, match="names 2 bands, and tiny needs 3"):
        fit(make_scene(), rgb, bands=(1, 2))


def test_a_scene_that_cannot_be_resampled_to_the_model_is_refused(make_scene, rgb):
    path = make_scene(pixel_size=30)
    with pytest.raises(SceneError, match="has 30 m per pixel, which cannot be resampled to the"):
        open_for_model(path, rgb, DetectConfig())
    for config in (DetectConfig(resample=False), DetectConfig(gsd=0.5)):
        open_for_model(path, rgb, config).close()
    with pytest.raises(SceneError, match="has 100 m per pixel, which cannot be resampled to"):
        open_for_model(make_scene(epsg=None), rgb, DetectConfig(gsd=100))


def test_missing_georeferences_are_warned_of_once_for_all_scenes(rgb, said):
    bare = GeoBox(9, 9, Affine(1, 0, 0, 0, -1, 0), None)
    filed = GeoBox(9, 9, Affine(0.5, 0, 7, 0, -0.5, 9), None)
    placed = GeoBox(9, 9, Affine(0.5, 0, 5e5, 0, -0.5, 4.5e6), CRS.from_epsg(32633))
    warn_of_missing_georeference(
        {"a": bare, "b": bare, "c": filed, "d": placed}, rgb, DetectConfig(), {}
    )
    texts = said()
    assert texts[0].startswith("2 scenes (such as a) have no CRS: coordinates in the output are p")
    assert texts[1] == "c has no CRS: coordinates in the output are those of its world file"
    assert texts[2].startswith("the metres per pixel of 3 scenes (such as a) are unknown: nothing")
    assert len(texts) == 3
    for config in (DetectConfig(gsd=0.5), DetectConfig(resample=False)):
        warn_of_missing_georeference({"d": placed}, rgb, DetectConfig(), {})
        warn_of_missing_georeference({"a": bare}, rgb, config, {})
    assert [text for text in said()[3:] if "metres" in text] == []


@pytest.mark.parametrize(
    ("pixel_size", "warning"),
    [(0.6, None), (0.35, None), (1.0, None), (1.5, "2.5 times as small"), (0.2, "3.0 times as l")],
)
def test_another_size_of_pixels_is_warned_of_without_resampling(
    make_scene, rgb, said, pixel_size, warning
):
    fit(make_scene(pixel_size=pixel_size), rgb, resample=False)
    assert len(said()) == (warning is not None)
    assert warning is None or warning in said()[0]


def test_warping_is_logged(make_scene, rgb, said):
    points = [
        GroundControlPoint(row=r, col=c, x=5e5 + 0.6 * c, y=4.5e6 - 0.6 * r)
        for r, c in [(0, 0), (0, 96), (80, 0), (80, 96)]
    ]
    path = make_scene(epsg=None, gcps=points, crs="EPSG:32633")
    fit(path, rgb)
    assert said() == []
    assert said(logging.INFO) == [
        "scene.tif is warped by its ground control points while it is read: 96 x 80 px in "
        "WGS 84 / UTM zone 33N"
    ]
    with open_for_model(path, rgb, DetectConfig(require_crs=True)) as scene:
        assert scene.geobox.crs.to_epsg() == 32633


def test_a_scene_is_opened_once_and_closed_if_it_does_not_fit(make_scene, rgb, rgbn, handles):
    path = make_scene(bands=4, descriptions=["Blue", "Green", "Near Infrared", "Red"])
    with open_for_model(path, rgb, DetectConfig()) as scene:
        assert scene.bands == (4, 2, 1)
        scene.read(Window(0, 0, 9, 9))
    assert len(handles) == 1
    with pytest.raises(ModelFileError, match="has 3 bands, and tiny needs 4"):
        open_for_model(make_scene("three.tif"), rgbn, DetectConfig())
    assert len(handles) == 2
    assert all(source.dataset.closed for source in handles)


def test_a_fourth_band_that_is_only_flagged_as_alpha_is_named_with_a_way_to_use_it(
    make_scene, rgb, rgbn, said
):
    path = make_scene(bands=4)
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = [*raster.colorinterp[:3], ColorInterp.alpha]
    with pytest.raises(
        ModelFileError, match="3 bands and a band 4 that is flagged as alpha"
    ) as why:
        fit(path, rgbn)
    assert why.value.hint == "--bands 1,2,3,4 reads band 4 as nir"
    bands, pixels = fit(path, rgbn, bands=(1, 2, 3, 4))
    assert bands == (1, 2, 3, 4)
    np.testing.assert_array_equal(pixels, read_whole(path, bands))
    assert said() == []
    assert fit(path, rgb)[0] == (1, 2, 3)
    assert "band 4 of scene.tif is flagged as alpha, but varies" in said(logging.INFO)[0]
