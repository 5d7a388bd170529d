from dataclasses import replace

import geopandas
import numpy as np
import pyarrow as pa
import pytest
import shapely
from affine import Affine
from factories_vectors import (
    CLASSES,
    FIELDS,
    NORTH_UP,
    SITE,
    UTM,
    found,
    layer_of,
    part,
    read,
    write,
)
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.vector.frames import object_ids, to_frame, to_table

COLUMNS = ["id", *FIELDS, "geometry"]
KINDS = ["str", "str", "float64", "str", *["float64"] * 5, "geometry"]


def ids_of(detections=None, *, classes=CLASSES, salt="model", **options):
    return object_ids(part(detections, **options), classes, salt)


def test_ids_are_16_hexadecimal_digits():
    ids = ids_of(found(100))
    assert ids.shape == (100,)
    assert all(len(one) == 16 and set(one) <= set("0123456789abcdef") for one in ids.tolist())


@given(st.permutations(range(20)))
def test_ids_do_not_depend_on_the_order_or_on_the_others(order):
    detections = found(20)
    expected = ids_of(detections)
    assert ids_of(detections.select(np.array(order))).tolist() == expected[order].tolist()
    assert ids_of(detections.select([7])).tolist() == [expected[7]]


def test_ids_are_the_same_in_every_version():
    box = Detections(np.array([[1.5, 2, 30, 40]]), [0.5], [1])
    assert ids_of(box).tolist() == ["6d2a851740e2ed3a"]


def test_ids_do_not_depend_on_the_score_or_on_where_the_class_stands():
    detections = found(5)
    weaker = replace(detections, scores=detections.scores / 2)
    renumbered = replace(detections, labels=1 - detections.labels)
    expected = ids_of(detections).tolist()
    assert ids_of(weaker).tolist() == expected
    assert ids_of(renumbered, classes=CLASSES[::-1]).tolist() == expected


@pytest.mark.parametrize(
    "other", [{"salt": "other"}, {"scene": "b.tif"}, {"classes": ("oak", "elm")}]
)
def test_another_salt_scene_or_class_gives_other_ids(other):
    detections = found(50)
    assert not set(ids_of(detections)) & set(ids_of(detections, **other))


def test_the_salt_does_not_run_into_the_name_of_the_scene():
    assert ids_of(salt="ab", scene="c")[0] != ids_of(salt="a", scene="bc")[0]


def test_boxes_that_differ_in_one_bit_of_one_side_have_different_ids():
    box = np.array([100.0, 200, 300, 400])
    boxes = [box]
    for side in range(4):
        nearest = box.copy()
        nearest[side] = np.nextafter(box[side], np.inf)
        boxes.append(nearest)
    detections = Detections(np.array(boxes), np.ones(5), np.zeros(5))
    assert len(set(ids_of(detections))) == 5


def test_swapped_sides_have_different_ids():
    boxes = np.array([[1.0, 2, 3, 4], [2, 1, 4, 3], [2, 1, 3, 4], [1, 2, 4, 3]])
    assert len(set(ids_of(Detections(boxes, np.ones(4), np.zeros(4))))) == 4


def test_boxes_on_a_lattice_have_different_ids():
    x, y = np.meshgrid(np.arange(300.0), np.arange(300.0))
    low = np.stack([x.ravel(), y.ravel()], axis=1)
    detections = Detections(np.hstack([low, low + 10]), np.ones(len(low)), np.zeros(len(low)))
    assert len(set(ids_of(detections))) == len(low)


def test_a_negative_zero_is_a_zero():
    zero, negative = (
        ids_of(Detections(np.array([[side, side, 5, 5]]), [1.0], [0])) for side in (0.0, -0.0)
    )
    assert zero.tolist() == negative.tolist()


def test_the_last_digits_of_a_box_do_not_change_its_id():
    detections = found(50)
    boxes = np.rint(detections.boxes * 2) / 2
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, boxes.shape)
    exact, shifted = (replace(detections, boxes=one) for one in (boxes, boxes + noise))
    assert ids_of(exact).tolist() == ids_of(shifted).tolist()


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_a_frame_has_the_rows_of_the_file(tmp_path, geometry):
    parts = part(found(20)), part(found(10, 1), scene="b.tif")
    file = read(write(tmp_path / "a.gpkg", *parts, geometry=geometry))
    frame = to_frame(parts, layer_of(geometry=geometry, salt="model"))
    assert list(frame.columns) == COLUMNS
    assert [str(kind) for kind in frame.dtypes] == KINDS
    assert frame.crs == UTM
    assert frame[FIELDS].equals(file[FIELDS])
    assert shapely.equals_exact(frame.geometry, file.geometry, normalize=False).all()
    expected = np.concatenate([object_ids(one, CLASSES, "model") for one in parts])
    assert frame["id"].tolist() == expected.tolist()


@pytest.mark.parametrize("parts", [(), (part(Detections.empty()),)])
@pytest.mark.parametrize("crs", [UTM, SITE, None])
def test_an_empty_frame_has_all_columns_and_types(parts, crs):
    frame = to_frame(parts, layer_of(crs))
    assert isinstance(frame, geopandas.GeoDataFrame)
    assert list(frame.columns) == COLUMNS
    assert [str(kind) for kind in frame.dtypes] == KINDS
    assert (len(frame), frame.crs) == (0, crs)


def test_parts_without_objects_between_others_change_nothing():
    few = part(found(3))
    frame = to_frame([part(Detections.empty()), few], layer_of())
    assert frame.equals(to_frame([few], layer_of()))


def test_scenes_of_another_crs_are_transformed():
    degrees = CRS.from_epsg(4326)
    frame = to_frame([part(found(5))], layer_of(degrees))
    own = to_frame([part(found(5))], layer_of())
    assert frame.crs == degrees
    assert shapely.equals_exact(frame.geometry, own.to_crs(degrees).geometry, 1e-9).all()
    assert frame["id"].tolist() == own["id"].tolist()


def test_a_scene_beyond_the_crs_is_an_error():
    far = part(crs=CRS.from_epsg(4326), transform=Affine(1, 0, 0, 0, -1, 1000), scene="b.tif")
    with pytest.raises(OutputError, match=r"b\.tif lies where WGS 84 / UTM zone 10N"):
        to_frame([far], layer_of())


def test_rings_run_counter_clockwise_also_where_rows_run_up():
    upwards = NORTH_UP @ Affine.scale(1, -1)
    frame = to_frame([part(found(5), transform=upwards)], layer_of())
    assert frame.exterior.is_ccw.all()


@pytest.mark.parametrize("crs", [UTM, SITE, None])
def test_geopandas_reads_a_table(crs):
    table = to_table(part(found(7), crs=crs), layer_of(crs))
    table.validate(full=True)
    assert isinstance(table, pa.Table)
    assert table.column_names == COLUMNS
    frame = geopandas.GeoDataFrame.from_arrow(table)
    assert frame.crs == crs
    assert frame.equals(to_frame([part(found(7), crs=crs)], layer_of(crs)))


def test_an_area_that_is_unknown_is_null():
    table = to_table(part(crs=None), layer_of(None))
    assert table["area_m2"].to_pylist() == [None] * 3
