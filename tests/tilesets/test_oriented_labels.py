import json
import re

import geopandas
import numpy as np
import pytest
import shapely
from factories_tilesets import NORTH_UP, paint_geotiff, paint_image, write, write_voc
from pyproj import CRS

from geodet.config import DataConfig, TileConfig
from geodet.errors import TilesetError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import oriented_corners
from geodet.tilesets.tile import tile_scene
from geodet.tilesets.tileset import read_tileset

BOX = np.array([30.0, 20.0, 20.0, 8.0, 0.5])  # in images of 64 x 48 px
QUAD = oriented_corners(BOX[None])[0]


def numbers(scale=1.0):
    return (QUAD / scale).ravel().tolist()


def as_dota(folder):
    write(folder / "labelTxt" / "a.txt", f"{' '.join(map(str, numbers()))} ship 0\n")


def as_yolo(folder):
    shares = " ".join(map(str, numbers([64, 48])))
    write(folder / "labels" / "a.txt", f"0 {shares}\n")
    write(folder / "classes.txt", "ship\n")


def as_coco(folder):
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [numbers()]}
    content = {
        "images": [{"id": 1, "file_name": "images/a.png"}],
        "categories": [{"id": 1, "name": "ship"}],
        "annotations": [annotation],
    }
    write(folder / "labels.json", json.dumps(content))


def as_labelme(folder):
    shape = {"label": "ship", "shape_type": "polygon", "points": QUAD.tolist()}
    write(folder / "images" / "a.json", json.dumps({"imagePath": "a.png", "shapes": [shape]}))


def as_cvat(folder):
    x, y, length, width, angle = BOX
    sides = f'xtl="{x - length / 2}" ytl="{y - width / 2}" xbr="{x + length / 2}"'
    box = f'<box label="ship" {sides} ybr="{y + width / 2}" rotation="{np.degrees(angle)}"/>'
    image = f'<image name="a.png">{box}</image>'
    write(folder / "annotations.xml", f"<annotations>{image}</annotations>")


def unturned_sides():
    x, y, length, width, angle = BOX
    return (x - length / 2, y - width / 2, length, width), float(np.degrees(angle))


def as_coco_of_cvat(folder):
    sides, degrees = unturned_sides()
    attributes = {"occluded": False, "rotation": degrees}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": sides, "segmentation": []}
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "ship"}],
        "annotations": [annotation | {"attributes": attributes}],
    }
    write(folder / "annotations" / "instances_default.json", json.dumps(content))


def as_voc_of_cvat(folder):
    (x, y, length, width), degrees = unturned_sides()
    path = folder / "Annotations" / "a.xml"
    text = write_voc(path, [("ship", x, y, x + length, y + width)]).read_text()
    attribute = f"<attribute><name>rotation</name><value>{degrees}</value></attribute>"
    write(path, text.replace("</object>", f"<attributes>{attribute}</attributes></object>"))


def as_rolabelimg(folder):
    keys = zip(("cx", "cy", "w", "h", "angle"), BOX, strict=True)
    box = "".join(f"<{key}>{value}</{key}>" for key, value in keys)
    kind = "<type>robndbox</type><name>ship</name>"
    text = f"<annotation><object>{kind}<robndbox>{box}</robndbox></object></annotation>"
    write(folder / "Annotations" / "a.xml", text)


FORMATS = [as_dota, as_yolo, as_coco, as_labelme, as_cvat]
FORMATS += [as_coco_of_cvat, as_voc_of_cvat, as_rolabelimg]


@pytest.mark.parametrize("write_labels", FORMATS)
def test_four_corners_of_any_format_are_an_oriented_box(tmp_path, write_labels):
    paint_image(tmp_path / "images" / "a.png")
    write_labels(tmp_path)
    (image,) = read_tileset(tmp_path, DataConfig(), part="all").images
    np.testing.assert_allclose(image.oriented, [BOX], atol=1e-6)
    low, high = QUAD.min(axis=0), QUAD.max(axis=0)
    np.testing.assert_allclose(image.boxes, [[*low, *high]], atol=1e-6)


