"""A tileset reads nothing outside of its folder, whichever way its files point there."""

import geopandas
import pytest
import rasterio
import shapely
from factories_tilesets import paint_geotiff, paint_image, write, write_coco, write_voc

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.tilesets.boundary import is_inside, staying_inside, tileset_root
from geodet.tilesets.tileset import read_tileset

BOX = "0 0.5 0.5 0.2 0.2\n"


def coco_upwards(folder):
    write_coco(folder / "train.json", {"../secret.png": [(0, 1, 1, 9, 9)]})


def coco_absolute(folder):
    write_coco(folder / "train.json", {str(folder.parent / "secret.png"): [(0, 1, 1, 9, 9)]})


def csv_upwards(folder):
    write(folder / "boxes.csv", "image,xmin,ymin,xmax,ymax\n../secret.png,1,1,9,9\n")


def image_table(folder):
    csv_upwards(folder)
    write(folder / "boxes.csv", "image,xmin,ymin,xmax,ymax\nown.png,1,1,9,9\n")
    paint_image(folder / "own.png")
    write(folder / "images.csv", "image,place\n../secret.png,here\n")


def linked_image(folder):
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a.png").symlink_to(folder.parent / "secret.png")
    write_voc(folder / "images" / "a.xml", [("car", 1, 1, 9, 9)])


def linked_folder(folder):
    paint_image(folder.parent / "far" / "a.png")
    folder.mkdir()
    (folder / "images").symlink_to(folder.parent / "far")
    write(folder / "labels" / "a.txt", BOX)
    write(folder / "classes.txt", "car\n")


def linked_inner_folder(folder):
    paint_image(folder.parent / "far" / "a.png")
    paint_image(folder / "images" / "near" / "b.png")
    (folder / "images" / "far").symlink_to(folder.parent / "far")
    for name in ("far/a", "near/b"):
        write(folder / "labels" / f"{name}.txt", BOX)
    write(folder / "classes.txt", "car\n")


def linked_label(folder, suffix=".txt", text=BOX):
    paint_image(folder / "images" / "a.png")
    target = write(folder.parent / f"secret{suffix}", text)
    (folder / "labels").mkdir()
    (folder / "labels" / f"a{suffix}").symlink_to(target)
    write(folder / "classes.txt", "car\n")


def linked_names(folder):
    paint_image(folder / "images" / "a.png")
    write(folder / "labels" / "a.txt", BOX)
    target = write(folder.parent / "secret.txt", "car\n")
    (folder / "classes.txt").symlink_to(target)


def linked_voc(folder):
    paint_image(folder / "images" / "a.png")
    target = write_voc(folder.parent / "secret.xml", [("car", 1, 1, 9, 9)])
    (folder / "annotations").mkdir()
    (folder / "annotations" / "a.xml").symlink_to(target)


def yaml_path(folder, path="../far"):
    paint_image(folder.parent / "far" / "images" / "train" / "a.png")
    write(folder.parent / "far" / "labels" / "train" / "a.txt", BOX)
    paint_image(folder.parent / "far" / "images" / "val" / "b.png")
    write(folder / "data.yaml", f"path: {path}\ntrain: images/train\nval: images/val\nnames: [c]\n")


def yaml_absolute_path(folder):
    yaml_path(folder, folder.parent / "far")


def yaml_pattern(folder):
    yaml_path(folder)
    write(folder / "data.yaml", "train: ../far/images/train/*.png\nnames: [c]\n")


def yaml_list(folder):
    yaml_path(folder)
    write(folder / "train.txt", "../far/images/train/a.png\n")
    write(folder / "data.yaml", "train: train.txt\nnames: [c]\n")


def yaml_list_outside(folder):
    yaml_path(folder)
    write(folder.parent / "train.txt", "far/images/train/a.png\n")
    write(folder / "data.yaml", "train: ../train.txt\nnames: [c]\n")


def virtual_image(folder):
    """An image that is a VRT under another name, and reads what is outside."""
    paint_geotiff(folder.parent / "secret.tif")
    source = "<SimpleSource><SourceFilename relativeToVRT='1'>../secret.tif</SourceFilename>"
    write(
        folder / "a.tif",
        "<VRTDataset rasterXSize='64' rasterYSize='48'><VRTRasterBand dataType='Byte' band='1'>"
        f"{source}<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>",
    )
    write_coco(folder / "train.json", {"a.tif": [(0, 1, 1, 9, 9)]})


