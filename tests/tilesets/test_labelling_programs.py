"""What labelling programs export: every layout gives the same images, objects, classes and split.

The files are written here from one table of objects, as each program documents its own.
"""

import csv
import io
import json
from collections import Counter
from xml.dom import minidom

import geopandas
import numpy as np
import pytest
import shapely
from factories_tilesets import NORTH_UP, paint_geotiff, paint_image, write, write_voc

from geodet.config import DataConfig
from geodet.tilesets.tileset import read_tileset

W, H = 64, 48
TRUTH = {
    "a": [("tree", (2, 3, 12, 23)), ("car", (30, 10, 40, 20)), ("tree", (50, 30, 60.5, 44.25))],
    "b": [("car", (5, 6, 25, 16))],
    "c": [],
}
SPLIT = {"a": "train", "b": "val", "c": "test"}


def corners(box):
    x1, y1, x2, y2 = box
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def paint(folder, place="images"):
    for name in TRUTH:
        paint_image(folder / place / f"{name}.png", W, H)


def yolo_lines(objects, names=("tree", "car")):
    rows = [
        (names.index(name), (x1 + x2) / 2 / W, (y1 + y2) / 2 / H, (x2 - x1) / W, (y2 - y1) / H)
        for name, (x1, y1, x2, y2) in objects
    ]
    return "".join(" ".join(map(repr, row)) + "\n" for row in rows)


