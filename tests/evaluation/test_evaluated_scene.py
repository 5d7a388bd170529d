"""Detections and labels of vector files in one frame."""

import json
import warnings

import geopandas
import numpy as np
import pandas
import pytest
from pyproj import CRS, Geod, Transformer
from shapely import LineString, MultiPolygon, Point, Polygon, box
from shapely.affinity import rotate

from geodet.config import Config, MatchConfig
from geodet.errors import ConfigError, TilesetError, VectorError
from geodet.evaluation.evaluated_scene import read_evaluated_scene
from geodet.evaluation.measures import judge_boxes, measure

X, Y = 500_000.0, 4_500_000.0
PLACES = [(10, 10, 20, 20), (30, 10, 44, 20)]  # metres right of and below the scene's corner


def write(path, shapes, crs=32633, **fields):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        geopandas.GeoDataFrame(fields, geometry=shapes, crs=crs).to_file(path)
    return path


def shapes(places=PLACES):
    return [box(X + x1, Y - y2, X + x2, Y - y1) for x1, y1, x2, y2 in places]


def moved(crs, drawn):
    transform = Transformer.from_crs(32633, crs, always_xy=True).transform
    return [Polygon(np.transpose(transform(*shape.exterior.xy))) for shape in drawn]


@pytest.fixture
def files(tmp_path):
    """Write a pair of files: two detections, one of a class of its own, and their labels."""

    def make(crs=32633, labels_crs=32633, names=("car", "bus"), true=("car", "bus"), **fields):
        drawn = shapes() if crs in (32633, None) else moved(crs, shapes())
        there = shapes() if labels_crs in (32633, None) else moved(labels_crs, shapes())
        fields = {"score": [0.9, 0.4], "label": list(names)} | fields
        found = write(tmp_path / "found.gpkg", drawn, crs, **fields)
        return found, write(tmp_path / "truth.gpkg", there, labels_crs, label=list(true))

    return make


def read(files, scene=None, score_field="score", **config):
    settings = Config.model_validate(config)
    return read_evaluated_scene(*files, settings, scene=scene, score_field=score_field)


def test_with_a_scene_boxes_are_in_its_pixels(files, make_scene):
    scene = make_scene(origin=(X, Y), pixel_size=0.5)
    read_ = read(files(), scene)
    expected = np.array(PLACES) * 2.0
    np.testing.assert_allclose(read_.image.boxes, expected, atol=1e-6)
    np.testing.assert_allclose(read_.image.detections.boxes, expected, atol=1e-6)
    assert read_.classes == ("bus", "car")
    assert read_.image.labels.tolist() == read_.image.detections.labels.tolist() == [1, 0]
    assert read_.image.gsd == pytest.approx(0.5, rel=1e-3)
    assert (read_.image.name, read_.has_pixels, read_.has_boxes) == (scene.name, True, True)


@pytest.mark.parametrize(("crs", "labels_crs"), [(32633, 4326), (4326, 32633), (3857, 4326)])
def test_without_a_scene_boxes_are_in_metres(files, crs, labels_crs):
    sample = read(files(crs, labels_crs)).image
    for boxes in (sample.boxes, sample.detections.boxes):
        sides = (boxes[:, 2:] - boxes[:, :2]) * sample.gsd
        np.testing.assert_allclose(sides, [[10, 10], [14, 10]], atol=0.2)
    np.testing.assert_allclose(sample.boxes, sample.detections.boxes, atol=0.1)


@pytest.mark.parametrize("labels_crs", [4326, 32701])
def test_without_a_scene_objects_around_the_antimeridian_are_in_their_utm_zone(
    tmp_path, labels_crs
):
    east, north = Transformer.from_crs(4326, 32701, always_xy=True).transform(-180.0, -17.0)
    places = [(-60, 10, -40, 20), (-5, 30, 9, 40), (50, 0, 60, 30)]
    utm = [box(east + x1, north - y2, east + x2, north - y1) for x1, y1, x2, y2 in places]
    halves = geopandas.GeoSeries(utm, crs=32701)
    found = tmp_path / "found.geojson"
    geopandas.GeoDataFrame({"score": [0.9, 0.8, 0.7], "label": "car"}, geometry=halves).to_file(
        found, driver="GeoJSON", RFC7946="YES"
    )
    kinds = geopandas.read_file(found).geom_type.tolist()
    assert kinds.count("MultiPolygon") == 1  # the file does cut an object
    truth = (
        found if labels_crs == 4326 else write(tmp_path / "t.gpkg", utm, 32701, label=["car"] * 3)
    )
    evaluated = read((found, truth))
    sides = evaluated.image.detections.boxes
    assert len(sides) == len(evaluated.image.boxes) == 3
    assert evaluated.geobox.crs.to_epsg() in (32701, 32760)
    np.testing.assert_allclose(np.sort(sides[:, 2] - sides[:, 0]), [10, 14, 20], atol=0.5)