def test_a_segmentation_is_not_turned_once_more(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    as_coco(tmp_path)
    content = json.loads((tmp_path / "labels.json").read_text())
    content["annotations"][0]["attributes"] = {"rotation": 90.0}
    write(tmp_path / "labels.json", json.dumps(content))
    (image,) = read_tileset(tmp_path, DataConfig(), part="all").images
    np.testing.assert_allclose(image.oriented, [BOX], atol=1e-6)


@pytest.mark.parametrize("write_labels", [as_coco_of_cvat, as_voc_of_cvat])
def test_a_rotation_that_is_no_number_is_refused(tmp_path, write_labels):
    paint_image(tmp_path / "images" / "a.png")
    write_labels(tmp_path)
    (file,) = [*tmp_path.glob("annotations/*"), *tmp_path.glob("Annotations/*")]
    _, degrees = unturned_sides()
    write(file, file.read_text().replace(str(degrees), '"left"' if "json" in file.name else "left"))
    with pytest.raises(TilesetError, match=r" 1: the rotation 'left' is not a finite number"):
        read_tileset(tmp_path, DataConfig(), part="all")


@pytest.mark.parametrize(("key", "message"), [("w", "the box .* is not four"), ("angle", "the ro")])
def test_a_broken_turned_box_of_rolabelimg_is_refused(tmp_path, key, message):
    paint_image(tmp_path / "images" / "a.png")
    as_rolabelimg(tmp_path)
    file = tmp_path / "Annotations" / "a.xml"
    write(file, re.sub(f"<{key}>.*</{key}>", f"<{key}></{key}>", file.read_text()))
    with pytest.raises(TilesetError, match=rf"a\.xml, object 1: {message}"):
        read_tileset(tmp_path, DataConfig(), part="all")


def test_a_turned_ellipse_of_cvat_has_an_oriented_box_around_its_axes(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    shape = '<ellipse label="ship" cx="30" cy="20" rx="12" ry="4" rotation="30"/>'
    text = f'<annotations><image name="a.png">{shape}</image></annotations>'
    write(tmp_path / "annotations.xml", text)
    (image,) = read_tileset(tmp_path, DataConfig(), part="all").images
    np.testing.assert_allclose(image.oriented, [[30, 20, 24, 8, np.pi / 6]], atol=1e-6)
    half = np.hypot(12 * np.cos(np.pi / 6), 4 * np.sin(np.pi / 6))
    np.testing.assert_allclose(image.boxes[0, [0, 2]], [30 - half, 30 + half], atol=1e-6)


def test_labels_without_an_angle_have_no_oriented_boxes(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    write(tmp_path / "labelTxt" / "a.txt", "4 4 20 4 20 9 4 9 ship 0\n")
    (image,) = read_tileset(tmp_path, DataConfig(), part="all").images
    assert image.oriented is None
    np.testing.assert_allclose(image.oriented_boxes, [[12, 6.5, 16, 5, 0]])


def test_an_oriented_box_is_cut_at_the_edge_of_its_image(tmp_path):
    paint_image(tmp_path / "images" / "a.png")
    moved = " ".join(map(str, (QUAD - [30, 0]).ravel()))
    write(tmp_path / "labelTxt" / "a.txt", f"{moved} ship 0\n4 4 20 4 20 9 4 9 ship 0\n")
    (image,) = read_tileset(tmp_path, DataConfig(), part="all").images
    assert image.oriented[0, 4] == pytest.approx(0.5)
    assert 10 < image.oriented[0, 2] < 14
    np.testing.assert_allclose(image.oriented[1], [12, 6.5, 16, 5, 0])


def test_polygons_on_the_ground_stay_oriented_boxes_in_the_chips(tmp_path):
    scene = paint_geotiff(tmp_path / "scene.tif", width=200, height=200)
    geobox = GeoBox(200, 200, NORTH_UP, CRS.from_epsg(32610))
    places = [(40.0, 50.0), (150.0, 140.0)]
    quads = [QUAD + np.array(place) - BOX[:2] for place in places]
    shapes = shapely.polygons(geobox.to_world(np.array(quads)))
    geopandas.GeoDataFrame(geometry=shapes, crs=geobox.crs).to_file(tmp_path / "ships.gpkg")
    chips, sizes = tmp_path / "tiles", TileConfig(chip_size=100)
    tile_scene(scene, tmp_path / "ships.gpkg", chips, sizes, DataConfig())
    images = read_tileset(chips, DataConfig(), part="all").images
    found = np.concatenate([i.oriented for i in images if i.oriented is not None])
    whole = found[np.isclose(found[:, 2], BOX[2], atol=0.01)]
    assert len(whole) >= 2
    np.testing.assert_allclose(whole[:, 2:], np.tile(BOX[2:], (len(whole), 1)), atol=0.01)


def test_boxes_around_points_beside_turned_polygons_have_their_size_in_the_chips(tmp_path):
    scene = paint_geotiff(tmp_path / "scene.tif", width=200, height=200)
    geobox = GeoBox(200, 200, NORTH_UP, CRS.from_epsg(32610))
    quads = [QUAD + np.array(place) - BOX[:2] for place in [(40.0, 50.0), (150.0, 140.0)]]
    points = np.array([[70.0, 40.0], [97.5, 30.0], [140.0, 170.0]])  # one near to an edge
    shapes = [
        *shapely.polygons(geobox.to_world(np.array(quads))),
        *shapely.points(geobox.to_world(points)),
    ]
    geopandas.GeoDataFrame(geometry=shapes, crs=geobox.crs).to_file(tmp_path / "ships.geojson")
    chips, sizes = tmp_path / "tiles", TileConfig(chip_size=100)
    tile_scene(scene, tmp_path / "ships.geojson", chips, sizes, DataConfig(box_size_px=10))
    parts = [json.loads(path.read_text())["annotations"] for path in chips.glob("*.json")]
    squares = [one for part in parts for one in part if one["bbox"][3] == 10]
    assert len(squares) == 3
    for one in squares:
        x, y, width, height = one["bbox"]  # within the chip
        corners = np.reshape(one["segmentation"], (4, 2))
        np.testing.assert_allclose(corners.min(axis=0), [x, y], atol=1e-3)
        np.testing.assert_allclose(corners.max(axis=0), [x + width, y + height], atol=1e-3)