def coco(path, name_of, split=None):
    chosen = [name for name in TRUTH if split in (None, SPLIT[name])]
    ids = {name: number for number, name in enumerate(TRUTH)}
    images = [{"id": ids[n], "file_name": name_of(n), "width": W, "height": H} for n in chosen]
    annotations = [
        {
            "id": 10 * ids[name] + number,
            "image_id": ids[name],
            "category_id": ("tree", "car").index(label),
            "segmentation": [],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "ignore": 0,
            "iscrowd": 0,
            "area": (x2 - x1) * (y2 - y1),
        }
        for name in chosen
        for number, (label, (x1, y1, x2, y2)) in enumerate(TRUTH[name])
    ]
    categories = [{"id": 0, "name": "tree"}, {"id": 1, "name": "car"}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    write(path, json.dumps(content | {"info": {"contributor": "Label Studio"}}))


def write_cvat_yolo(folder):
    paint(folder, "obj_train_data")
    for name, objects in TRUTH.items():
        write(folder / "obj_train_data" / f"{name}.txt", yolo_lines(objects))
    write(folder / "obj.names", "tree\ncar\n")
    write(folder / "train.txt", "data/obj_train_data/a.png\n")
    write(folder / "valid.txt", "data/obj_train_data/b.png\n")
    write(folder / "test.txt", "data/obj_train_data/c.png\n")
    keys = "train = data/train.txt\nvalid = data/valid.txt\ntest = data/test.txt\n"
    write(folder / "obj.data", f"classes = 2\n{keys}names = data/obj.names\nbackup = backup/\n")


def write_cvat_coco(folder):
    paint(folder, "images/default")
    coco(folder / "annotations" / "instances_default.json", "{}.png".format)


def write_cvat_coco_subsets(folder):
    for word, part in (("Train", "train"), ("Validation", "val"), ("Test", "test")):
        for name in TRUTH:
            if SPLIT[name] == part:
                paint_image(folder / "images" / word / f"{name}.png", W, H)
        coco(folder / "annotations" / f"instances_{word}.json", "{}.png".format, part)


def write_cvat_voc(folder):
    paint(folder, "JPEGImages")
    for name, objects in TRUTH.items():
        rows = [(label, *box) for label, box in objects]
        write_voc(folder / "Annotations" / f"{name}.xml", rows, (W, H))
    write(folder / "labelmap.txt", "# label:color_rgb:parts:actions\ntree:250,50,83::\n")
    write(folder / "ImageSets" / "Main" / "default.txt", "a\nb\nc\n")


def write_cvat_xml(folder, subsets=True):
    paint(folder)
    document = minidom.Document()
    root = document.appendChild(document.createElement("annotations"))
    root.appendChild(document.createElement("version")).appendChild(document.createTextNode("1.1"))
    labels = root.appendChild(document.createElement("meta"))
    for word in ("task", "labels"):
        labels = labels.appendChild(document.createElement(word))
    for word in ("tree", "car"):
        label = labels.appendChild(document.createElement("label"))
        label.appendChild(document.createElement("name")).appendChild(document.createTextNode(word))
    for number, (name, objects) in enumerate(TRUTH.items()):
        image = root.appendChild(document.createElement("image"))
        about = {"id": number, "name": f"{name}.png", "width": W, "height": H}
        if subsets:
            about["subset"] = {"train": "Train", "val": "Validation", "test": "Test"}[SPLIT[name]]
        for key, value in about.items():
            image.setAttribute(key, str(value))
        for label, box in objects:
            shape = image.appendChild(document.createElement("box"))
            keys = dict(zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
            for key, value in (keys | {"label": label, "occluded": 0, "z_order": 0}).items():
                shape.setAttribute(key, str(value))
    write(folder / "annotations.xml", document.toprettyxml())


def write_label_studio_coco(folder):
    paint(folder)
    coco(folder / "result.json", "../../label-studio/data/media/upload/1/{}.png".format)


def write_label_studio_yolo(folder):
    paint(folder)
    for name, objects in TRUTH.items():
        write(folder / "labels" / f"{name}.txt", yolo_lines(objects, ("car", "tree")))
    write(folder / "classes.txt", "car\ntree\n")
    write(folder / "notes.json", json.dumps({"categories": [{"id": 0, "name": "car"}], "info": {}}))


def write_roboflow(folder, write_part):
    for name, objects in TRUTH.items():
        place = folder / {"train": "train", "val": "valid", "test": "test"}[SPLIT[name]]
        write_part(place, name, objects)


def write_roboflow_yolo(folder):
    def part(place, name, objects):
        paint_image(place / "images" / f"{name}.png", W, H)
        write(place / "labels" / f"{name}.txt", yolo_lines(objects))

    write_roboflow(folder, part)
    paths = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    write(folder / "data.yaml", f"{paths}nc: 2\nnames: ['tree', 'car']\n")


def write_roboflow_coco(folder):
    def part(place, name, _objects):
        paint_image(place / f"{name}.png", W, H)
        coco(place / "_annotations.coco.json", "{}.png".format, SPLIT[name])

    write_roboflow(folder, part)


def write_roboflow_voc(folder):
    def part(place, name, objects):
        paint_image(place / f"{name}.png", W, H)
        write_voc(place / f"{name}.xml", [(label, *box) for label, box in objects], (W, H))

    write_roboflow(folder, part)


def labelme_shape(label, box, kind):
    points = {"rectangle": [box[2:], box[:2]], "polygon": corners(box)}[kind]
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "shape_type": kind,
        "flags": {},
    }


def write_labelme(folder, kind="rectangle"):
    paint(folder, "")
    for name, objects in TRUTH.items():
        content = {
            "version": "5.4.1",
            "flags": {},
            "shapes": [labelme_shape(*row, kind) for row in objects],
            "imagePath": f"{name}.png",
            "imageData": None,
            "imageHeight": H,
            "imageWidth": W,
        }
        write(folder / f"{name}.json", json.dumps(content))


def via_shape(box, kind="rect"):
    x1, y1, x2, y2 = box
    if kind == "rect":
        return {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    xs, ys = zip(*corners(box), strict=True)
    return {"name": "polygon", "all_points_x": list(xs), "all_points_y": list(ys)}


def write_via(folder, as_project=False, kind="rect"):
    paint(folder)
    entries = {
        f"{name}.png123": {
            "filename": f"{name}.png",
            "size": 123,
            "regions": [
                {"shape_attributes": via_shape(box, kind), "region_attributes": {"label": label}}
                for label, box in objects
            ],
            "file_attributes": {},
        }
        for name, objects in TRUTH.items()
    }
    project = {"_via_settings": {}, "_via_img_metadata": entries, "_via_attributes": {}}
    write(folder / "via_export.json", json.dumps(project if as_project else entries))


def write_via_csv(folder):
    paint(folder)
    head = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes"
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow([*head.split(","), "region_attributes"])
    for name, objects in TRUTH.items():
        rows = [
            (n, json.dumps(via_shape(box)), json.dumps({"label": label}))
            for n, (label, box) in enumerate(objects)
        ]
        for row in rows or [(0, "{}", "{}")]:
            table.writerow([f"{name}.png", 123, "{}", len(objects), *row])
    write(folder / "via_export_csv.csv", text.getvalue())


def write_dota(folder, place="labelTxt"):
    paint(folder)
    for name, objects in TRUTH.items():
        lines = [
            " ".join(f"{value}" for point in corners(box) for value in point) + f" {label} 0"
            for label, box in objects
        ]
        head = "imagesource:GoogleEarth\ngsd:0.146343590398\n"
        write(folder / place / f"{name}.txt", head + "\n".join(lines) + "\n")


def write_xview(folder):
    paint(folder, "train_images")
    paint_image(folder / "train_images" / "c.png", W, H)
    kinds = {"tree": 73, "car": 18}
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [0, 0]},
            "properties": {
                "bounds_imcoords": ",".join(map(str, box)),
                "type_id": kinds[label],
                "image_id": f"{name}.png",
            },
        }
        for name, objects in TRUTH.items()
        for label, box in objects
    ]
    content = {"type": "FeatureCollection", "features": features}
    write(folder / "xView_train.geojson", json.dumps(content))
    write(folder / "xview_class_labels.txt", "73:tree\n18:car\n")