def test_with_a_gsd_boxes_are_in_pixels(files):
    read_ = read(files(), data={"gsd": 0.5})
    sides = read_.image.boxes[:, 2:] - read_.image.boxes[:, :2]
    np.testing.assert_allclose(sides, [[20, 20], [28, 20]], rtol=1e-3)
    assert read_.has_pixels
    assert not read(files()).has_pixels


AZIMUTHS = [0, 45, 90, 135]


@pytest.mark.parametrize(
    ("crs", "rotation", "latitudes"),
    [
        (4326, 0.0, (60.0, 60.0003)),
        (4326, 30.0, (60.0, 60.0003)),
        (3857, 0.0, (60.0, 60.0003)),
        (3035, 0.0, (60.0, 60.0003)),
        (3857, None, (40.0, 60.0)),
        (4326, None, (40.0, 60.0)),
        (3035, None, (40.0, 40.0003)),
    ],
)
def test_distances_are_those_on_the_ground(tmp_path, make_scene, crs, rotation, latitudes):
    x, y = (xy.ravel() for xy in np.meshgrid(15.0 + np.arange(4) * 2e-4, latitudes))
    there = Geod(ellps="WGS84").fwd(x, y, AZIMUTHS * 2, [5.0] * 8)[:2]
    drawn = [geopandas.points_from_xy(*xy, crs=4326).to_crs(crs) for xy in (there, (x, y))]
    files = [
        write(tmp_path / f"{number}.gpkg", list(dots), crs, label=["seal"] * 8, score=[0.9] * 8)
        for number, dots in enumerate(drawn)
    ]
    scene = None
    if rotation is not None:
        middle = drawn[1].union_all().centroid
        size = 1e-5 if crs == 4326 else 1.0
        corner = (middle.x - 100 * size, middle.y + 100 * size)
        scene = make_scene(
            epsg=crs, rotation=rotation, origin=corner, pixel_size=size, width=250, height=250
        )
    rule = MatchConfig(by="distance", distance_m=5.05)
    image = read(files, scene, match=rule.model_dump()).image
    result = measure([image], ["seal"], rule, threshold=0.0, has_boxes=False).results[0]
    pairs = judge_boxes(result, threshold=0.0)["true_positives"]
    np.testing.assert_allclose(pairs.distance_m, [5.0] * 8, rtol=2e-3)


def test_without_any_crs_coordinates_are_not_transformed(files, caplog):
    read_ = read(files(None, None))
    assert (read_.image.gsd, read_.geobox.crs) == (None, None)
    assert "neither file has a CRS" in caplog.text


@pytest.mark.parametrize(("crs", "labels_crs"), [(None, 32633), (32633, None)])
def test_a_single_file_without_a_crs_is_refused(files, crs, labels_crs):
    with pytest.raises(VectorError, match=r"has no CRS, but .* has one") as caught:
        read(files(crs, labels_crs))
    assert "--scene" in caught.value.hint


@pytest.mark.parametrize(("crs", "labels_crs"), [(None, 32633), (32633, None)])
def test_objects_in_a_crs_have_no_place_in_a_scene_without_a_geotransform(
    files, make_scene, crs, labels_crs
):
    scene = make_scene(epsg=None, crs="EPSG:32633")
    with pytest.raises(VectorError, match=r"33N, and .* declares the CRS .*, but has no geotransf"):
        read(files(crs, labels_crs), scene)


def test_objects_outside_of_the_scene_do_not_count(files, make_scene, caplog):
    scene = make_scene(origin=(X, Y), pixel_size=0.5, width=60, height=60)  # 30 m
    sample = read(files(), scene).image
    assert (len(sample.boxes), len(sample.detections)) == (1, 1)
    assert caplog.text.count("1 of 2 objects") == 2
    with pytest.raises(VectorError, match="none of the 2 labels"):
        read(files(), make_scene("far.tif", origin=(X + 900, Y)))


def test_with_a_crs_detections_of_overlapping_scenes_count(files, make_scene):
    scene = make_scene(origin=(X, Y), pixel_size=0.5)
    sample = read(files(scene=["other.tif", scene.name]), scene).image
    assert sample.detections.scores.tolist() == pytest.approx([0.9, 0.4])


