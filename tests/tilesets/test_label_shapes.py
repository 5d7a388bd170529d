"""Shapes, points and errors of the formats of labelling programs."""

import json
import logging

import geopandas
import numpy as np
import pytest
import shapely
from factories_tilesets import NORTH_UP, paint_geotiff, paint_image, write
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.outlines import bounds_of, ellipse_box, turned_corners
from geodet.tilesets.tileset import read_tileset

side = st.floats(0.5, 50)


@given(st.floats(-50, 50), st.floats(-50, 50), side, side, st.floats(-360, 360))
def test_the_bounds_of_a_turned_box_are_those_of_shapely(x, y, width, height, degrees):
    box = (x, y, x + width, y + height)
    expected = shapely.affinity.rotate(shapely.box(*box), degrees, origin="center").bounds
    np.testing.assert_allclose(bounds_of(turned_corners(box, degrees)), expected, atol=1e-6)


@given(st.floats(-50, 50), st.floats(-50, 50), side, side, st.floats(-360, 360))
def test_the_bounds_of_a_turned_ellipse_are_those_of_its_points(x, y, rx, ry, degrees):
    circle = np.linspace(0, 2 * np.pi, 7201)
    points = shapely.linestrings(x + rx * np.cos(circle), y + ry * np.sin(circle))
    expected = shapely.affinity.rotate(points, degrees, origin=(x, y)).bounds
    np.testing.assert_allclose(ellipse_box(x, y, rx, ry, degrees), expected, atol=1e-4)


def cvat(folder, shapes, attributes="", **images):
    for name in ("a", "b"):
        paint_image(folder / "images" / f"{name}.png")
    text = f'<annotations><image name="a.png" {attributes}>{shapes}</image>'
    return write(folder / "annotations.xml", text + '<image name="b.png"/></annotations>')


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('<box label="t" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90"/>', (15, 5, 25, 25)),
        ('<polygon label="t" points="1,2;9,4;5,20.5"/>', (1, 2, 9, 20.5)),
        ('<polyline label="t" points="1,2;9,4"/>', (1, 2, 9, 4)),
        ('<ellipse label="t" cx="20" cy="10" rx="5" ry="3"/>', (15, 7, 25, 13)),
        (
            '<ellipse label="t" cx="20" cy="10" rx="5" ry="3" rotation="90"/>',
            (17, 5, 23, 15),
        ),
        ('<mask label="t" rle="0,9" left="4" top="5" width="3" height="2"/>', (4, 5, 7, 7)),
        (
            '<cuboid label="t" xtl1="4" ytl1="5" xbl1="4" ybl1="9" xtr1="8" ytr1="2" xbr1="8"'
            ' ybr1="9" xtl2="10" ytl2="3" xbl2="3" ybl2="8" xtr2="7" ytr2="3" xbr2="7" ybr2="8"/>',
            (3, 2, 10, 9),
        ),
        (
            '<skeleton label="t"><points label="head" points="10,12"/><points label="tail" '
            'points="20,3"/><points label="foot" outside="1" points="60,40"/></skeleton>',
            (10, 3, 20, 12),
        ),
        ('<tag label="night"/>', None),
    ],
)
def test_shapes_of_cvat_become_their_bounds(tmp_path, shape, box):
    file = cvat(tmp_path, shape)
    assert find_labels(file).images[0].boxes == ([pytest.approx(box)] if box else [])


def test_the_points_of_a_cuboid_or_a_skeleton_are_no_corners_of_an_oriented_box(tmp_path):
    points = "".join(f'<points points="{xy}"/>' for xy in ("10,12", "20,3", "30,12", "20,21"))
    pairs = {"tl1": (10, 12), "br1": (20, 3), "tl2": (30, 12), "br2": (20, 21)}
    sides = " ".join(f'x{key}="{x}" y{key}="{y}"' for key, (x, y) in pairs.items())
    shapes = f'<skeleton label="t">{points}</skeleton><cuboid label="t" {sides}/>'
    image = find_labels(cvat(tmp_path, shapes)).images[0]
    assert (image.boxes, image.quads) == ([(10, 3, 30, 21)] * 2, [None] * 2)


