"""The command `geodet tile`: what it takes its labels from."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from cli_runner import invoke_fixture  # noqa: F401 - a fixture


def test_labels_or_reviews_are_given_but_not_both(make_scene, invoke):
    make_scene("scene.tif")
    for options in ((), ("--labels", "l.gpkg", "--reviews", "r.gpkg")):
        done = invoke("tile", "scene.tif", "-o", "tiles", *options, code=2)
        assert "give --labels or --reviews, but not both" in done.stderr


def test_reviews_that_are_not_there_are_an_error(make_scene, invoke):
    make_scene("scene.tif")
    done = invoke("tile", "scene.tif", "-o", "tiles", "--reviews", "r.gpkg", code=1)
    assert "r.gpkg" in done.stderr


@pytest.mark.parametrize(("shift", "is_left_out"), [(0, False), (2.75, True)])
def test_windows_on_ground_that_another_date_validates_are_counted(
    tmp_path, invoke, shift, is_left_out
):
    for year, west in ((2019, 0.0), (2022, shift)):
        profile = {"width": 256, "height": 256, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
        place = Affine(0.5, 0, 500_000 + west, 0, -0.5, 5_800_000)
        path = tmp_path / f"ortho_{year}.tif"
        with rasterio.open(path, "w", driver="GTiff", transform=place, **profile) as raster:
            raster.write(np.full((1, 256, 256), 9, np.uint8))
    x, y = (part.ravel() for part in np.meshgrid(np.arange(500_004, 500_120, 9), np.arange(9)))
    shapes = shapely.box(x, 5_799_990 - 13 * y, x + 4, 5_799_994 - 13 * y)
    labels = gpd.GeoDataFrame({"label": ["tree"] * len(x)}, geometry=shapes, crs="EPSG:32633")
    labels.to_file(tmp_path / "l.gpkg")
    options = ("--labels", tmp_path / "l.gpkg", "-o", tmp_path / "tiles", "--chip-size", 32)
    done = invoke("tile", *sorted(tmp_path.glob("*.tif")), *options)
    assert ("in the validation area of another scene" in done.stderr) == is_left_out
    assert "overlapping validation windows" not in done.stderr