def test_detections_with_approximate_places_do_not_count_in_a_scene(files, make_scene):
    scene = make_scene(origin=(X, Y), pixel_size=0.5)
    found = files(
        scene=["photo.jpg", scene.name], approximate=pandas.array([True, None], "boolean")
    )
    assert read(found, scene).image.detections.scores.tolist() == pytest.approx([0.4])


def in_pixels(path, **fields):
    return write(path, [box(10, -20, 20, -10), box(30, -20, 44, -10)], None, **fields)


@pytest.mark.parametrize(("names", "count"), [(["1/a.tif", "2/a.tif"], 1), (["b.tif"] * 2, 2)])
def test_without_a_crs_the_name_tells_the_scene(tmp_path, make_scene, names, count):
    (tmp_path / "2").mkdir()
    scene = make_scene("2/a.tif", epsg=None)
    found = in_pixels(tmp_path / "found.gpkg", score=[0.9, 0.4], label="car", scene=names)
    truth = in_pixels(tmp_path / "truth.gpkg", label=["car", "car"])
    detections = read((found, truth), scene).image.detections
    assert detections.scores.tolist() == pytest.approx([0.9, 0.4][-count:])


def test_points_need_a_box_size_unless_matched_by_distance(tmp_path, files, caplog):
    found, _ = files(names=("car", "car"))
    dots = [shape.centroid for shape in shapes()]
    truth = write(tmp_path / "dots.gpkg", dots, label=["car", "car"])
    with pytest.raises(TilesetError, match="the labels are points") as caught:
        read((found, truth))
    assert "data.box_size_px (pixels), or match.by=distance" in caught.value.hint
    by_distance = read((found, truth), match={"by": "distance"})
    assert not by_distance.has_boxes
    assert "average precision is not computed" in caplog.text
    sized = read((found, truth), data={"box_size_m": 8})
    assert sized.has_boxes
    sides = sized.image.boxes[:, 2:] - sized.image.boxes[:, :2]
    np.testing.assert_allclose(sides, 8, rtol=1e-3)


def test_boxes_around_points_in_a_scene_in_degrees_have_their_size_on_the_ground(
    tmp_path, make_scene
):
    scene = make_scene(epsg=4326, origin=(10.0, 60.0), pixel_size=5e-6)
    middle, geod = (10.00024, 59.9998), Geod(ellps="WGS84")
    east, south = (geod.fwd(*middle, azimuth, 4)[:2] for azimuth in (90, 180))
    half = east[0] - middle[0], middle[1] - south[1]
    square = box(*np.subtract(middle, half), *np.add(middle, half))
    found = write(tmp_path / "f.gpkg", [square], 4326, label=["tree"], score=[0.9])
    truth = write(tmp_path / "t.gpkg", [Point(middle)], 4326, label=["tree"])
    image = read((found, truth), scene, data={"box_size_m": 8}).image
    np.testing.assert_allclose(image.boxes, image.detections.boxes, atol=0.02)


def test_boxes_around_points_beside_turned_polygons_have_their_size(tmp_path, files):
    found, _ = files(names=("car", "car"))
    middle = Point(X + 15, Y - 15)
    drawn = [rotate(shapes()[1], 30), middle]
    truth = write(tmp_path / "mixed.geojson", drawn, label=["car", "car"])
    image = read((found, truth), data={"box_size_m": 8, "gsd": 0.5}).image
    np.testing.assert_allclose(np.abs(image.oriented[0, 4]), np.radians(30), atol=0.01)
    np.testing.assert_allclose(image.oriented[1, 2:], [16, 16, 0], atol=0.01)


def test_single_classes_match_whatever_their_names(files, caplog):
    read_ = read(files(names=("palm", "palm"), true=("tree", "tree")))
    assert read_.classes == ("tree",)
    assert read_.image.detections.labels.tolist() == [0, 0]
    assert (
        "detections of the class 'palm' are compared with labels of the class 'tree'" in caplog.text
    )


def test_classes_that_differ_in_case_alone_are_one(files, caplog):
    read_ = read(files(names=("Car", "BUS"), true=("car", "bus")))
    assert read_.classes == ("bus", "car")
    assert read_.image.labels.tolist() == read_.image.detections.labels.tolist() == [1, 0]
    assert read_.counted_as == {"Car": 1, "BUS": 0}
    read(files(names=("Car", "Car"), true=("car", "car")))
    assert "the class" not in caplog.text


def test_classes_that_fall_together_are_not_joined(files, caplog):
    read_ = read(files(names=("Car", "car"), true=("car", "bus")))
    assert read_.image.detections.labels.tolist() == [1]
    assert "'Car' do not count" in caplog.text