def test_the_points_of_a_skeleton_are_no_classes(tmp_path):
    file = cvat(tmp_path, '<skeleton label="deer"><points label="head" points="10,12"/></skeleton>')
    head = "<label><name>head</name><parent>deer</parent></label>"
    about = f"<meta><labels><label><name>deer</name></label>{head}</labels></meta>"
    write(file, file.read_text().replace("<annotations>", f"<annotations>{about}"))
    labels = find_labels(file)
    assert (labels.classes, labels.images[0].names) == (("deer",), ["deer"])


def test_points_of_cvat_are_objects_of_their_own(tmp_path):
    cvat(tmp_path, '<points label="t" points="10,10;30,20"/><points label="t" points="40,9"/>')
    tileset = read_tileset(tmp_path, DataConfig(box_size_px=4))
    expected = [[8, 8, 12, 12], [28, 18, 32, 22], [38, 7, 42, 11]]
    np.testing.assert_array_equal(tileset.images[0].boxes, expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            '<box label="t" xtl="10" ytl="x" xbr="3" ybr="4"/>',
            "shape 1: the box .* is not four numbers",
        ),
        ('<box xtl="1" ytl="1" xbr="3" ybr="4"/>', "shape 1: the object has no class"),
        ('<polygon label="t" points=""/>', "shape 1: the outline has no points"),
        ('<polygon label="t" points="1,2;3"/>', "shape 1: "),
        ('<skeleton label="t"/>', "shape 1: the outline has no points"),
        ('<cuboid label="t"/>', "shape 1: the outline has no points"),
        (
            '<points label="t" points="1,2"/><box label="t" xtl="1" ytl="1" xbr="3" ybr="4"/>',
            r"shape 2: a\.png has points as well as boxes",
        ),
        ("<box", "broken XML"),
    ],
)
def test_broken_shapes_of_cvat_are_refused(tmp_path, shape, message):
    with pytest.raises(TilesetError, match=message):
        find_labels(cvat(tmp_path, shape))


def test_a_video_of_cvat_is_refused(tmp_path):
    write(tmp_path / "annotations.xml", '<annotations><track id="0" label="car"/></annotations>')
    with pytest.raises(TilesetError, match="has the tracks of a video") as caught:
        find_labels(tmp_path)
    assert "CVAT for images" in caught.value.hint


def test_images_of_cvat_have_the_size_of_their_labels(tmp_path):
    cvat(tmp_path, "", 'width="640" height="480"')
    with pytest.raises(TilesetError, match="its labels are for 640 x 480 px"):
        read_tileset(tmp_path, DataConfig())


def labelme(folder, *shapes, **more):
    paint_image(folder / "a.png")
    paint_image(folder / "b.png")
    write(folder / "a.json", json.dumps({"version": "5", "shapes": list(shapes), **more}))
    return folder


@pytest.mark.parametrize("width", [640, 640.0, "640"])
def test_images_of_labelme_have_the_size_of_their_labels(tmp_path, width):
    labelme(tmp_path, imageWidth=width, imageHeight=48)
    with pytest.raises(TilesetError, match="its labels are for 640 x 48 px"):
        read_tileset(tmp_path, DataConfig())


@pytest.mark.parametrize("low", [0.2, -0.01])
def test_shapes_in_shares_of_the_image_are_refused(tmp_path, low):
    shape = {"label": "t", "points": [[low, 0.3], [0.4, 1.01]], "shape_type": "rectangle"}
    with pytest.raises(
        TilesetError, match=rf"all coordinates are between {low} and 1\.01, as share"
    ):
        read_tileset(labelme(tmp_path, shape), DataConfig())


