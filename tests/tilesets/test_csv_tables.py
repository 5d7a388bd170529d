import pytest
from factories_tilesets import paint_frames, paint_image, write

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.tilesets.csv_tables import read_csv, read_image_table
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.tileset import read_tileset


def test_points_are_in_the_middle_of_their_pixel(tmp_path):
    file = write(tmp_path / "p.csv", "image,x,y\na.png,3,7\nb.png,,\na.png,0,0\n")
    labels = read_csv(file, [tmp_path])
    assert [(i.path.name, i.boxes) for i in labels.images] == [
        ("a.png", [(3.5, 7.5, 3.5, 7.5), (0.5, 0.5, 0.5, 0.5)]),
        ("b.png", []),
    ]
    assert labels.images[0].frame == "centres"
    assert labels.images[0].names == [None, None]
    assert labels.images[0].numbers == [2, 4]


def test_columns_of_corners_may_be_in_any_order(tmp_path):
    rows = "label,xmin,ymin,xmax,ymax,image_path,score\ntree,1,2,3,4,a.tif,0.5\n,0,0,0,0,b.tif,\n"
    labels = read_csv(write(tmp_path / "t.csv", rows), [tmp_path])
    assert [(i.path.name, i.boxes, i.names) for i in labels.images] == [
        ("a.tif", [(1, 2, 3, 4)], ["tree"]),
        ("b.tif", [], []),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x,y\na.png,3\n", "line 2: 2 cells for 3 columns"),
        ("image,x,y\na.png,1,1\na.png,3,up\n", "line 3: the coordinates 3, up are not all numbers"),
        ("image,x,y,label\na.png,1,1,\n", "line 2: the object has no class"),
        ("image,x,y\na.png,1,\n", "line 2: the coordinates 1,  are not complete"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(TilesetError, match=message):
        read_csv(write(tmp_path / "p.csv", text), [tmp_path])


def test_a_csv_file_with_other_columns_is_not_labels(tmp_path):
    assert read_csv(write(tmp_path / "p.csv", "a,b\n1,2\n"), [tmp_path]) is None
    with pytest.raises(TilesetError, match="unknown columns a,b"):
        find_labels(tmp_path / "p.csv")
    with pytest.raises(TilesetError, match=r"no labels recognised: p\.csv with the columns a,b"):
        find_labels(tmp_path)


def test_places_and_folds_are_read_from_the_image_table(tmp_path):
    text = "image,city,place,fold\na.png,Chico,west,train\nb.png,Chico,,validation\nc.png,,,\n"
    images = read_image_table(write(tmp_path / "images.csv", text), [tmp_path])
    assert [(i.place, i.split) for i in images] == [("west", "train"), (None, "val"), (None, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na.png\n", "no column 'image' among name"),
        ("image,fold\na,3\n", "line 2: unknown fold '3'"),
    ],
)
def test_a_broken_image_table_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(TilesetError, match=message):
        read_image_table(write(tmp_path / "images.csv", text), [tmp_path])


PIXELS = (5.0, 6.0, 25.0, 30.0)


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("xmin", "ymin", "xmax", "ymax"), PIXELS),
        (("x_min", "y_min", "x_max", "y_max"), PIXELS),
        (("x1", "y1", "x2", "y2"), PIXELS),
        (("left", "top", "right", "bottom"), PIXELS),
        (("left", "top", "width", "height"), (5.0, 6.0, 20.0, 24.0)),
        (("x", "y", "width", "height"), (5.0, 6.0, 20.0, 24.0)),
        (("X", "Y", "W", "H"), (5.0, 6.0, 20.0, 24.0)),
    ],
)
@pytest.mark.parametrize(("image", "label"), [("filename", "class"), ("Image_Path", "Label")])
@pytest.mark.parametrize(
    ("delimiter", "decimal"), [(",", "."), (";", ","), (";", "."), ("\t", ".")]
)
def test_columns_of_any_usual_name_are_read(
    names, values, image, label, delimiter, decimal, tmp_path
):
    cells = [repr(value).replace(".", decimal) for value in values]
    lines = [[image, *names, label], ["a.png", *cells, "oak"], ["b.png", *["NA"] * len(cells), ""]]
    text = "\n".join(delimiter.join(line) for line in lines)
    labels = read_csv(write(tmp_path / "a.csv", text), [tmp_path])
    first, second = labels.images
    assert (first.boxes, first.names, first.frame) == ([PIXELS], ["oak"], "pixels")
    assert second.path.name == "b.png"
    assert second.boxes == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,1,2,far,4", "line 2: the coordinates 1, 2, far, 4 are not all numbers"),
        ("a.png,1,NA,3,4", "line 2: the coordinates 1, NA, 3, 4 are not complete"),
        (",1,2,3,4", "line 2: no image is named"),
    ],
)
def test_a_row_that_is_not_complete_is_refused_by_its_line(row, message, tmp_path):
    file = write(tmp_path / "a.csv", f"image,xmin,ymin,xmax,ymax\n{row}\n")
    with pytest.raises(TilesetError, match=message) as caught:
        read_csv(file, [tmp_path])
    assert caught.value.path == file


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("xmin,ymin,xmax,ymax", "1,2,3,4"),
        ("x,y", "1,2"),
        ("geometry", '"POLYGON ((1 2, 3 2, 3 4, 1 2))"'),
    ],
)
def test_columns_that_may_have_the_class_are_noted(tmp_path, columns, cells):
    lines = [f"a.png,{cells},{name},{score},1" for name, score in (("oak", 0.5), ("elm", 0.25))]
    text = "\n".join([f"image,{columns},category_name,score,fold", *lines])
    labels = find_labels(write(tmp_path / "a.csv", text))
    (note,) = labels.notes
    assert "all objects are of one class" in note
    assert note.endswith("name it by data.label_field: category_name (2 values: elm, oak)")
    labelled = text.replace("category_name", "class")
    assert find_labels(write(tmp_path / "a.csv", labelled)).notes == []
    assert find_labels(write(tmp_path / "a.csv", text.replace("elm", "oak"))).notes == []