def test_classes_without_one_in_common_are_refused(files):
    with pytest.raises(ConfigError, match=r"no class in common: .* bus, car") as caught:
        read(files(names=("lorry", "van")))
    assert "data.one_class" in caught.value.hint
    joined = read(files(names=("lorry", "van")), data={"one_class": "vehicle"})
    assert joined.classes == ("vehicle",)
    assert len(joined.image.detections) == 2


def test_classes_of_both_files_are_renamed(files):
    read_ = read(
        files(names=("lorry", "bus"), true=("van", "bus")),
        data={"class_map": {"lorry": "vehicle", "van": "vehicle"}},
    )
    assert read_.classes == ("bus", "vehicle")
    assert read_.image.labels.tolist() == read_.image.detections.labels.tolist() == [1, 0]


def test_a_map_that_swaps_two_classes_renames_the_labels_alone(files):
    swap = {"car": "bus", "bus": "car"}
    read_ = read(files(true=("bus", "car")), data={"class_map": swap})
    assert read_.classes == ("bus", "car")
    assert read_.image.labels.tolist() == read_.image.detections.labels.tolist() == [1, 0]


def test_classes_of_only_one_file_are_reported(files, caplog):
    read_ = read(files(names=("car", "boat")))
    assert read_.classes == ("bus", "car")
    assert read_.image.detections.labels.tolist() == [1]
    assert "'boat' do not count" in caplog.text
    assert "no detection has the class 'bus'" in caplog.text


def test_a_class_to_ignore_that_neither_file_has_is_refused(files):
    with pytest.raises(ConfigError, match="have a class 'Bus' to ignore") as caught:
        read(files(), data={"ignore_classes": ["Bus"]})
    assert "did you mean 'bus'?" in caught.value.hint
    assert read(files(true=("bus", "bus")), data={"ignore_classes": ["car"]}).classes == ("bus",)


def test_ignored_classes_become_ignored_regions(files):
    read_ = read(files(), data={"ignore_classes": ["bus"]})
    assert read_.classes == ("car",)
    assert (len(read_.image.boxes), len(read_.image.ignored)) == (1, 1)
    assert len(read_.image.detections) == 1


@pytest.mark.parametrize("rotation", [None, 0.0, 30.0])
@pytest.mark.parametrize("reach", [30, 900])
def test_centres_in_the_shape_of_an_ignored_area_do_not_count(
    tmp_path, make_scene, rotation, reach
):
    scene = None
    if rotation is not None:
        scene = make_scene(origin=(X - 20, Y + 20), rotation=rotation, width=200, height=200)
    on_line = (26, 15, 28, 17)
    line = LineString([(X + 27 - reach, Y - 16 + reach), (X + 27 + reach, Y - 16 - reach)])
    places = shapes([*PLACES, on_line])
    found = write(tmp_path / "f.gpkg", places, label=["car"] * 3, score=[0.9, 0.8, 0.7])
    drawn = [*shapes(), line.buffer(0.5)]
    truth = write(tmp_path / "t.gpkg", drawn, label=["car", "car", "unclear"])
    sample = read((found, truth), scene, data={"ignore_classes": ["unclear"]}).image
    evaluation = measure([sample], ["car"], MatchConfig(), threshold=0.0)
    scores = evaluation.overall.scores
    assert (scores.matched, scores.detected, scores.labelled) == (2, 2, 2)


def test_labelled_objects_in_an_ignored_area_are_found(tmp_path):
    found = write(
        tmp_path / "f.gpkg",
        shapes([*PLACES, (50, 10, 60, 20), (90, 10, 99, 20)]),
        label=["car"] * 4,
        score=[0.9, 0.8, 0.7, 0.6],
    )
    drawn = shapes([*PLACES, (0, 0, 80, 30)])
    truth = write(tmp_path / "t.gpkg", drawn, label=["car", "car", "unclear"])
    sample = read((found, truth), data={"ignore_classes": ["unclear"]}).image
    overall = measure([sample], ["car"], MatchConfig(), threshold=0.0).overall
    scores = overall.scores
    assert (scores.matched, scores.detected, scores.labelled) == (2, 3, 2)
    assert overall.ap.ap50 == 1.0


def test_ignored_points_have_the_size_of_a_box(tmp_path, files):
    found, _ = files(names=("car", "car"))
    drawn = [shapes()[0], Point(X + 35, Y - 15)]  # 2 m beside the centre of the second detection
    truth = write(tmp_path / "mixed.geojson", drawn, label=["car", "unclear"])
    for side, count in ((3, 2), (5, 1)):
        data = {"ignore_classes": ["unclear"], "box_size_m": side}
        sample = read((found, truth), data=data).image
        evaluation = measure([sample], ["car"], MatchConfig(), threshold=0.0)
        assert evaluation.overall.scores.detected == count


