"""Labels of chips in each format, read by ``geodet info``."""

import json

import yaml
from fuzz_documents import H, W, element, images, lines_of, save, target, text_of, to_csv, to_xml
from fuzz_mutations import mutate

BOX = [10, 11, 20, 21]
COCO = {
    "images": [
        {"id": n, "file_name": f"{name}.png", "width": W, "height": H, "place": name, "gsd": 0.5}
        for n, name in enumerate("ab", start=1)
    ],
    "categories": [{"id": 1, "name": "tree"}, {"id": 2, "name": "car", "supercategory": "x"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "iscrowd": 0, "area": 4.5},
        {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[1, 1, 9, 1, 9, 9]]},
        {
            "id": 3,
            "image_id": 2,
            "category_id": 2,
            "segmentation": {"size": [H, W], "counts": [100, 20, 60, 2000]},
        },
        {"id": 4, "image_id": 2, "category_id": 1, "bbox": BOX, "whole_bbox": [-5, 1, 20, 20]},
        {
            "id": 5,
            "image_id": 2,
            "category_id": 2,
            "segmentation": {"size": [H, W], "counts": "dP16X1"},
        },
    ],
}


@target
def write_coco(folder, source):
    images(folder)
    save(folder / "labels.json", json.dumps(mutate(COCO, source)))
    return ["info", folder]


@target
def write_labelme(folder, source):
    images(folder)
    shapes = [
        {"label": "tree", "points": [[1, 2], [30, 40]], "shape_type": "rectangle"},
        {"label": "car", "points": [[9, 9], [9, 15]], "shape_type": "circle", "flags": {}},
        {"label": "car", "points": [[1, 1], [9, 1], [5, 7]], "shape_type": "polygon"},
    ]
    content = {"version": "5", "shapes": shapes, "imageWidth": W, "imageHeight": H}
    save(folder / "a.json", json.dumps(mutate(content, source)))
    return ["info", folder]


SHAPES = [
    {"name": "rect", "x": 1, "y": 2, "width": 9, "height": 10},
    {"name": "circle", "cx": 20, "cy": 20, "r": 4},
    {"name": "ellipse", "cx": 20, "cy": 20, "rx": 4, "ry": 5},
    {"name": "polygon", "all_points_x": [1, 9, 5], "all_points_y": [1, 1, 7]},
]


@target
def write_via(folder, source):
    images(folder)
    regions = [{"shape_attributes": s, "region_attributes": {"label": "tree"}} for s in SHAPES]
    entries = {
        f"{name}.png": {"filename": f"{name}.png", "size": 9, "regions": regions} for name in "ab"
    }
    project = source.random() < 0.5
    content = {"_via_img_metadata": entries} if project else entries
    save(folder / "via.json", json.dumps(mutate(content, source)))
    return ["info", folder / "via.json"]


@target
def write_via_table(folder, source):
    images(folder)
    rows = [["filename", "region_count", "region_shape_attributes", "region_attributes"]]
    rows += [["a.png", 1, mutate(s, source), mutate({"label": "tree"}, source)] for s in SHAPES]
    save(folder / "via.csv", to_csv([rows[0], *mutate(rows[1:], source)]))
    return ["info", folder]


@target
def write_xview(folder, source):
    images(folder)
    features = [
        {
            "type": "Feature",
            "properties": {"bounds_imcoords": "1,2,9,9", "type_id": 73, "image_id": f"{name}.png"},
        }
        for name in "aab"
    ]
    content = {"type": "FeatureCollection", "features": features}
    save(folder / "labels.geojson", json.dumps(mutate(content, source)))
    save(folder / "xview_class_labels.txt", "73:tree\n")
    return ["info", folder]


@target
def write_data_yaml(folder, source):
    images(folder, ("train/images/a.png", "val/images/b.png"))
    for part, name in (("train", "a"), ("val", "b")):
        save(folder / part / "labels" / f"{name}.txt", "0 0.5 0.5 0.1 0.1\n")
    names = {0: "tree", 1: "car"} if source.random() < 0.5 else ["tree", "car"]
    content = {"path": ".", "train": "train/images", "val": ["val/images"], "nc": 2, "names": names}
    save(folder / "data.yaml", yaml.safe_dump(mutate(content, source), allow_unicode=True))
    return ["info", folder]


