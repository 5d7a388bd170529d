"""Every kind of raster with the same painted objects, and of each where its pixels lie."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import rasterio
from affine import Affine
from factories_rasters import HOLED, MADE, NORTH_UP, PAINTED, make_palette, with_points
from pyproj import CRS, Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

PALM, TREE = 180, 230
OBJECTS = (
    (46, 8, 58, 18, TREE),  # on a seam of the windows
    (20, 40, 28, 54, PALM),
    (78, 50, 92, 64, TREE),
    (0, 58, 8, 66, PALM),  # at the edge
    (70, 30, 71, 31, TREE),  # a single pixel
)
"""Where something is: x1 y1 x2 y2 in pixels, and how bright."""

_HIDDEN = (16, 10, 30, 20, TREE)  # where a raster with holes has no data
_PIXELS = Affine(1, 0, 0, 0, -1, 0)  # y = -row, as QGIS shows what has no georeference
_UTM, _WGS_84 = CRS.from_epsg(32633), CRS.from_epsg(4326)


@dataclass(frozen=True)
class Place:
    """Where the pixels of a raster lie."""

    transform: Affine
    crs: CRS | None

    @staticmethod
    def of(path):
        """Read with rasterio."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                crs = CRS.from_user_input(raster.crs) if raster.crs else None
                is_placed = raster.transform != Affine.identity()
                return Place(raster.transform if is_placed else _PIXELS, crs)


@dataclass(frozen=True)
class Kind:
    """A raster with painted objects."""

    make: Callable
    """Paints ``objects`` with ``make_scene`` and returns the path."""
    bands: tuple = ()
    """What ``detect`` is told of its bands."""
    place: Place | None = None
    """Of the painted pixels, where the raster's own transform does not say."""
    crs: CRS | None = None
    """Of what is written, where it is not the place's."""
    tolerance: float = 1e-6
    """Of the corners, in pixels."""


def painted(options):
    """Paint with the options of ``make_scene``, and one more object wherever there is a hole."""
    hidden = (_HIDDEN,) if "holes" in options else ()

    def make(make_scene, objects):
        return make_scene(**options, objects=(*objects, *hidden))

    # One of fewer than three bands is named three times.
    return Kind(make, bands=(1, 1, 1) if options.get("bands", 3) < 3 else ())


def made(make, has_holes):
    hidden = () if has_holes is False else (_HIDDEN,)
    return Kind(lambda make_scene, objects: make(make_scene, objects=(*objects, *hidden)))


def palette(make_scene, objects):
    return make_palette(make_scene, objects=objects)


def described(make_scene, objects):
    """Describe five bands, of which only the one that is red shows the objects."""
    with rasterio.open(make_scene("red.tif", objects=objects)) as raster:
        red = raster.read(1)
    names = ("Near infrared", "blue", "green", "", "Band 5 - Red")
    path = make_scene(bands=5, descriptions=names, objects=[_HIDDEN], photometric="MINISBLACK")
    with rasterio.open(path, "r+") as raster:
        raster.write(red, 5)
    return path


def pinned(make_scene, objects):
    return with_points(make_scene, NORTH_UP, objects=objects)


def pinned_in_degrees(make_scene, objects):
    to_degrees = Transformer.from_crs(_UTM, _WGS_84, always_xy=True).transform
    return with_points(make_scene, NORTH_UP, crs="EPSG:4326", to_points=to_degrees, objects=objects)


_LON, _LAT, _LON_STEP, _LAT_STEP = 15.0, 40.65, 7.1e-6, 5.4e-6  # pixels of 0.6 m


def with_rpcs(make_scene, objects, **options):
    """Paint a raster with linear RPCs, which count from the centres of pixels."""
    one = [1.0] + [0.0] * 19
    rpcs = RPC(
        **{"height_off": 100.0, "height_scale": 10.0, "err_bias": None, "err_rand": None},
        **{"line_off": 39.5, "lat_off": _LAT - 40 * _LAT_STEP},
        **{"line_scale": 40.0, "lat_scale": 40 * _LAT_STEP},
        **{"samp_off": 47.5, "long_off": _LON + 48 * _LON_STEP},
        **{"samp_scale": 48.0, "long_scale": 48 * _LON_STEP},
        **{"line_den_coeff": one, "samp_den_coeff": one},
        line_num_coeff=[0.0, 0.0, -1.0] + [0.0] * 17,
        samp_num_coeff=[0.0, 1.0] + [0.0] * 18,
    )
    return make_scene(epsg=None, rpcs=rpcs, objects=objects, **options)


def with_rpcs_and_crs(make_scene, objects):
    """Paint a raster with RPCs that also declares a CRS, without a geotransform to it."""
    return with_rpcs(make_scene, objects, crs="EPSG:32611")


_BY_RPCS = Place(Affine(_LON_STEP, 0, _LON, 0, -_LAT_STEP, _LAT), _WGS_84)


# JPEG is left out: its losses blur the edges of what is painted.
KINDS = {
    **{name: painted(options) for name, options in PAINTED.items()},
    "bright nodata": painted(HOLED | {"nodata": 255}),
    **{name: made(*how) for name, how in MADE.items() if name != "JPEG"},
    "palette": Kind(palette),
    "bands by description": Kind(described),
    "bands by name": Kind(described, bands=("red", "green", "blue")),
    "bands by number": Kind(described, bands=(5, 1, 1)),
    "ground control points": Kind(pinned, place=Place(NORTH_UP, _UTM), tolerance=1e-5),
    "ground control points in degrees": Kind(
        pinned_in_degrees, place=Place(NORTH_UP, _UTM), tolerance=1e-3
    ),
    "RPCs": Kind(with_rpcs, place=_BY_RPCS, crs=_UTM, tolerance=0.1),
    "RPCs beside a CRS": Kind(with_rpcs_and_crs, place=_BY_RPCS, crs=_UTM, tolerance=0.1),
}
"""By what they are called."""