@pytest.mark.parametrize(
    ("size", "frame", "box"),
    [
        ("64,48", "centres", (1.5, 2.5, 1.5, 2.5)),
        ("48.0,64.0", "centres", (1.5, 2.5, 1.5, 2.5)),
        ("20,20", "pixels", (1, 2, 21, 22)),
    ],
)
def test_only_a_width_and_height_of_the_image_make_points(tmp_path, size, frame, box):
    paint_image(tmp_path / "a.png", 64, 48)
    text = f"image,x,y,width,height\na.png,1,2,{size}\nb.png,3,4,{size}\n"
    image, _ = read_csv(write(tmp_path / "a.csv", text), [tmp_path]).images
    assert (image.frame, image.boxes) == (frame, [box])


def test_boxes_of_one_size_on_images_that_are_not_there_are_boxes(tmp_path):
    text = "image,x,y,width,height\na.png,1,2,64,48\na.png,3,4,64,48\n"
    (image,) = read_csv(write(tmp_path / "a.csv", text), [tmp_path]).images
    assert (image.frame, len(image.boxes)) == ("pixels", 2)


@pytest.mark.parametrize("name", ["geometry", "WKT", "polygon"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_outlines_in_wkt_are_read_under_any_usual_name(name, delimiter, tmp_path):
    shape = "POLYGON ((5 6, 25 6, 25 30, 5 30, 5 6))"
    lines = [["filename", name, "class"], ["a.png", f'"{shape}"', "oak"], ["b.png", "NA", ""]]
    file = write(tmp_path / "a.csv", "\n".join(delimiter.join(line) for line in lines))
    first, second = find_labels(file).images
    assert (first.boxes, first.names, second.boxes) == ([PIXELS], ["oak"], [])


SIDES = "ImageID,LabelName,XMin,XMax,YMin,YMax"


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (SIDES, ["a.png,Tree,0.1,0.2,0.3,0.4", "b.png,Car,0,1,0,1", "c.png,Car,,,,"]),
        ("image,x,y,width,height", ["a.png,0.1,0.2,0.9,0.4"]),
        ("image;x;y", ["a.png;0,1;0,2", "b.png;1;0"]),
    ],
)
def test_coordinates_in_shares_are_refused(tmp_path, header, rows):
    paint_frames(tmp_path, ["a.png", "b.png", "c.png"])
    file = write(tmp_path / "a.csv", "\n".join([header, *rows]))
    with pytest.raises(TilesetError, match=r"a\.csv: all coordinates are between .* as shares"):
        read_tileset(file, DataConfig(box_size_px=4))


