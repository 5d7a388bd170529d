import csv
import sqlite3

import geopandas
import numpy as np
import pyogrio
import pytest
from affine import Affine
from factories_vectors import CLASSES, FIELDS, found, open_layer, part, read
from pyproj import CRS, Geod

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.photographs.ground_view import GroundView
from geodet.photographs.photograph import Photograph
from geodet.vector.images_layer import ImageCounts, images_path, write_image_counts
from geodet.vector.not_examined import SkippedArea, not_examined_path
from geodet.vector.read_detections import read_detections
from geodet.vector.rows import Appending

WGS_84 = CRS.from_epsg(4326)
PIXELS = Affine(1, 0, 0, 0, -1, 0)
VIEW = GroundView(15.0, 45.0, 100.0, 1000.0, 1000, 1000, yaw=30.0)
PHOTOGRAPHS = {
    "posed.jpg": Photograph(
        "posed.jpg",
        15.0,
        45.0,
        350.0,
        100.0,
        "2024-05-01T10:20:30+02:00",
        "DJI FC6310",
        30.0,
        -90.0,
        0.1,
        "relative altitude",
        view=VIEW,
    ),
    "placed.jpg": Photograph("placed.jpg", 15.001, 45.0),
    "bare.jpg": Photograph("bare.jpg", gsd_m=0.5, gsd_from="detect.gsd"),
}
FORMATS = ["gpkg", "geojson", "geojsonl", "fgb", "parquet", "csv", "shp", "kml", "gdb"]


def pictured(name, detections):
    return part(detections, crs=None, transform=PIXELS, scene=name)


def write_photographs(path, counts=(4, 3, 2), *, left_out=(), **options):
    parts = [
        pictured(name, found(count, seed))
        for seed, (name, count) in enumerate(zip(PHOTOGRAPHS, counts, strict=True))
    ]
    with open_layer(path, WGS_84, **{"photographs": PHOTOGRAPHS, **options}) as writer:
        for one in parts:
            writer.write(one)
        writer.note_not_examined(left_out)
    return parts


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_objects_have_a_place_where_the_pose_is_known(tmp_path, ending, geometry):
    path = tmp_path / f"a.{ending}"
    posed, *others = write_photographs(path, geometry=geometry)
    frame = read(path) if ending != "csv" else geopandas.read_file(path)
    assert len(frame) == 9
    frame = frame.sort_values("scene", kind="stable") if ending == "fgb" else frame
    names = [one.scene for one in (posed, *others) for _ in range(len(one.detections))]
    assert sorted(frame["scene"]) == sorted(names)
    is_posed = (frame["scene"] == "posed.jpg").to_numpy()
    is_missing = frame.geometry.isna() | frame.geometry.is_empty
    assert is_missing.to_numpy().tolist() == (~is_posed).tolist()
    centres = frame.geometry[is_posed].set_crs(None, allow_override=True).centroid
    expected = VIEW.to_degrees(posed.detections.centres)
    order = np.lexsort(expected.round(7).T)
    placed = np.stack([centres.x, centres.y], axis=1)
    np.testing.assert_allclose(placed[np.lexsort(placed.round(7).T)], expected[order], atol=1e-8)


