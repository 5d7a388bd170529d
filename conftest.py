"""What the examples in docstrings find at hand: a painted scene, its labels, chips and a folder."""

import geopandas as gpd
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from shapely.geometry import box

_WORDS = ("geodet.", "scene", "labels", "tiles", "folder")


@pytest.fixture(scope="session")
def example_files(tmp_path_factory):
    """Paint a small town, write its trees as labels, and cut chips for training."""
    import geodet
    from geodet.demo.town import paint_town
    from geodet.geometry.geobox import GeoBox
    from geodet.raster.geotiff import write_raster

    folder = tmp_path_factory.mktemp("examples")
    painting = paint_town(512, 512, seed=3, gsd=0.6)
    geobox = GeoBox(512, 512, Affine(0.6, 0, 447000, 0, -0.6, 5411000), CRS.from_epsg(32633))
    write_raster(folder / "scene.tif", painting.pixels, geobox)
    places = [box(x - 3.6, y - 3.6, x + 3.6, y + 3.6) for x, y in geobox.to_world(painting.centres)]
    trees = gpd.GeoDataFrame({"label": ["tree"] * len(places)}, geometry=places, crs=geobox.crs)
    trees.to_file(folder / "labels.gpkg")
    geodet.tile(
        folder / "scene.tif",
        folder / "labels.gpkg",
        folder / "tiles",
        chip_size=128,
    )
    with pytest.MonkeyPatch.context() as patch:
        # A training would also write its model in eight bits, which takes half of its time here.
        patch.setattr("geodet.training.int8_twin.can_write_int8", lambda: False)
        yield folder


@pytest.fixture(autouse=True)
def _example_names(request, doctest_namespace):
    """Define the names that the docstrings of the public functions use."""
    examples = request.node.dtest.examples if isinstance(request.node, pytest.DoctestItem) else ()
    if not any(word in example.source for example in examples for word in _WORDS):
        return
    import geodet

    made = request.getfixturevalue("example_files")
    doctest_namespace |= {
        "geodet": geodet,
        "rasterio": rasterio,
        "scene": made / "scene.tif",
        "labels": made / "labels.gpkg",
        "tiles": made / "tiles",
        "folder": request.getfixturevalue("tmp_path"),
    }