@pytest.mark.parametrize(
    "rows", [["a.png,t,0,1,0,1"], ["a.png,t,0.1,0.2,0.3,0.4", "a.png,t,0.5,1.5,0,9"], []]
)
def test_few_pixels_at_the_corner_are_pixels(tmp_path, rows):
    paint_frames(tmp_path, ["a.png"])
    file = write(tmp_path / "a.csv", "\n".join([SIDES, *(rows or ["a.png,,,,,"])]))
    read = read_tileset(file, DataConfig(), part="all")
    assert sum(len(image.boxes) for image in read.images) == len(rows)


def test_the_column_of_classes_may_be_called_as_in_open_images(tmp_path):
    (image,) = read_csv(
        write(tmp_path / "a.csv", f"{SIDES}\na.png,Tree,10,20,30,40"), [tmp_path]
    ).images
    assert (image.boxes, image.names) == ([(10, 30, 20, 40)], ["Tree"])


@pytest.mark.parametrize(
    "text",
    [
        "image,x,y,label,Sort\na.png,3,7,tree,elm\na.png,9,9,tree,oak\n",
        "image_path,geometry,label,Sort\na.png,POINT (3 7),tree,elm\na.png,POINT (9 9),tree,oak\n",
    ],
    ids=["points", "outlines"],
)
def test_the_label_field_is_the_column_with_the_class(tmp_path, text):
    paint_image(tmp_path / "a.png", width=20, height=20)
    write(tmp_path / "t.csv", text)
    expected = {None: ("tree",), "Sort": ("elm", "oak"), "sort": ("elm", "oak"), "": ("object",)}
    for field, classes in expected.items():
        config = DataConfig(label_field=field, box_size_px=4)
        tileset = read_tileset(tmp_path / "t.csv", config, part="all")
        assert (tileset.classes, len(tileset.images[0].boxes)) == (classes, 2)
    with pytest.raises(TilesetError, match="no column 'sorte'") as caught:
        read_tileset(tmp_path / "t.csv", DataConfig(label_field="sorte"), part="all")
    assert "did you mean 'sort'" in caught.value.hint


SIZED = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def test_the_size_of_the_image_in_a_table_is_read(tmp_path):
    """As object detectors of TensorFlow want their tables."""
    rows = "a.png,64,48,car,1,2,9,9\na.png,64,48,car,20,2,30,40\n"
    (image,) = read_csv(write(tmp_path / "a.csv", SIZED + rows), [tmp_path]).images
    assert image.size == (64, 48)


def test_an_image_of_another_size_than_its_table_says_is_refused(tmp_path):
    paint_image(tmp_path / "a.png")
    write(tmp_path / "a.csv", SIZED + "a.png,128,96,car,1,2,9,9\n")
    with pytest.raises(TilesetError, match="is 64 x 48 px, but its labels are for 128 x 96 px"):
        read_tileset(tmp_path, DataConfig(), part="all")


@pytest.mark.parametrize(
    "row",
    [
        "a.png,8,7,car,1,2,9,9",  # the size of the box
        "a.png,8,7,car,0,0,8,7",  # of one in the corner
        "a.png,4.5,12.3,oak,1,2,9,9",  # of a crown and a tree, in metres
        "a.png,64,48,car,1,2,9,9\na.png,60,40,car,1,2,9,9",  # two
        "a.png,NA,NA,car,1,2,9,9",
    ],
)
def test_other_widths_and_heights_are_no_size_of_the_image(tmp_path, row):
    (image,) = read_csv(write(tmp_path / "a.csv", SIZED + row), [tmp_path]).images
    assert image.size is None