@pytest.mark.parametrize("width", [None, 0, "wide", True, []])
def test_labelme_may_not_know_the_size_of_an_image(tmp_path, width):
    assert find_labels(labelme(tmp_path, imageWidth=width, imageHeight=48)).images[0].size is None


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("circle", [[20, 20], [23, 24]], (15, 15, 25, 25)),
        ("line", [[1, 2], [9, 4]], (1, 2, 9, 4)),
        ("linestrip", [[1, 2], [9, 4], [3, 8]], (1, 2, 9, 8)),
        ("mask", [[1, 2], [9, 4]], (1, 2, 10, 5)),  # the first and the last pixel
        (None, [[1, 2], [9, 4], [3, 8]], (1, 2, 9, 8)),
    ],
)
def test_shapes_of_labelme_become_their_bounds(tmp_path, kind, points, box):
    shape = {"label": "t", "points": points, "shape_type": kind}
    labels = find_labels(labelme(tmp_path, shape))
    assert labels.images[0].boxes == [box]
    assert "1 of 2 images have no label file" in labels.notes[0]


def test_shapes_of_labelme_in_one_group_are_one_object(tmp_path, caplog):
    caplog.set_level("INFO")
    rows = [("car", 7, 1), ("car", 8, 20), ("car", 7, 30), ("van", 7, 4), ("car", None, 40)]
    shapes = [
        {
            "label": label,
            "group_id": group,
            "points": [[x, 2], [x + 6, 9]],
            "shape_type": "rectangle",
        }
        for label, group, x in [*rows, ("car", None, 50)]
    ]
    image = find_labels(labelme(tmp_path, *shapes)).images[0]
    left = [(20, "car", 26), (4, "van", 10), (40, "car", 46), (50, "car", 56)]
    assert image.boxes == [(1, 2, 36, 9), *((x1, 2, x2, 9) for x1, _, x2 in left)]
    assert image.names == ["car", *(name for _, name, _ in left)]
    assert image.quads == [None] * 5
    assert "2 shapes of labelme are the parts of 1 object: those" in caplog.text


def test_points_of_labelme_in_one_group_stay_apart(tmp_path):
    point = {"label": "t", "group_id": 1, "shape_type": "point"}
    shapes = [{**point, "points": [[x, 12]]} for x in (10, 20)]
    assert len(find_labels(labelme(tmp_path, *shapes)).images[0].boxes) == 2


def test_points_of_labelme_are_labelled_points(tmp_path):
    shape = {"label": "t", "points": [[10, 12]], "shape_type": "point"}
    tileset = read_tileset(labelme(tmp_path, shape), DataConfig(box_size_px=4))
    np.testing.assert_array_equal(tileset.images[0].boxes, [[8, 10, 12, 14]])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"points": [[1, 2]]}, r"a\.json, shape 1: it has no label"),
        ({"label": "t", "points": [[1]]}, r"a\.json, shape 1: the point \[1\] is not x and y"),
        (
            {"label": "t", "points": [[1, 1]], "shape_type": "circle"},
            r"a\.json, shape 1: a circle has two points, not 1",
        ),
        ({"label": " ", "points": [[1, 1], [2, 2]]}, "shape 1: the object has no class"),
        ({"label": "t", "points": [], "group_id": 1}, "shape 1: the outline has no points"),
    ],
)
def test_broken_shapes_of_labelme_are_refused(tmp_path, shape, message):
    with pytest.raises(TilesetError, match=message):
        find_labels(labelme(tmp_path, shape))