def write_deepforest(folder):
    paint(folder)
    rows = [["", "image_path", "label", "geometry"]]
    for name, objects in TRUTH.items():
        for label, box in objects:
            rows.append([len(rows), f"{name}.png", label, shapely.box(*box).wkt])
        if not objects:
            rows.append([len(rows), f"{name}.png", "", ""])
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    write(folder / "annotations.csv", text.getvalue())


def write_vector(folder, suffix="gpkg", epsg=32610):
    shapes, labels = [], []
    for number, (name, objects) in enumerate(TRUTH.items()):
        paint_geotiff(folder / "images" / f"{name}.tif", column=200 * number, width=W, height=H)
        for label, box in objects:
            points = [NORTH_UP @ (x + 200 * number, y) for x, y in corners(box)]
            shapes.append(shapely.Polygon(points))
            labels.append(label)
    frame = geopandas.GeoDataFrame({"label": labels}, geometry=shapes, crs=32610)
    frame.to_crs(epsg).to_file(folder / f"labels.{suffix}")


OWN = SPLIT
CHOSEN = None
PROGRAMS = {
    "CVAT YOLO 1.1": (write_cvat_yolo, "YOLO", OWN),
    "CVAT COCO 1.0": (write_cvat_coco, "COCO", CHOSEN),
    "CVAT COCO 1.0, subsets": (write_cvat_coco_subsets, "COCO", OWN),
    "CVAT Pascal VOC": (write_cvat_voc, "Pascal VOC", CHOSEN),
    "CVAT for images": (write_cvat_xml, "CVAT", OWN),
    "CVAT for images, no subsets": (lambda f: write_cvat_xml(f, subsets=False), "CVAT", CHOSEN),
    "Label Studio COCO": (write_label_studio_coco, "COCO", CHOSEN),
    "Label Studio YOLO": (write_label_studio_yolo, "YOLO", CHOSEN),
    "Roboflow YOLO": (write_roboflow_yolo, "YOLO", OWN),
    "Roboflow COCO": (write_roboflow_coco, "COCO", OWN),
    "Roboflow Pascal VOC": (write_roboflow_voc, "Pascal VOC", OWN),
    "labelme": (write_labelme, "labelme", CHOSEN),
    "labelme polygons": (lambda f: write_labelme(f, "polygon"), "labelme", CHOSEN),
    "VIA JSON": (write_via, "VIA", CHOSEN),
    "VIA project": (lambda f: write_via(f, as_project=True), "VIA", CHOSEN),
    "VIA polygons": (lambda f: write_via(f, kind="polygon"), "VIA", CHOSEN),
    "VIA CSV": (write_via_csv, "VIA", CHOSEN),
    "DOTA": (write_dota, "DOTA", CHOSEN),
    "DOTA, labels/": (lambda f: write_dota(f, "labels"), "DOTA", CHOSEN),
    "xView": (write_xview, "xView", CHOSEN),
    "DeepForest 2": (write_deepforest, "CSV", CHOSEN),
    "GeoPackage beside chips": (write_vector, "vector file and chips", CHOSEN),
    "GeoJSON beside chips": (
        lambda f: write_vector(f, "geojson", 4326),
        "vector file and chips",
        CHOSEN,
    ),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_exports_have_their_images_objects_classes_and_split(tmp_path, program):
    write_files, layout, split = PROGRAMS[program]
    write_files(tmp_path)
    tileset = read_tileset(tmp_path, DataConfig())
    images = {image.path.stem: image for image in tileset.images}
    # xView lists objects, so that an image without objects is not part of it.
    expected = {name: rows for name, rows in TRUTH.items() if rows or layout != "xView"}
    assert images.keys() == expected.keys()
    assert sorted(tileset.classes) == ["car", "tree"]
    for name, rows in expected.items():
        found = [tileset.classes[label] for label in images[name].labels]
        assert found == [label for label, _ in rows]
        wanted = np.array([box for _, box in rows]).reshape(-1, 4)
        tolerance = 1e-2 if "GeoJSON" in program else 1e-6
        np.testing.assert_allclose(images[name].boxes, wanted, atol=tolerance)
    parts = {name: image.split for name, image in images.items()}
    if split:
        assert parts == split
    else:
        assert Counter(parts.values()) == Counter(train=len(expected) - 1, val=1)