def test_missing_scores_are_refused_with_a_hint(tmp_path, files):
    _, truth = files()
    bare = write(tmp_path / "bare.gpkg", shapes(), label=["car", "bus"], sure=[0.1, 0.2])
    with pytest.raises(VectorError, match="no attribute 'score'") as caught:
        read((bare, truth))
    assert "--score-field" in caught.value.hint
    assert "sure" in caught.value.hint
    assert read((bare, truth), score_field="sure").image.detections.scores.max() < 0.3
    assert read((bare, truth), score_field="").image.detections.scores.tolist() == [1.0, 1.0]
    with pytest.raises(VectorError, match="are not numbers"):
        read((bare, truth), score_field="label")


def test_missing_scores_are_called_missing(files):
    match = r"1 of 2 objects have no score in 'score'"
    with pytest.raises(VectorError, match=match) as refused:
        read(files(score=[0.5, np.nan]))
    assert "gives every object the score 1" in refused.value.hint


@pytest.mark.parametrize("score", [1.5, -0.1])
def test_scores_outside_of_0_to_1_are_refused(files, score):
    with pytest.raises(VectorError, match="1 scores in 'score' are not between 0 and 1"):
        read(files(score=[0.5, score]))


def test_empty_geometries_are_left_out_and_parts_taken_apart(tmp_path, files, caplog):
    _, truth = files()
    drawn = [Polygon(), MultiPolygon(shapes())]
    found = write(tmp_path / "parts.gpkg", drawn, label=["car", "car"], score=[0.9, 0.3])
    sample = read((found, truth)).image
    assert sample.detections.scores.tolist() == pytest.approx([0.3, 0.3])
    assert "objects without a geometry are left out: 1" in caplog.text


def test_one_file_may_be_empty_but_not_both(tmp_path, files):
    found, truth = files()
    nothing = write(tmp_path / "nothing.gpkg", [], label=[], score=[])
    silent = read((nothing, truth))
    assert (len(silent.image.detections), len(silent.image.boxes)) == (0, 2)
    unlabelled = read((found, nothing))
    assert (len(unlabelled.image.detections), len(unlabelled.image.boxes)) == (2, 0)
    with pytest.raises(VectorError, match=r"neither .* contains an object"):
        read((nothing, nothing))


def test_a_pole_without_utm_zone_is_refused_with_a_hint(tmp_path):
    pole = [Point(0, 89.9).buffer(0.01)]
    file = write(tmp_path / "pole.gpkg", pole, CRS.from_epsg(4326), label=["seal"], score=[0.5])
    with pytest.raises(VectorError, match="no UTM zone") as caught:
        read((file, file))
    assert "projected CRS" in caught.value.hint


def write_results(path, boxes, scene):
    results = [
        {"file_name": name, "category": "car", "score": 0.9, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for name in (scene, "other.tif")
        for x1, y1, x2, y2 in boxes
    ]
    path.write_text(json.dumps(results), encoding="utf-8")
    return path


@pytest.mark.parametrize("rotation", [0.0, 25.0])
def test_coco_results_of_a_scene_are_read_in_its_pixels(tmp_path, files, make_scene, rotation):
    scene = make_scene(origin=(X, Y), pixel_size=0.5, rotation=rotation)
    boxes = [[20.0, 20, 40, 40], [60, 20, 88, 40]]
    found = write_results(tmp_path / "found.json", boxes, scene.name)
    read_ = read((found, files(true=("car", "car"))[1]), scene)
    np.testing.assert_allclose(read_.image.detections.boxes, boxes, atol=1e-6)
    assert (read_.image.name, read_.classes) == (scene.name, ("car",))


def test_coco_results_without_a_scene_are_refused_with_a_hint(tmp_path, files):
    found = write_results(tmp_path / "found.json", [], "a.tif")
    with pytest.raises(VectorError, match="is in pixels, but neither") as caught:
        read((found, files()[1]))
    assert "--scene" in caught.value.hint


def test_coco_results_of_other_scenes_are_reported(tmp_path, files, make_scene, caplog):
    scene = make_scene(origin=(X, Y), pixel_size=0.5)
    found = write_results(tmp_path / "found.json", [[1, 1, 9, 9]], "x.tif")
    assert len(read((found, files()[1]), scene).image.detections) == 0
    assert "found.json: no detection belongs to scene.tif" in caplog.text