def via(folder, *regions, attributes=None, others=()):
    for name in ("a", "b"):
        paint_image(folder / f"{name}.png")
    entry = {
        "filename": "a.png",
        "size": 1,
        "regions": [
            {"shape_attributes": shape, "region_attributes": attributes or {}} for shape in regions
        ],
    }
    more = [{"shape_attributes": RECT, "region_attributes": other} for other in others]
    other = {"filename": "b.png", "size": 1, "regions": more or {}}
    return write(folder / "via.json", json.dumps({"a.png1": entry, "b.png1": other}))


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ({"name": "circle", "cx": 20, "cy": 10, "r": 4.5}, (15.5, 5.5, 24.5, 14.5)),
        ({"name": "ellipse", "cx": 20, "cy": 10, "rx": 5, "ry": 3}, (15, 7, 25, 13)),
        (
            {"name": "ellipse", "cx": 20, "cy": 10, "rx": 5, "ry": 3, "theta": np.pi / 2},
            (17, 5, 23, 15),
        ),
        (
            {"name": "polyline", "all_points_x": [1, 9, 3], "all_points_y": [2, 4, 8]},
            (1, 2, 9, 8),
        ),
    ],
)
def test_shapes_of_via_become_their_bounds(tmp_path, shape, box):
    (image, _) = find_labels(via(tmp_path, shape)).images
    assert (image.boxes, image.names) == ([pytest.approx(box)], [None])


def test_points_of_via_are_labelled_points(tmp_path):
    via(tmp_path, {"name": "point", "cx": 10, "cy": 12})
    tileset = read_tileset(tmp_path, DataConfig(box_size_px=4))
    np.testing.assert_array_equal(tileset.images[0].boxes, [[8, 10, 12, 14]])
    assert tileset.classes == ("object",)


RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"label": "oak", "height": "3"}, "oak"),
        ({"Class": "oak", "height": "3"}, "oak"),
        ({"species": "oak"}, "oak"),
        ({"type": {"oak": True, "elm": False}}, "oak"),
    ],
)
def test_the_class_of_a_region_is_found(tmp_path, attributes, name):
    assert find_labels(via(tmp_path, RECT, attributes=attributes)).images[0].names == [name]


QUALITY = {"image_quality": {"good": True}}


@pytest.mark.parametrize("unfilled", ["not_defined", "", {"a": False}])
def test_the_class_of_a_region_is_no_attribute_that_nobody_filled(tmp_path, unfilled, caplog):
    """VIA gives each region a name, which is not_defined, a type and a quality."""
    caplog.set_level(logging.INFO)
    car, tree = ({"name": unfilled, "type": name} | QUALITY for name in ("car", "tree"))
    labels = find_labels(via(tmp_path, RECT, attributes=car, others=[tree]))
    assert [image.names for image in labels.images] == [["car"], ["tree"]]
    assert (
        "classes from the attribute 'type' (there are also name, image_quality): car 1, tree 1"
        in caplog.text
    )


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_the_label_field_is_the_attribute_with_the_class_of_a_region(tmp_path, suffix):
    attributes = {"label": "1", "species": "oak", "state": "dead"}
    path = via(tmp_path, RECT, attributes=attributes)
    if suffix == "csv":
        cells = [json.dumps(one).replace('"', '""') for one in (RECT, attributes)]
        path.unlink()
        rows = ["#filename,region_shape_attributes,region_attributes"]
        rows += [f'{name}.png,"{cells[0]}","{cells[1]}"' for name in "ab"]
        path = write(tmp_path / "via.csv", "\n".join(rows))
    for place in (path, tmp_path):
        for field, classes in (("state", ("dead",)), ("", ("object",)), (None, ("1",))):
            config = DataConfig(label_field=field)
            assert read_tileset(place, config, part="all").classes == classes
    with pytest.raises(TilesetError, match="no region has the attribute 'specis'") as caught:
        read_tileset(tmp_path, DataConfig(label_field="specis"), part="all")
    assert "'species'?" in caught.value.hint