def described_index(folder):
    """An image that describes a tile index in the folder, whose tile is outside."""
    secret = paint_geotiff(folder.parent / "secret.tif")
    with rasterio.open(secret) as raster:
        place, crs = shapely.box(*raster.bounds), raster.crs
    index = geopandas.GeoDataFrame({"location": [str(secret)]}, geometry=[place], crs=crs)
    folder.mkdir()
    index.to_file(folder / "i.gpkg")
    text = f"<IndexDataset>{folder / 'i.gpkg'}</IndexDataset>"
    write(folder / "a.tif", f"<GDALTileIndexDataset>{text}</GDALTileIndexDataset>")
    write_coco(folder / "train.json", {"a.tif": [(0, 1, 1, 9, 9)]})


WAYS = [
    *(coco_upwards, coco_absolute, csv_upwards, image_table, linked_image, linked_folder),
    linked_inner_folder,
    *(linked_label, linked_names, linked_voc, yaml_path, yaml_absolute_path, yaml_pattern),
    *(yaml_list, yaml_list_outside, virtual_image, described_index),
]


@pytest.fixture(name="folder")
def folder_fixture(tmp_path):
    paint_image(tmp_path / "secret.png")
    return tmp_path / "set"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_is_outside_is_refused_unless_it_is_allowed(folder, way):
    way(folder)
    with pytest.raises(TilesetError, match=r"outside of the tileset .*set") as caught:
        read_tileset(folder, DataConfig(), part="all")
    assert "--allow-outside" in caught.value.hint
    assert read_tileset(folder, DataConfig(allow_outside=True), part="all").images


def test_the_content_of_a_linked_file_is_in_no_message(folder):
    linked_label(folder, text="daemon:x:0:0\n")
    with pytest.raises(TilesetError, match="outside of the tileset") as caught:
        read_tileset(folder, DataConfig(), part="all")
    assert "daemon" not in str(caught.value)


def test_links_within_the_folder_and_to_the_folder_are_followed(folder):
    paint_image(folder / "store" / "a.png")
    (folder / "images").mkdir()
    (folder / "images" / "a.png").symlink_to("../store/a.png")
    write(folder / "labels" / "a.txt", BOX)
    write(folder / "classes.txt", "car\n")
    link = folder.parent / "link"
    link.symlink_to(folder)
    for path in (folder, link):
        assert len(read_tileset(path, DataConfig(), part="all").images) == 1


def test_a_place_inside_is_preferred_to_one_outside(folder):
    """Roboflow writes ../train/images of the folder train beside data.yaml."""
    for part in ("train", "valid"):
        for place in (folder, folder.parent):
            paint_image(place / part / "images" / f"{part}.png")
            write(place / part / "labels" / f"{part}.txt", BOX)
    text = "train: ../train/images\nval: ../valid/images\nnames: [tree]\n"
    write(folder / "data.yaml", text)
    images = read_tileset(folder, DataConfig(), part="all").images
    assert {image.path.is_relative_to(folder) for image in images} == {True}


@pytest.mark.parametrize("name", ["train.json", "annotations/instances_train.json"])
def test_one_label_file_reads_the_images_beside_it_or_beside_its_folder(folder, name):
    paint_image(folder / "images" / "a.png")
    file = write_coco(folder / name, {"a.png": [(0, 1, 1, 9, 9)]})
    assert tileset_root(file) == folder
    assert len(read_tileset(file, DataConfig(), part="all").images) == 1


def test_a_virtual_image_of_files_inside_is_read(folder):
    paint_geotiff(folder / "own.tif")
    virtual_image(folder)
    text = (folder / "a.tif").read_text(encoding="utf-8").replace("../secret", "own")
    write(folder / "a.tif", text)
    assert len(read_tileset(folder, DataConfig(), part="all").images) == 1


def test_dots_are_resolved_behind_links(folder):
    (folder / "far").mkdir(parents=True)
    with staying_inside(folder):
        assert is_inside(folder / "far" / ".." / "a.png")
        assert not is_inside(folder / "far" / ".." / ".." / "a.png")
        assert not is_inside(folder / "..")
        assert is_inside(folder / "missing" / "a.png")
    with staying_inside(folder, is_open=True):
        assert is_inside(folder.parent)
    assert is_inside(folder.parent)