@pytest.mark.parametrize("ending", ["gpkg", "geojson", "fgb", "parquet", "csv"])
def test_a_column_says_that_places_are_approximate(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    write_photographs(path)
    frame = read(path)
    is_posed = frame["scene"] == "posed.jpg"
    assert set(map(str, frame["approximate"][is_posed])) <= {"True", "1", "1.0"}
    assert not set(map(str, frame["approximate"][~is_posed])) & {"True", "1", "1.0"}
    assert [name for name in frame.columns if name in FIELDS] == FIELDS


def test_sizes_are_known_where_the_gsd_is(tmp_path):
    path = tmp_path / "a.gpkg"
    *_, bare = write_photographs(path)
    frame = read(path).set_index("scene")
    wide, high = (bare.detections.boxes[:, 2:] - bare.detections.boxes[:, :2]).T
    np.testing.assert_allclose(frame.loc["bare.jpg", "area_m2"], wide * high * 0.25, rtol=1e-6)
    assert frame.loc["placed.jpg", "area_m2"].isna().all()


def test_areas_are_those_of_the_places(tmp_path):
    path = tmp_path / "a.gpkg"
    write_photographs(path)
    frame = read(path).dropna(subset=["approximate"])
    areas = [Geod(ellps="WGS84").geometry_area_perimeter(one)[0] for one in frame.geometry]
    np.testing.assert_allclose(frame["area_m2"], areas, rtol=1e-4)


def test_each_picture_is_a_point_with_its_counts(tmp_path):
    path = tmp_path / "a.gpkg"
    parts = write_photographs(path)
    images = geopandas.read_file(path, layer="images")
    assert images.crs == WGS_84
    assert images["scene"].tolist() == list(PHOTOGRAPHS)
    assert images["objects"].tolist() == [4, 3, 2]
    for label, name in enumerate(CLASSES):
        expected = [int((one.detections.labels == label).sum()) for one in parts]
        assert images[f"objects_{name}"].tolist() == expected
    assert [None if p is None else (p.x, p.y) for p in images.geometry] == [
        (15.0, 45.0),
        (15.001, 45.0),
        None,
    ]
    assert images["time"][0] == "2024-05-01T10:20:30+02:00"
    assert images["gsd_m"].fillna(-1).tolist() == [0.1, -1, 0.5]
    assert images["gsd_from"].tolist() == ["relative altitude", "unknown", "detect.gsd"]
    info = pyogrio.read_info(path, layer="images")
    assert (info["geometry_type"], info["features"]) == ("Point", 3)


@pytest.mark.parametrize("ending", ["geojson", "fgb", "parquet", "csv", "coco.json"])
def test_another_format_has_them_beside_it(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    write_photographs(path)
    images = geopandas.read_file(images_path(path))
    assert images["objects"].tolist() == [4, 3, 2]
    assert images.geometry[0].x == 15.0


def test_a_picture_that_was_not_searched_is_not_listed(tmp_path):
    path = tmp_path / "a.gpkg"
    with open_layer(path, WGS_84, photographs=PHOTOGRAPHS) as writer:
        writer.write(pictured("bare.jpg", Detections.empty()))
    images = geopandas.read_file(path, layer="images")
    assert images[["scene", "objects"]].to_numpy().tolist() == [["bare.jpg", 0]]


def test_images_of_an_earlier_run_are_removed(tmp_path):
    path = tmp_path / "a.geojson"
    write_photographs(path)
    with open_layer(path, WGS_84, overwrite=True) as writer:
        writer.write(part(crs=WGS_84, transform=Affine(1e-5, 0, 15, 0, -1e-5, 45)))
    assert not images_path(path).exists()


def test_pixels_are_read_back(tmp_path):
    path = tmp_path / "a.gpkg"
    parts = write_photographs(path)
    boxes = np.concatenate([one.detections.boxes for one in parts])
    np.testing.assert_array_equal(read_detections(path, CLASSES).boxes, boxes)


def test_the_spatial_index_holds_what_has_a_place(tmp_path):
    path = tmp_path / "a.gpkg"
    write_photographs(path)
    with sqlite3.connect(path) as database:
        (count,) = database.execute("SELECT count(*) FROM rtree_detections_geom").fetchone()
    database.close()
    assert count == 4


@pytest.mark.parametrize("ending", ["gpkg", "geojson"])
def test_areas_that_were_not_examined_lie_where_they_may(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    geobox = GeoBox(1000, 1000, PIXELS, None)
    areas = [
        SkippedArea(name, geobox, Window(0, 0, 100, 100), "damaged")
        for name in ("posed.jpg", "bare.jpg")
    ]
    write_photographs(path, left_out=areas)
    holes = (
        geopandas.read_file(path, layer="not_examined")
        if ending == "gpkg"
        else geopandas.read_file(not_examined_path(path))
    )
    assert holes.geometry.isna().tolist() == [False, True]
    corner = VIEW.to_degrees(np.array([50.0, 50.0]))
    centre = holes.geometry[0].centroid
    np.testing.assert_allclose([centre.x, centre.y], corner, atol=1e-8)


def test_the_table_of_counts(tmp_path):
    path = tmp_path / "counts.csv"
    photographs = {"=cmd.jpg": Photograph("=cmd.jpg", 15.25, -45.5, time="2024-05-01T10:20:30")}
    counts = {"=cmd.jpg": np.array([2, 5])}
    write_image_counts(path, ImageCounts.of(("cow", "Cow"), photographs, counts))
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "scene": "'=cmd.jpg",
        "time": "2024-05-01T10:20:30",
        "longitude": "15.25",
        "latitude": "-45.5",
        "gsd_m": "",
        "gsd_from": "unknown",
        "objects": "7",
        "objects_cow": "2",
        "objects_Cow_2": "5",
    }


class TestAppending:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "a.gpkg"
        write_photographs(path, metadata={"model_sha256": "first"})
        return path

    def append(self, path, name, count, *, classes=CLASSES, model="first", place=14.0, **rule):
        photographs = {name: Photograph(name, place, 45.0, view=None, gsd_m=0.1)}
        with open_layer(
            path,
            WGS_84,
            classes,
            metadata={"model_sha256": model},
            append=Appending(scenes=(name,), **rule),
            photographs=photographs,
        ) as writer:
            writer.write(pictured(name, found(count)))

    def test_more_pictures_follow(self, path):
        self.append(path, "new.jpg", 5)
        images = geopandas.read_file(path, layer="images")
        assert images["scene"].tolist() == [*PHOTOGRAPHS, "new.jpg"]
        assert images["objects"].tolist() == [4, 3, 2, 5]
        assert images.geometry.iloc[-1].x == 14.0
        assert len(read(path)) == 14
        assert pyogrio.read_info(path, layer="images")["total_bounds"][0] == 14.0
        near = geopandas.read_file(path, layer="images", bbox=(13.9, 44, 14.1, 46))
        assert near["scene"].tolist() == ["new.jpg"]

    def test_a_picture_that_comes_again_replaces_its_rows(self, path):
        with pytest.raises(OutputError, match=r"contains detections of bare\.jpg already"):
            self.append(path, "bare.jpg", 6)
        self.append(path, "bare.jpg", 6, replace_scenes=True)
        images = geopandas.read_file(path, layer="images")
        assert images["objects"].tolist() == [4, 3, 6]
        assert len(read(path)) == 13

    def test_another_models_classes_are_further_columns(self, path):
        before = geopandas.read_file(path, layer="images")
        self.append(path, "bare.jpg", 6, classes=("cow", "sheep"), model="second")
        images = geopandas.read_file(path, layer="images").set_index("scene")
        assert images["objects"].tolist() == [4, 3, 8]
        assert images["objects_tree"].tolist() == before["objects_tree"].tolist()
        assert images["objects_cow"].isna().tolist() == [True, True, False]

    def test_georeferenced_scenes_go_elsewhere(self, path, tmp_path):
        scene = part(crs=WGS_84, transform=Affine(1e-5, 0, 15, 0, -1e-5, 45))
        about = {"crs": WGS_84, "append": Appending()}
        with pytest.raises(OutputError, match="holds objects of photographs, and the new rows are"):
            open_layer(path, **about)
        other = tmp_path / "b.gpkg"
        with open_layer(other, **about) as writer:
            writer.write(scene)
        with pytest.raises(OutputError, match="holds objects of georeferenced scenes"):
            open_layer(other, **about, photographs=PHOTOGRAPHS)
