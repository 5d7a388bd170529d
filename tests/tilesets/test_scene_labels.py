import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from factories_tilesets import NORTH_UP
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from geodet.errors import VectorError
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.scene_labels import SceneLabels, read_scene_labels, read_scored_objects

UTM = CRS.from_epsg(32610)


def save(path, geometries, *, crs=UTM, layer=None, **columns):
    """Write a vector file."""
    options = {} if layer is None else {"layer": layer}
    gpd.GeoDataFrame(columns, geometry=list(geometries), crs=crs).to_file(path, **options)
    return path


def square(x, y, side=2):
    return shapely.box(x, y, x + side, y + side)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb"])
def test_labels_of_any_format_and_crs_are_read(tmp_path, suffix):
    points = gpd.GeoSeries([shapely.Point(600_010, 3_999_990)], crs=UTM).to_crs(4326)
    labels = read_scene_labels(save(tmp_path / f"l.{suffix}", points, crs=4326, kind=["a"]), UTM)
    assert labels.names == ("object",)
    assert labels.is_point.tolist() == [True]
    xy = shapely.get_coordinates(labels.geometries)
    np.testing.assert_allclose(xy, [[600_010, 3_999_990]], atol=0.01)


@pytest.mark.parametrize("column", ["label", "Class", "NAME"])
def test_the_class_is_read_from_label_class_or_name(tmp_path, column):
    file = save(tmp_path / "l.gpkg", [square(0, 0), square(5, 5)], **{column: ["car", "bus"]})
    assert read_scene_labels(file, UTM).names == ("car", "bus")


def test_the_class_is_read_from_the_chosen_attribute(tmp_path):
    columns = {"label": ["a", "b"], "kind": [1.0, 2.0]}
    file = save(tmp_path / "l.gpkg", [square(0, 0), square(5, 5)], **columns)
    assert read_scene_labels(file, UTM, label_field="kind").names == ("1", "2")
    with pytest.raises(VectorError, match="no attribute 'sort'") as caught:
        read_scene_labels(file, UTM, label_field="sort")
    assert caught.value.hint == "label_field (--label-field) may be one of label, kind"


def test_an_empty_class_attribute_is_not_used(tmp_path):
    squares = [square(0, 0), square(5, 5)]
    file = save(tmp_path / "a.gpkg", squares, name=[None, None])
    assert read_scene_labels(file, UTM, class_name="tree").names == ("tree", "tree")
    file = save(tmp_path / "b.gpkg", squares, name=["x", None])
    with pytest.raises(
        VectorError, match=r"objects without a class .*'name': 1 \(1 NULL\), the first is number 2"
    ):
        read_scene_labels(file, UTM)


def test_multi_part_geometries_are_split(tmp_path):
    parts = shapely.MultiPolygon([square(0, 0), square(9, 9)])
    assert len(read_scene_labels(save(tmp_path / "l.gpkg", [parts]), UTM)) == 2


def test_empty_geometries_are_left_out(tmp_path, caplog):
    file = save(tmp_path / "l.gpkg", [square(0, 0), None, shapely.Polygon()])
    assert len(read_scene_labels(file, UTM)) == 1
    assert "objects without a geometry are left out: 2" in caplog.text


@pytest.mark.parametrize("kind", [shapely.GeometryCollection, shapely.MultiPolygon])
def test_empty_parts_of_an_object_are_left_out(tmp_path, caplog, kind):
    none = shapely.GeometryCollection([shapely.Polygon(), shapely.Point()])
    shapes = [kind([square(0, 0), shapely.Polygon()]), none, square(9, 9)]
    file = save(tmp_path / "l.gpkg", shapes, label=["elm", "fir", "oak"], score=[0.5, 0.6, 0.7])
    labels = read_scene_labels(file, UTM)
    assert labels.names == ("elm", "oak")
    boxes = labels.to_pixels(GeoBox(9, 9, Affine.identity(), UTM))
    np.testing.assert_array_equal(boxes, [[0, 0, 2, 2], [9, 9, 11, 11]])
    assert "objects without a geometry are left out: 1" in caplog.text
    assert read_scored_objects(file, UTM).scores.tolist() == [0.5, 0.7]


def test_an_empty_layer_has_no_labels(tmp_path):
    labels = read_scene_labels(save(tmp_path / "l.gpkg", []), UTM)
    assert len(labels) == 0
    assert labels.to_pixels(GeoBox(9, 9, NORTH_UP, UTM)).shape == (0, 4)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize(
    ("crs", "scene_crs", "message"),
    [
        (None, UTM, "has no CRS: it is assumed to be in that of the scene"),
        (UTM, None, "the scene has no CRS"),
    ],
)
def test_a_missing_crs_is_reported(tmp_path, caplog, crs, scene_crs, message):
    file = save(tmp_path / "l.fgb", [square(3, 4)], crs=crs)
    labels = read_scene_labels(file, scene_crs)
    np.testing.assert_array_equal(shapely.bounds(labels.geometries), [[3, 4, 5, 6]])
    assert message in caplog.text


def test_lines_are_refused(tmp_path):
    file = save(tmp_path / "l.gpkg", [shapely.LineString([(0, 0), (1, 1)])])
    with pytest.raises(VectorError, match="an object is a linestring"):
        read_scene_labels(file, UTM)


def test_unsuitable_files_are_refused_with_the_reason(tmp_path):
    with pytest.raises(VectorError, match=r"no such file: .*gone\.gpkg"):
        read_scene_labels(tmp_path / "gone.gpkg", UTM)
    (tmp_path / "text.gpkg").write_text("no")
    with pytest.raises(VectorError, match="as a vector file"):
        read_scene_labels(tmp_path / "text.gpkg", UTM)
    for layer in ("cars", "trees"):
        save(tmp_path / "two.gpkg", [square(0, 0)], layer=layer)
    with pytest.raises(VectorError, match="has 2 layers with geometries: cars, trees"):
        read_scene_labels(tmp_path / "two.gpkg", UTM)
    (tmp_path / "table.csv").write_text("name,height\noak,2\n")
    with pytest.raises(VectorError, match="has no geometries: its columns are name, height"):
        read_scene_labels(tmp_path / "table.csv", UTM)


@given(
    angle=st.floats(-180, 180),
    corner=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    side=st.floats(0.1, 30),
)
def test_boxes_are_the_bounds_of_the_transformed_vertices(angle, corner, side):
    transform = NORTH_UP @ Affine.rotation(angle) @ Affine.shear(10, 0)
    geobox = GeoBox(9, 9, transform, UTM)
    wanted = np.array([*corner, corner[0] + side, corner[1] + 2 * side])
    x1, y1, x2, y2 = wanted
    # a box in pixels, drawn on the ground: its bounds there would be larger
    drawn = geobox.to_world(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]))
    point = shapely.Point(drawn[0])
    labels = SceneLabels(np.array([shapely.Polygon(drawn), point]), ("a", "b"))
    boxes = labels.to_pixels(geobox)
    np.testing.assert_allclose(boxes, [wanted, [x1, y1, x1, y1]], atol=1e-5)
    assert labels.is_point.tolist() == [False, True]