@target
def write_darknet(folder, source):
    images(folder, ("obj_train_data/a.png", "obj_train_data/b.png"))
    for name in "ab":
        save(folder / "obj_train_data" / f"{name}.txt", "0 0.5 0.5 0.1 0.1\n")
    keys = mutate([["classes", 1], ["train", "data/train.txt"], ["names", "obj.names"]], source)
    pairs = [row if isinstance(row, list) else [row] for row in keys]
    save(folder / "obj.data", "\n".join(" = ".join(map(text_of, row)) for row in pairs))
    lines = mutate(["data/obj_train_data/a.png", "data/obj_train_data/b.png"], source)
    save(folder / "train.txt", "\n".join(map(text_of, lines)))
    save(folder / "obj.names", "\n".join(map(text_of, mutate(["tree", "car"], source))))
    return ["info", folder]


@target
def write_image_sets(folder, source):
    images(folder, ("JPEGImages/a.png", "JPEGImages/b.png"))
    for name in "ab":
        save(folder / "Annotations" / f"{name}.xml", to_xml(VOC))
    for part, name in (("train", "a"), ("val", "b")):
        lines = mutate([name], source)
        save(folder / "ImageSets" / "Main" / f"{part}.txt", "\n".join(map(text_of, lines)))
    return ["info", folder]


@target
def write_yolo(folder, source):
    images(folder)
    rows = [[0, 0.5, 0.5, 0.2, 0.3], [1, 0.1, 0.1, 0.2, 0.1, 0.2, 0.4]]
    save(folder / "a.txt", lines_of(mutate(rows, source)))
    save(folder / "classes.txt", "tree\ncar\n")
    return ["info", folder]


@target
def write_dota(folder, source):
    images(folder)
    head = [["imagesource:GoogleEarth"], [f"gsd:{text_of(mutate([0.5], source) or '')}"]]
    rows = [[1, 1, 9, 1, 9, 9, 1, 9, "tree", 0], [1, 1, 9, 1, 9, 9, 1, 9, "car", 1]]
    save(folder / "labelTxt" / "a.txt", lines_of([*head, *mutate(rows, source)]))
    return ["info", folder]


@target
def write_table(folder, source):
    images(folder)
    layouts = [
        [["image", "xmin", "ymin", "xmax", "ymax", "label"], ["a.png", *BOX, "tree"]],
        [["image_path", "x", "y", "label"], ["a.png", 5, 6, "tree"], ["b.png", 5, 6, "tree"]],
        [["filename", "left", "top", "width", "height"], ["a.png", 5, 6, 7, 8]],
        [["image", "geometry", "label"], ["a.png", "POLYGON ((1 1, 9 1, 9 9, 1 1))", "tree"]],
    ]
    rows = source.choice(layouts)
    head = mutate(rows[:1], source) if source.random() < 0.2 else rows[:1]
    delimiter = source.choice(",;\t")
    save(folder / "labels.csv", to_csv([*head, *mutate(rows[1:], source)], delimiter))
    if source.random() < 0.3:
        table = [["image", "place", "fold"], *mutate([["a.png", "p", "train"]], source)]
        save(folder / "images.csv", to_csv(table))
    return ["info", folder]


VOC = element(
    "annotation",
    [
        element("size", [element("width", [str(W)]), element("height", [str(H)])]),
        element(
            "object",
            [
                element("name", ["tree"]),
                element("difficult", ["0"]),
                element(
                    "bndbox",
                    [
                        element(key, [str(value)])
                        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), BOX, strict=True)
                    ],
                ),
            ],
        ),
    ],
)
CVAT = element(
    "annotations",
    [
        element("label", [element("name", ["tree"])]),
        element(
            "image",
            [
                element("box", label="tree", xtl="1", ytl="2", xbr="9", ybr="9", rotation="5"),
                element("polygon", label="tree", points="1,1;9,1;9,9"),
                element("ellipse", label="tree", cx="20", cy="20", rx="4", ry="5"),
                element("mask", label="tree", left="1", top="2", width="9", height="9"),
            ],
            name="a.png",
            width=str(W),
            height=str(H),
            subset="Train",
        ),
        element("image", [element("points", label="tree", points="1,1;2,2")], name="b.png"),
    ],
)


@target
def write_voc(folder, source):
    images(folder)
    save(folder / "a.xml", to_xml(mutate(VOC, source)))
    return ["info", folder]


@target
def write_cvat(folder, source):
    images(folder)
    save(folder / "annotations.xml", to_xml(mutate(CVAT, source)))
    return ["info", folder]