@pytest.mark.parametrize(
    ("shape", "attributes", "message"),
    [
        (RECT, {"one": "a", "two": "b"}, "none of the attributes one, two is named as the class"),
        (
            RECT,
            {"type": {"oak": True, "elm": True}},
            "region 1: the region has the classes oak, elm",
        ),
        (RECT, {"label": ""}, "region 1: the object has no class"),
        ({"name": "rect", "x": 1}, None, "region 1: the shape has no y"),
    ],
)
def test_regions_of_via_without_one_class_or_shape_are_refused(
    tmp_path, shape, attributes, message
):
    with pytest.raises(TilesetError, match=message):
        find_labels(via(tmp_path, shape, attributes=attributes))


def via_3(folder, *regions, kind=2, attributes=None, options=None):
    """Write a project of VIA 3: shapes on the first of two images, and the values of each."""
    for name in ("a", "b"):
        paint_image(folder / f"{name}.png")
    options = {"0": "car", "1": "bus"} if options is None else options
    project = {
        "project": {"pname": "cars", "data_format_version": "3.1.1", "vid_list": ["1", "2"]},
        "attribute": attributes
        or {"1": {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": 3, "options": options}},
        "file": {
            number: {"fid": number, "fname": f"{name}.png", "type": kind, "loc": 1, "src": ""}
            for number, name in (("1", "a"), ("2", "b"))
        },
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
        "metadata": {
            f"1_{number}": {"vid": "1", "flg": 0, "z": [], "xy": xy, "av": values}
            for number, (xy, values) in enumerate(regions)
        },
    }
    return write(folder / "via3.json", json.dumps(project))


@pytest.mark.parametrize(
    ("xy", "box"),
    [
        ([2, 10, 20, 5, 8], (10, 20, 15, 28)),
        ([3, 20, 10, 4.5], (15.5, 5.5, 24.5, 14.5)),
        ([4, 20, 10, 5, 3], (15, 7, 25, 13)),
        ([7, 5, 6, 15, 6, 10, 12], (5, 6, 15, 12)),
        ([8, 4, 9, 10, 3, 18, 8, 9, 14], (4, 3, 18, 14)),  # left, top, right and bottom
        ([9, 25, 20, 20, 25, 15, 20], (15, 15, 25, 25)),
    ],
)
def test_shapes_of_via_3_have_their_boxes(tmp_path, xy, box):
    labels = find_labels(via_3(tmp_path, (xy, {"1": "1"}), ([], {"1": "0"})))
    first, second = labels.images
    np.testing.assert_allclose(first.boxes, [box])
    assert first.names == ["bus"]
    assert second.names == []


def test_a_folder_with_a_project_of_via_3_is_a_tileset(tmp_path):
    via_3(tmp_path, ([1, 7, 8], {"1": "0"}), ([1, 9, 9], {"1": "1"}))
    labels = find_labels(tmp_path)
    assert (labels.layout, labels.images[0].names) == ("VIA 3", ["car", "bus"])


def test_a_text_attribute_of_via_3_is_the_class_where_it_is_named(tmp_path):
    attributes = {
        "1": {"aname": "note", "type": 1, "options": {}},
        "2": {"aname": "species", "type": 1, "options": {}},
    }
    file = via_3(tmp_path, ([2, 1, 2, 3, 4], {"1": "old", "2": "Oak"}), attributes=attributes)
    with pytest.raises(TilesetError, match="none of the attributes note, species is named"):
        find_labels(file)
    assert find_labels(file, label_field="species").images[0].names == ["Oak"]


@pytest.mark.parametrize(
    ("xy", "values", "options", "message"),
    [
        ([2, 1, 2, 3], {"1": "0"}, {}, r"region 1: the shape 2 has 3 numbers"),
        ([9, 1, 1, 2, 2, 3, 3], {"1": "0"}, {}, "region 1: the three points .* lie on a line"),
        ([2, 1, 2, 3, 4], {"1": "0,1"}, {}, "region 1: the region has the classes car, bus"),
        ([2, 1, 2, 3, 4], {"9": "0"}, {}, "region 1"),
        ([2, 1, 2, 3, 4], {"1": "0"}, {"kind": 4}, "region 1: it is not of one image"),
    ],
)
def test_regions_of_via_3_that_cannot_be_used_are_named(tmp_path, xy, values, options, message):
    with pytest.raises(TilesetError, match=message):
        find_labels(via_3(tmp_path, (xy, values), **options))


def test_a_project_of_via_3_beside_other_labels_does_not_matter(tmp_path):
    via(tmp_path, RECT)
    write(tmp_path / "via3.json", json.dumps({"project": {"vid_list": []}, "metadata": {}}))
    assert find_labels(tmp_path).layout == "VIA"


def dota(folder, text):
    for name in ("a", "b"):
        paint_image(folder / "images" / f"{name}.png")
        write(folder / "labelTxt" / f"{name}.txt", text)
    return folder


def test_difficult_objects_of_dota_are_ignored_and_its_gsd_is_read(tmp_path):
    text = (
        "imagesource:GoogleEarth\ngsd:0.25\n10 5 20 10 15 20 5 15 ship 0\n1 1 4 1 4 4 1 4 ship 1\n"
    )
    tileset = read_tileset(dota(tmp_path, text), DataConfig())
    image = tileset.images[0]
    np.testing.assert_array_equal(image.boxes, [[5, 5, 20, 20]])
    np.testing.assert_array_equal(image.ignored, [[1, 1, 4, 4]])
    assert (image.gsd, tileset.classes) == (0.25, ("ship",))


def test_a_class_of_dota_may_have_several_words(tmp_path):
    lines = ["Small Car 0", "Dump Truck 1", "Boeing 737 0", "Boeing 737", "ship 1.0", "Other Ship"]
    text = "".join(f"10 5 20 10 15 20 5 15 {line}\n" for line in lines)
    image = find_labels(dota(tmp_path, text)).images[0]
    names = ["Small Car", "Dump Truck", "Boeing 737", "Boeing 737", "ship", "Other Ship"]
    assert image.names == names
    assert image.ignored == [False, True, False, False, True, False]


@pytest.mark.parametrize("first", ["imagesource:GoogleEarth\ngsd:null\n", "\n", ""])
def test_dota_is_recognised_if_its_first_file_has_no_objects(tmp_path, first):
    dota(tmp_path, "10 5 20 10 15 20 5 15 ship 0\n")
    write(tmp_path / "labelTxt" / "a.txt", first)
    labels = find_labels(tmp_path)
    assert (labels.layout, [len(image.boxes) for image in labels.images]) == ("DOTA", [0, 1])


def test_a_broken_line_of_dota_is_refused(tmp_path):
    with pytest.raises(TilesetError, match=r"a\.txt, line 2: '1 2 3 ship' is not eight numbers"):
        find_labels(dota(tmp_path, "10 5 20 10 15 20 5 15 ship 0\n1 2 3 ship\n"))


def test_images_that_xview_lacks_are_left_out_with_a_warning(tmp_path):
    paint_image(tmp_path / "train_images" / "1.tif")
    features = [
        {"properties": {"image_id": f"{n}.tif", "type_id": 5, "bounds_imcoords": "1,2,3,4"}}
        for n in (1, 1395)
    ]
    write(tmp_path / "xView_train.geojson", json.dumps({"features": features}))
    labels = find_labels(tmp_path)
    assert [(image.path.name, image.names) for image in labels.images] == [("1.tif", ["5"])]
    assert "1 of 2 images do not exist and are left out, such as 1395.tif" in labels.notes[0]
    features[0]["properties"]["bounds_imcoords"] = "1,2,3"
    write(tmp_path / "xView_train.geojson", json.dumps({"features": features}))
    with pytest.raises(TilesetError, match="feature 1: "):
        find_labels(tmp_path)


def test_a_broken_outline_in_a_table_is_refused(tmp_path):
    write(tmp_path / "t.csv", 'image_path,geometry,label\na.png,"POLYGON ((1 1, 2",t\n')
    with pytest.raises(TilesetError, match=r"t\.csv, line 2: "):
        find_labels(tmp_path)


def chips(folder, shapes, labels=None, size=64, **options):
    for number in range(2):
        paint_geotiff(
            folder / f"{number}.tif", column=number * size, width=size, height=size, **options
        )
    place = [shapely.transform(s, lambda xy: np.array([NORTH_UP @ p for p in xy])) for s in shapes]
    columns = {"label": labels or ["t"] * len(place)}
    geopandas.GeoDataFrame(columns, geometry=place, crs=32610).to_file(folder / "l.gpkg")
    return folder


def test_an_object_on_the_seam_is_a_label_where_enough_of_it_is_visible(tmp_path):
    labels = find_labels(chips(tmp_path, [shapely.box(56, 10, 66, 20)]))
    left, right = labels.images
    assert left.boxes == [pytest.approx((56, 10, 64, 20))]
    assert right.boxes == [pytest.approx((0, 10, 2, 20))]
    assert (left.ignored, right.ignored) == ([False], [True])  # 80 % and 20 % of it


def test_points_beside_chips_are_labelled_points_of_one_chip(tmp_path):
    folder = chips(tmp_path, [shapely.Point(64, 10), shapely.Point(10, 20), shapely.Point(999, 9)])
    labels = find_labels(folder)
    assert [image.boxes for image in labels.images] == [
        [pytest.approx((10, 20, 10, 20))],
        [pytest.approx((0, 10, 0, 10))],
    ]
    assert "1 of 3 labels in" in labels.notes[0]


def test_a_scene_with_a_vector_file_is_to_be_cut(tmp_path):
    paint_geotiff(tmp_path / "scene.tif", width=9000, height=8)
    chips(tmp_path, [shapely.box(1, 1, 3, 3)])
    with pytest.raises(TilesetError, match=r"scene\.tif is a scene of 9000 x 8 px") as caught:
        find_labels(tmp_path)
    assert "geodet tile" in caught.value.hint


def test_chips_and_vector_files_that_do_not_go_together_are_refused(tmp_path):
    with pytest.raises(
        TilesetError, match=r"none of the 1 labels in .* lies in one of the 2 images"
    ):
        find_labels(chips(tmp_path, [shapely.box(900, 1, 903, 3)]))
    paint_image(tmp_path / "plain.png")
    with pytest.raises(TilesetError, match=r"plain\.png has no georeference"):
        find_labels(tmp_path)
    (tmp_path / "plain.png").unlink()
    write(tmp_path / "more.geojson", "{}")
    with pytest.raises(TilesetError, match=r"several vector files: l\.gpkg, more\.geojson"):
        find_labels(tmp_path)


def test_two_images_with_one_label_file_are_refused(tmp_path):
    for name in ("a.png", "a.jpg"):
        paint_image(tmp_path / name)
    write(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1")
    write(tmp_path / "classes.txt", "t")
    message = r"a\.jpg and a\.png have the same label file, a\.txt"
    with pytest.raises(TilesetError, match=message):
        find_labels(tmp_path)
    write(tmp_path / "data.yaml", "train: [a.jpg, a.png]\nnames: [t]\n")
    with pytest.raises(TilesetError, match=message):
        find_labels(tmp_path)


def test_a_corner_that_is_no_number_is_refused(tmp_path):
    for place in range(8):
        numbers = ["1", "1", "9", "1", "9", "9", "1", "9"]
        numbers[place] = "nan"
        write(tmp_path / "labels" / "a.txt", " ".join(["0", *numbers]))
        write(tmp_path / "classes.txt", "car")
        paint_image(tmp_path / "images" / "a.png")
        with pytest.raises(TilesetError, match=r"a\.txt, line 1: the box .* is not finite"):
            find_labels(tmp_path)
